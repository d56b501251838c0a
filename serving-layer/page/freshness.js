// How fresh the answers of each metric are, and where their cuts are.

import { badge, h, note, table, wide } from "./element.js";
import { agoText, lengthText, momentText, number, bytesText } from "./format.js";

export const id = "freshness";
export const title = "Freshness";
export const needs = ["metrics"];

export function show({ metrics: { metrics } }, { ask, question }) {
  const { zone } = question();
  const state = ({ freshness }) => (freshness.error ? badge("bad", "not known") : freshness.complete ? badge("good", "complete") : badge("warn", `${freshness.gaps.length} gaps`));
  const choose = ({ name }) => h("button", { type: "button", class: "link", onclick: () => ask({ metric: name, key: {}, missing: {}, value: null }) }, name);
  const cut = ({ cut }) => {
    if (!cut) return "none yet";
    const paused = cut.pause && badge("warn", `paused at ${cut.pause.rolled_back_to}`);
    return [`${number(cut.version)} `, paused, !cut.is_current && badge("warn", "of another definition")];
  };
  const columns = [
    { name: "metric", cell: choose },
    { name: "answers", cell: state },
    { name: "behind", number: true, cell: ({ freshness }) => lengthText(freshness.lag_ms) },
    { name: "as of", cell: ({ freshness }) => momentText(freshness.as_of, zone) },
    { name: "batch view", cell: (metric) => h("span", {}, cut(metric)) },
    { name: "cut", cell: ({ cut }) => (cut ? `${momentText(cut.committed_at, zone)}, ${agoText(cut.committed_at, Date.now())}` : "–") },
    { name: "on disk", number: true, cell: ({ cut }) => (cut ? bytesText(cut.segments.bytes) : "–") },
  ];
  const failed = metrics.filter(({ freshness }) => freshness.error);
  const error = failed.length > 0 && note("bad", `It is not known how fresh ${failed.length} of ${metrics.length} metrics are`, h("p", {}, failed[0].freshness.error));
  return [error, wide("Freshness of metrics", table("How fresh each metric is", columns, metrics))];
}
