// The answer: series, totals and largest keys of one question. The series is watched; whatever it says anew, totals and largest keys are
// asked for again, so that one connection is enough.

import { announce } from "./announce.js";
import { ask, url } from "./api.js";
import { Chart, LAYERS, chartWords } from "./chart.js";
import { badge, byId, fill, h, note, table, wide } from "./element.js";
import { watch } from "./events.js";
import { clockText, keyText, lengthText, stepText, durationMs, valueText } from "./format.js";
import { gapList } from "./gap_list.js";
import { paced } from "./paced.js";
import { keyParameters, openColumns, seriesParameters, totalParameters } from "./question.js";
import { showTop } from "./top.js";
import { showTotals } from "./totals.js";
import { emptyWords, hasEvents, incompleteWords, problemWords } from "./words.js";

/** To find the largest keys, the server looks at all of them. */
const TOTAL_EVERY_MS = 100;
const TOP_EVERY_MS = 1_000;
const TOP_LIMIT = 10;

export class View {
  #chart = new Chart(byId("chart"));
  #watching = null;
  #question = null;
  #metric = null;
  #answer = null;
  #problem = null;
  #asOf = null;
  #everBefore = null;
  #totalIsOld = paced(TOTAL_EVERY_MS, () => this.#askTotal());
  #topIsOld = paced(TOP_EVERY_MS, () => this.#askTop());
  #told;

  /** `told.answer(answer)` and `told.state(word, text)` are called when they change; `told.ask(change)` when the reader asks for something else. */
  constructor(told) {
    this.#told = told;
    byId("series-rows").addEventListener("toggle", () => this.#showRows());
    setInterval(() => this.#showFreshness(), 1000);
  }

  /** Asks another question. */
  show(question, metric) {
    this.#watching?.close();
    [this.#question, this.#metric] = [question, metric];
    [this.#answer, this.#problem, this.#asOf, this.#everBefore] = [null, null, null, null];
    this.#chart.clear();
    fill(byId("totals"));
    fill(byId("top").querySelector(".body"), h("p", { class: "quiet" }, "Asking …"));
    byId("answer-title").textContent = `${metric.name}, ${keyText({ ...question.key, ...nothing(question.missing) })}`;
    this.#render();
    const isOld = (own) => own !== this.#watching;
    const own = watch(url(`${this.#path()}/series`, seriesParameters(question, metric)), {
      open: () => this.#told.state("live", "live"),
      event: (kind, data) => {
        if (isOld(own)) return;
        if (kind === "message") this.#take(data);
        else if (kind === "fresh") this.#fresh(data.as_of);
      },
      problem: (problem) => isOld(own) || this.#fail(problem, "trying again"),
      refused: (problem) => isOld(own) || this.#fail(problem, "stopped"),
    });
    this.#watching = own;
  }

  repaint() {
    this.#chart.repaint();
  }

  #take(answer) {
    [this.#answer, this.#problem, this.#asOf] = [answer, null, answer.as_of];
    this.#told.state("live", "live");
    this.#told.answer(answer);
    this.#render();
    this.#totalIsOld();
    this.#topIsOld();
  }

  #fresh(asOf) {
    const wasTold = this.#problem !== null;
    [this.#asOf, this.#problem] = [asOf, null];
    this.#told.state("live", "live");
    // After an interruption the answer may be the one that is shown, and is not told again: then nothing else takes the problem away.
    if (wasTold) this.#render();
    else this.#showFreshness();
  }

  #fail(problem, state) {
    this.#problem = problem;
    this.#told.state("bad", problem.status === 0 ? "not connected" : state);
    this.#render();
  }

  async #askTotal() {
    const [question, path] = [this.#question, this.#path()];
    const isOld = () => question !== this.#question;
    try {
      const total = await ask(`${path}/total`, totalParameters(question));
      if (!isOld()) showTotals(total, question.value);
      if (!isOld() && this.#answer && !hasEvents(this.#answer.points)) await this.#askEver(question, path);
    } catch (problem) {
      if (!isOld()) cannotTell(byId("totals"), problem, "dl");
    }
  }

  /** Whether the key has ever had an event, to say what an empty series means. */
  async #askEver(question, path) {
    const ever = await ask(`${path}/total`, { ...keyParameters(question), version: question.version });
    if (question !== this.#question) return;
    this.#everBefore = hasEvents([ever]) ? ever : false;
    this.#render();
  }

  async #askTop() {
    const [question, metric, place] = [this.#question, this.#metric, byId("top").querySelector(".body")];
    const isOld = () => question !== this.#question;
    if (!openColumns(question, metric).length) {
      const why = metric.by.length ? "Every column is given, so there is one key." : `${metric.name} has no columns to divide it by.`;
      fill(place, h("p", { class: "quiet" }, why));
      return;
    }
    try {
      const parameters = { measure: rankable(metric, question.value), limit: TOP_LIMIT, ...totalParameters(question) };
      const top = await ask(`${this.#path()}/top`, parameters);
      if (!isOld()) showTop(place, top, question, this.#told.ask);
    } catch (problem) {
      if (!isOld()) cannotTell(place, problem, "table");
    }
  }

  #path() {
    return `/v1/metrics/${encodeURIComponent(this.#metric.name)}`;
  }

  #render() {
    const [answer, problem] = [this.#answer, this.#problem];
    const { value, zone } = this.#question;
    byId("answer").classList.toggle("stale", Boolean(problem && answer));
    const notes = [];
    if (problem) notes.push(problemWords(problem, Boolean(answer)));
    if (answer && !answer.complete) notes.push(note("warn", "Incomplete: records that arrived may be missing", gapList(answer.gaps)));
    const isEmpty = answer && !hasEvents(answer.points);
    if (isEmpty && !problem) notes.push(answer.complete ? emptyWords(this.#question, this.#metric, this.#everBefore, this.#told.ask) : incompleteWords());
    fill(byId("answer-notes"), notes);
    fill(byId("legend"), answer ? legend(answer) : "");
    if (problem && !answer) fill(byId("top").querySelector(".body"), h("p", { class: "quiet" }, "They are not known now."));
    byId("chart-title").textContent = `${value} by ${answer ? `steps of ${answer.step}` : "step"}, ${zone}`;
    byId("chart-words").textContent = answer ? chartWords(answer, value, zone) : problem ? "There is no series to draw." : "Asking …";
    if (answer) this.#chart.show(answer, value, zone);
    this.#showRows();
    this.#showFreshness();
    this.#say();
  }

  #showFreshness() {
    const place = byId("answer-freshness");
    if (!this.#answer) return fill(place);
    const lag = this.#asOf ? Math.max(0, Date.now() - Date.parse(this.#asOf)) : null;
    const complete = this.#problem
      ? badge("bad", "not updated")
      : this.#answer.complete
        ? badge("good", this.#answer.authoritative ? "complete, from batch alone" : "complete")
        : badge("warn", "incomplete");
    const asOf = this.#asOf ? `as of ${clockText(this.#asOf, this.#question.zone)}, ${lengthText(lag)} ago` : "as of when is not known";
    fill(place, complete, " ", h("span", {}, asOf));
  }

  #showRows() {
    const details = byId("series-rows");
    details.hidden = !this.#answer;
    if (!details.open || !this.#answer) return;
    const { points, step } = this.#answer;
    const stepMs = durationMs(step) ?? 60_000;
    const names = Object.keys(points[0]?.values ?? {});
    const columns = [
      { name: "start", cell: (point) => stepText(point.start, stepMs, this.#question.zone) },
      ...names.map((name) => ({ name, number: true, cell: (point) => valueText(point.values[name]) })),
      { name: "layer", cell: (point) => point.layer },
    ];
    fill(details.querySelector(".scroll"), table(`Series of ${this.#metric.name}, newest first`, columns, [...points].reverse()));
  }

  #say() {
    const [answer, problem] = [this.#answer, this.#problem];
    if (problem) announce("answer", `${problem.title}. ${problem.detail}`);
    else if (answer) announce("answer", `${byId("answer-title").textContent}: ${answer.complete ? "complete" : "incomplete"}, and live.`);
  }
}

/** Says why something is not known, unless what was known before is still shown: the series then says that it is old. */
function cannotTell(place, problem, known) {
  if (place.querySelector(known) && problem.mayPass) return;
  fill(place, note("warn", problem.title || "It cannot be told", h("p", {}, problem.message)));
}

const nothing = (missing) => Object.fromEntries(Object.entries(missing).filter(([, is]) => is).map(([name]) => [name, null]));

/** Keys cannot be ranked by what is no number, such as a list of frequent values. */
const rankable = (metric, value) => (/^top\(/.test(metric.measures[value] ?? "") || /^quantile\(/.test(metric.measures[value] ?? "") ? null : value);

function legend(answer) {
  const seen = new Set(answer.points.map((point) => point.layer));
  const marks = LAYERS.filter(([layer]) => seen.has(layer)).map(([layer, text]) => h("li", {}, h("span", { class: `mark ${layer}`, "aria-hidden": "true" }), ` ${layer}: ${text}`));
  const cut = answer.provenance.batch.committed_at && h("li", {}, h("span", { class: "mark cutline", "aria-hidden": "true" }), " cut: when the batch view was committed");
  return h("ul", {}, marks, cut);
}
