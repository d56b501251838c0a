// What the page says instead of numbers: why there is no answer, or why it is empty.

import { h, note } from "./element.js";
import { isNumber, keyText, valueText } from "./format.js";
import { gapList } from "./gap_list.js";
import { mayAskAgain } from "./key.js";

/** What a reader can do about a problem, beyond what the server says. */
const ADVICE = {
  "redis-unavailable": "Batch views are there, but what has arrived since the cut lies in Redis. The page shows the last answer that it had, and goes on by itself once Redis is back.",
  unreachable: "The page goes on by itself once the server answers.",
  starting: "This takes a moment after a start.",
  "store-unavailable": "The page goes on by itself once the store can be read.",
  "too-many-questions": "The page asks again and again until there is room.",
  "too-many-watchers": "The page asks again and again until there is room.",
  "unknown-metric": "Choose another metric above.",
};

/** A problem in words; `hasOld` says whether an older answer is still shown. */
export function problemWords(problem, hasOld) {
  const advice = ADVICE[problem.kind] ?? (problem.mayPass ? "The page asks again by itself." : null);
  return note(
    "bad",
    problem.title,
    h("p", {}, problem.detail),
    problem.gaps.length > 0 && gapList(problem.gaps),
    advice && h("p", {}, advice),
    hasOld && h("p", {}, "What is shown below is the last answer, and does not change."),
    problem.status === 401 && h("p", {}, h("button", { type: "button", onclick: again }, "Enter a key")),
  );
}

function again() {
  mayAskAgain();
  location.reload();
}

/** Whether anything was counted: a number that is not zero, or anything else that is there. */
export const hasEvents = (points) => points.some(({ values }) => Object.values(values).some(counts));

const counts = (value) => (isNumber(value) ? Number(value) !== 0 : Array.isArray(value) ? value.length > 0 : value !== null && value !== undefined);

/** That nothing is known, which is not the same as that there is nothing. */
export const incompleteWords = () => note("plain", "Nothing is counted in this range", h("p", {}, "That may be only because of what is missing, as said above."));

/** What an empty series means. `ever` is the total over all time, false if that is empty, too, and null as long as it is not known. */
export function emptyWords(question, metric, ever, ask) {
  const asked = { ...question.key, ...Object.fromEntries(Object.keys(question.missing).filter((name) => question.missing[name]).map((name) => [name, null])) };
  const hasKey = Object.keys(asked).length > 0;
  if (ever === null) return note("plain", "No events in this range");
  if (ever) {
    const all = Object.entries(ever.values).map(([name, value]) => `${name} ${valueText(value)}`).join(", ");
    const widen = h("button", { type: "button", onclick: () => ask({ range: "365d", from: null, to: null }) }, "Show the last year");
    return note("plain", "No events in this range", h("p", {}, `Over all time, ${keyText(asked)}: ${all}.`), h("p", {}, widen));
  }
  if (hasKey) {
    const drop = h("button", { type: "button", onclick: () => ask({ key: {}, missing: {} }) }, "Show all keys");
    return note("plain", "Unknown key", h("p", {}, `${metric.name} has counted no event with ${keyText(asked)}. Keys are compared to the letter.`), h("p", {}, drop));
  }
  return note(
    "plain",
    "No events have been counted yet",
    h("p", {}, `${metric.name} counts events of the source ${metric.source}${metric.where ? `, of which ${metric.where}` : ""}. Send some, and they show here without a reload:`),
    h("p", {}, h("code", {}, `braid send --source ${metric.source} FILE`)),
  );
}
