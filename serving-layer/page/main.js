// Starts the page: asks which metrics there are, shows the question of the address, and keeps the panels.

import { ask } from "./api.js";
import { byId, fill, h, note } from "./element.js";
import { Panels } from "./panels.js";
import { showPicker } from "./picker.js";
import { fromAddress, suited, toAddress } from "./question.js";
import { startTheme } from "./theme.js";
import { View } from "./view.js";
import { problemWords } from "./words.js";

const RETRY_MS = 2_000;

let question = fromAddress(location.search);
let metrics = [];
let versions = [];
let cut = null;

const view = new View({ answer: answered, state: showState, ask: askFor });
let panels = null;
startTheme(() => view.repaint());

function showState(kind, text) {
  const place = byId("connection");
  place.className = `state ${kind}`;
  place.textContent = text;
}

/** A new cut means that something was reconciled. */
function answered(answer) {
  const { version } = answer.provenance.batch;
  if (cut !== null && version !== cut) panels?.again("reconciliations", "metrics");
  cut = version;
}

/** Asks for something else than before. */
async function askFor(change) {
  const isAnotherVersion = "version" in change && change.version !== question.version;
  const next = { ...question, ...change };
  if (toAddress(next) === toAddress(question)) return;
  question = next;
  history.pushState(null, "", toAddress(question));
  if (isAnotherVersion) await learn();
  else show();
}

function show() {
  const metric = metrics.find(({ name }) => name === question.metric) ?? metrics[0];
  const isUnknown = question.metric && metric.name !== question.metric;
  fill(byId("trouble"), isUnknown ? note("warn", `There is no metric ${question.metric}`, h("p", {}, `The catalog declares ${metrics.map(({ name }) => name).join(", ")}.`)) : "");
  question = suited(question, metric);
  cut = null;
  showPicker(question, metrics, versions, askFor);
  view.show(question, metric);
}

/** Asks for the catalog's metrics until they are there. */
async function learn() {
  try {
    ({ metrics } = await ask("/v1/metrics", { version: question.version }));
  } catch (problem) {
    if (problem.kind === "unknown-version" || problem.kind === "version-retired") {
      question = { ...question, version: null };
      fill(byId("trouble"), note("warn", problem.title, h("p", {}, problem.detail)));
      setTimeout(learn, RETRY_MS);
      return;
    }
    showState("bad", problem.status === 0 ? "not connected" : "no answer");
    fill(byId("trouble"), problemWords(problem, false));
    setTimeout(learn, RETRY_MS);
    return;
  }
  if (!metrics.length) {
    showState("live", "no metrics");
    fill(byId("trouble"), note("plain", "The catalog declares no metric", h("p", {}, "Add a [metrics.…] section to catalog.toml; `braid init` writes a first one from a sample of your records.")));
  } else show();
  if (panels) panels.again();
  else panels = new Panels({ ask: askFor, question: () => question, known, failed: () => {} });
}

/** What panels have heard that the rest of the page shows, too. */
function known(name, body) {
  if (name === "status") {
    byId("deployment").textContent = `${body.deployment.name} ${body.deployment.version}`;
    byId("program").textContent = `Braid ${body.braid}`;
    document.title = `${body.deployment.name} – Braid`;
  } else if (name === "versions") {
    const living = body.versions.filter(({ stage, error }) => ["counting", "following"].includes(stage) && !error).map(({ version }) => version);
    if (living.join() === versions.join()) return;
    versions = living;
    if (metrics.length && !byId("question").contains(document.activeElement)) showPicker(question, metrics, versions, askFor);
  }
}

addEventListener("popstate", () => {
  const isOfVersion = question.version;
  question = fromAddress(location.search);
  if (question.version !== isOfVersion) learn();
  else if (metrics.length) show();
});

learn();
