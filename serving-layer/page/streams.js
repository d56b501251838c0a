// Streams: how far each is written, and what one writes, as it comes.

import { ask, url } from "./api.js";
import { badge, byId, fill, h, note, table, wide } from "./element.js";
import { watch } from "./events.js";
import { momentText, number, valueText } from "./format.js";

export const id = "streams";
export const title = "Streams";
export const needs = ["streams"];

/** Stays as it is when the panel is shown anew. */
export const below = h("div", { id: "stream-outputs" });

const SHOWN = 30;
const REDRAW_MS = 200;

// What is watched: it lives on when the panel is shown anew.
const watched = { stream: null, own: null, outputs: [], notes: [], problem: null, count: 0, timer: null };

export function show({ streams: { streams } }, { question }) {
  if (!streams.length) return h("p", { class: "quiet" }, "The catalog declares no stream.");
  const toggle = (stream) => {
    const isOn = watched.stream?.name === stream.name;
    // What is so when the button is pressed counts, not when it was drawn.
    const turn = () => (watched.stream?.name === stream.name ? stop() : start(stream, question()));
    return h("button", { type: "button", id: `watch-${stream.name}`, "aria-pressed": String(isOn), class: "quiet", onclick: turn }, isOn ? `Stop watching ${stream.name}` : `Watch ${stream.name}`);
  };
  const written = ({ written: is, stopped }) => (is ? badge(stopped.length ? "warn" : "good", stopped.length ? "stopped in part" : "written") : badge(is === null ? "plain" : "warn", is === null ? "not known" : "not written"));
  const behind = ({ partitions }) => {
    const all = partitions.map((partition) => partition.behind);
    return all.length && all.every((one) => one !== null) ? number(all.reduce((one, other) => one + other, 0)) : "–";
  };
  const columns = [
    { name: "stream", cell: ({ name }) => name },
    { name: "kind", cell: ({ kind }) => kind },
    { name: "reads", cell: ({ from }) => from },
    { name: "topic", cell: ({ topic }) => topic },
    { name: "state", cell: written },
    { name: "records not decided", number: true, cell: behind },
    { name: "as they arrive", cell: toggle },
  ];
  const sentences = streams.flatMap(({ name, why, stopped, warnings }) => [...new Set([why, ...stopped, ...warnings].filter(Boolean))].map((text) => ({ name, text })));
  return [
    wide("Streams", table("Streams and how far each is written", columns, streams)),
    sentences.length > 0 && h("ul", { class: "gaps" }, sentences.map(({ name, text }) => h("li", {}, h("strong", {}, name), `: ${text}`))),
  ];
}

function stop() {
  watched.own?.close();
  Object.assign(watched, { stream: null, own: null, outputs: [], notes: [], problem: null });
  mark();
  fill(below);
}

/** Shows the newest outputs, and then each that is written. */
async function start(stream, { version, zone }) {
  stop();
  Object.assign(watched, { stream, count: 0 });
  mark();
  draw(zone);
  const path = `/v1/streams/${encodeURIComponent(stream.name)}`;
  const isOld = () => watched.stream !== stream;
  try {
    const { outputs, last_event_id: lastEventId } = await ask(path, { limit: SHOWN, version });
    if (isOld()) return;
    watched.outputs = outputs;
    draw(zone);
    const told = {
      open: () => clear(zone, isOld),
      event: (kind, data) => {
        if (isOld()) return;
        if (kind === "message") take(data);
        else if (kind === "gap") watched.notes = [...watched.notes, data.text].slice(-3);
        else if (kind === "end") watched.notes = [...watched.notes, `The server ended it: ${data.reason}.`].slice(-3);
        soon(zone);
      },
      problem: (problem) => isOld() || fail(problem, zone),
      refused: (problem) => isOld() || fail(problem, zone),
    };
    watched.own = watch(url(path, { version }), told, { lastEventId });
  } catch (problem) {
    if (!isOld()) fail(problem, zone);
  }
}

function take(output) {
  watched.outputs = [output, ...watched.outputs].slice(0, SHOWN);
  watched.count += 1;
}

function clear(zone, isOld) {
  if (isOld()) return;
  watched.problem = null;
  soon(zone);
}

function fail(problem, zone) {
  watched.problem = problem;
  draw(zone);
}

/** Draws a little later, so that a thousand outputs a second are drawn five times. */
function soon(zone) {
  watched.timer ??= setTimeout(() => {
    watched.timer = null;
    if (watched.stream) draw(zone);
  }, REDRAW_MS);
}

function draw(zone) {
  const { stream, outputs, notes, problem, count } = watched;
  const names = ["output_time", ...Object.keys(outputs[0] ?? {}).filter((name) => name !== "output_time" && name !== "output_id")];
  const cell = (name) => (output) => (name === "output_time" ? momentText(output[name], zone) : valueText(output[name]));
  const columns = names.map((name) => ({ name, cell: cell(name) }));
  fill(
    below,
    h("h3", {}, `${stream.name}, as it arrives `, badge("plain", `${number(count)} since you watch`)),
    problem && note("bad", problem.title, h("p", {}, problem.message)),
    notes.map((text) => h("p", { class: "note warn" }, text)),
    outputs.length ? wide(`Outputs of ${stream.name}`, table(`The newest outputs of ${stream.name}, the newest first`, columns, outputs)) : h("p", { class: "quiet" }, "It has written nothing yet. What it writes shows here."),
  );
}

/** Shows on the buttons which stream is watched. */
function mark() {
  for (const button of document.querySelectorAll("[id^=watch-]")) {
    const name = button.id.slice("watch-".length);
    const isOn = watched.stream?.name === name;
    button.setAttribute("aria-pressed", String(isOn));
    button.textContent = isOn ? `Stop watching ${name}` : `Watch ${name}`;
  }
  byId("streams")?.classList.toggle("watching", Boolean(watched.stream));
}
