// A series as bars, told apart by the layer that each comes from, with the cut. The bars are drawn by uPlot; the cut is an element above them.

import { h } from "./element.js";
import { isNumber, shortNumber, stepText, valueText, momentText, durationMs } from "./format.js";
import { colour } from "./theme.js";

/** The layers in the order in which they are drawn. */
export const LAYERS = [
  ["batch", "counted by the batch layer"],
  ["both", "batch and speed"],
  ["speed", "counted by the speed layer so far"],
];
const HEIGHT = 240;
const BAR_WIDTH_MAX = 48;

/** A chart within an element. */
export class Chart {
  #place;
  #plot = null;
  #shape = "";
  #answer = null;
  #value = "";
  #zone = "UTC";
  #cut = h("div", { class: "cut", "aria-hidden": "true" }, h("span", {}, "cut"));
  #readout = h("p", { class: "readout", "aria-hidden": "true" });

  constructor(place) {
    this.#place = place;
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(place);
  }

  /** Draws an answer to `series`. */
  show(answer, value, zone) {
    [this.#answer, this.#value, this.#zone] = [answer, value, zone];
    const shape = `${zone} ${answer.step}`;
    if (!this.#plot || shape !== this.#shape) {
      this.#plot?.destroy();
      this.#place.replaceChildren();
      this.#shape = shape;
      this.#plot = new globalThis.uPlot(this.#options(), this.#data(), this.#place);
      this.#plot.over.append(this.#cut);
      this.#place.append(this.#readout);
      if (!performance.getEntriesByName("first chart").length) performance.mark("first chart");
    } else this.#plot.setData(this.#data());
  }

  /** Draws the same in the colours of now. */
  repaint() {
    this.#plot?.redraw(true, true);
  }

  clear() {
    this.#plot?.destroy();
    this.#plot = null;
    this.#place.replaceChildren();
  }

  #size() {
    return { width: Math.max(200, this.#place.clientWidth), height: HEIGHT };
  }

  #stepMs() {
    return durationMs(this.#answer.step) ?? 60_000;
  }

  #data() {
    const points = this.#answer.points;
    const at = points.map((point) => Date.parse(point.start) / 1000);
    const of = (layer) => points.map(({ values, layer: of }) => (of === layer && isNumber(values[this.#value]) ? Number(values[this.#value]) : null));
    return [at, ...LAYERS.map(([layer]) => of(layer))];
  }

  #options() {
    const { uPlot } = globalThis;
    const paths = uPlot.paths.bars({ size: [0.86, BAR_WIDTH_MAX, 1], align: 1 });
    const axis = { stroke: () => colour("muted"), grid: { stroke: () => colour("line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const layer = ([name, label]) => ({ label, paths, fill: () => fillOf(name), stroke: () => colour(name), width: 1, points: { show: false } });
    const zone = this.#zone;
    return {
      ...this.#size(),
      // The name of the cut stands above.
      padding: [22, 8, 0, 0],
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: {
        x: { range: (_, least, most) => [least, most + this.#stepMs() / 1000] },
        y: { range: (_, least, most) => (least === null || least === undefined ? [0, 1] : [Math.min(0, least), Math.max(0, most) * 1.08 || 1]) },
      },
      axes: [
        { ...axis, values: clocks(uPlot) },
        { ...axis, size: 56, values: (_, ticks) => ticks.map(shortNumber) },
      ],
      series: [{}, ...LAYERS.map(layer)],
      hooks: { draw: [(plot) => this.#placeCut(plot)], setCursor: [(plot) => this.#read(plot)] },
    };
  }

  /** Puts the cut where the batch view was committed. */
  #placeCut(plot) {
    const at = this.#answer.provenance.batch.committed_at;
    const seconds = at ? Date.parse(at) / 1000 : null;
    const isSeen = seconds !== null && seconds >= plot.scales.x.min && seconds <= plot.scales.x.max;
    this.#cut.hidden = !isSeen;
    if (!isSeen) return;
    const left = plot.valToPos(seconds, "x");
    this.#cut.style.left = `${left}px`;
    this.#cut.classList.toggle("late", left > plot.over.clientWidth / 2);
    this.#cut.dataset.at = at;
    this.#cut.dataset.view = String(this.#answer.provenance.batch.version);
  }

  #read(plot) {
    const at = plot.cursor.idx;
    const point = at === null || at === undefined || plot.cursor.left < 0 ? null : this.#answer.points[at];
    this.#readout.textContent = point ? `${stepText(point.start, this.#stepMs(), this.#zone)}: ${valueText(point.values[this.#value])} (${point.layer})` : "";
  }
}

/** uPlot's own labels of times, with clocks of 24 hours and the day first. */
const clocks = (uPlot) => [
  [3600 * 24 * 365, "{YYYY}", null, null, null, null, null, null, 1],
  [3600 * 24 * 28, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [3600 * 24, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [3600, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  [60, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
];

/** Bars of both layers are hatched and those of speed are light, so that colour alone tells nothing. */
function fillOf(layer) {
  if (layer === "batch") return colour("batch");
  if (layer === "speed") return `${colour("speed")}66`;
  const size = 8;
  const tile = h("canvas", { width: size, height: size });
  const context = tile.getContext("2d");
  context.fillStyle = colour("batch");
  context.fillRect(0, 0, size, size);
  context.strokeStyle = colour("speed");
  context.lineWidth = 3;
  for (const shift of [-size, 0, size]) {
    context.beginPath();
    context.moveTo(shift, size);
    context.lineTo(shift + size, 0);
    context.stroke();
  }
  return context.createPattern(tile, "repeat");
}

/** What the chart shows, in words. */
export function chartWords(answer, value, zone) {
  const step = durationMs(answer.step) ?? 60_000;
  const points = answer.points.filter(({ values }) => isNumber(values[value]));
  const { version, committed_at: committedAt } = answer.provenance.batch;
  const cut = committedAt
    ? `The cut: batch view ${version} was committed at ${momentText(committedAt, zone)}. What has arrived since comes from the speed view.`
    : "No batch view counts this yet: all of it comes from the speed view.";
  if (!points.length) return `${answer.points.length} steps of ${answer.step} without a number. ${cut}`;
  const by = (pick) => points.reduce((best, point) => (pick(Number(point.values[value]), Number(best.values[value])) ? point : best));
  const [least, most, last] = [by((one, other) => one < other), by((one, other) => one > other), points.at(-1)];
  const says = (point) => `${valueText(point.values[value])} at ${stepText(point.start, step, zone)}`;
  const from = LAYERS.map(([layer]) => [layer, answer.points.filter((point) => point.layer === layer).length]).filter(([, count]) => count);
  const layers = from.map(([layer, count]) => `${count} ${layer}`).join(", ");
  return `${answer.points.length} steps of ${answer.step}: least ${says(least)}, most ${says(most)}, last ${says(last)}. Steps by layer: ${layers}. ${cut}`;
}
