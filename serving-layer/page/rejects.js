// Records that could not be decoded, by reason, and their bytes, which are asked for once a reader opens them.

import { ask } from "./api.js";
import { h, fill, table, wide, badge, note } from "./element.js";
import { number } from "./format.js";

export const id = "rejects";
export const title = "Rejects";
export const needs = ["status"];

const MOST = 20;
/** What was answered of each source, or why not, and for how many rejects it was asked. */
const known = new Map();
let version = null;

export function show({ status: { sources } }, context) {
  const asked = context?.question()?.version ?? null;
  if (asked !== version) known.clear();
  version = asked;
  const rows = sources.flatMap(({ name, rejects }) => rejects.map((reject) => ({ name, ...reject })));
  if (!rows.length) return h("p", {}, badge("good", "none"), " Every record could be decoded.");
  const columns = [
    { name: "source", cell: ({ name }) => name },
    { name: "reason", cell: ({ reason }) => reason },
    { name: "records", number: true, cell: ({ count }) => number(count) },
    { name: "the last of them", cell: ({ last }) => last.error },
    { name: "its bytes", cell: ({ name, last }) => h("code", {}, `braid rejected show ${name} ${last.log}/${last.partition}/${last.offset}`) },
  ];
  return [
    h("p", { class: "hint" }, "The archive keeps the bytes of every rejected record. They may hold what a client sent by mistake: they are asked for only when they are opened here, and with API keys that needs one with the scope admin. The commands show a record whole, to whoever may read the store."),
    wide("Rejected records", table("Rejected records by source and reason", columns, rows)),
    sources.filter(({ rejects }) => rejects.length).map(bytesOf),
  ];
}

function bytesOf({ name, rejects }) {
  const total = rejects.reduce((sum, { count }) => sum + Number(count), 0);
  const place = h("div", { class: "bytes" }, words(name));
  return h("details", { "data-source": name, "data-total": total, ontoggle: opened }, h("summary", {}, `Bytes of the newest rejects of ${name}`), place);
}

// The element outlives what it is shown with, so all that it is about stands in its attributes.
async function opened({ currentTarget: details }) {
  const { source, total } = details.dataset;
  if (!details.open || known.get(source)?.total === total) return;
  const of = version;
  let answer;
  try {
    answer = { total, body: await ask("/v1/rejected", { source, limit: MOST, version: of }) };
  } catch (problem) {
    answer = { problem };
  }
  if (of !== version) return;
  known.set(source, answer);
  if (details.dataset.source === source) fill(details.querySelector(".bytes"), words(source));
}

function words(source) {
  const { body, problem } = known.get(source) ?? {};
  if (problem?.status === 403) {
    return note("warn", "These bytes need a key with the scope admin", h("p", {}, problem.detail), h("p", {}, "To make one: ", h("code", {}, "braid key new --scope admin --name NAME")));
  }
  if (problem) return note("bad", problem.title || "They cannot be told", h("p", {}, problem.message), h("p", {}, "Close this and open it to ask again."));
  if (!body) return h("p", { class: "quiet" }, "Asking …");
  const rest = body.complete ? "Older ones are shown by " : "The search was ended after a few seconds; the rest is shown by ";
  return [
    !body.records.length && h("p", {}, body.archived ? "None of them is archived yet." : "Nothing is archived yet."),
    h("ul", {}, body.records.map((record) => h("li", {}, recordWords(record)))),
    (body.more || !body.complete) && h("p", {}, rest, h("code", {}, `braid rejected list ${source}`)),
  ];
}

const recordWords = ({ log, partition, offset, timestamp, reason, field, current, key, payload }) => [
  h("p", {}, h("code", {}, `${log}/${partition}/${offset}`), ` ${timestamp ?? "without a timestamp"}: ${field ? `${reason}, field ${field}` : reason}${current ? "" : " (by rules of an older catalog)"}`),
  bytesWords("key", key),
  bytesWords("payload", payload),
];

function bytesWords(name, shown) {
  if (!shown) return h("p", { class: "quiet" }, `no ${name}`);
  const kind = shown.text === undefined ? "hexadecimal, " : "";
  const size = `${name} (${kind}${number(shown.bytes)} bytes${shown.cut ? ", cut" : ""})`;
  return [h("p", { class: "quiet" }, size), wide(`${name} of a rejected record`, h("pre", {}, shown.text ?? shown.hex))];
}
