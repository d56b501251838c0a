// What answers lack now, and what was lost for good.

import { h, note, badge } from "./element.js";
import { gapList } from "./gap_list.js";
import { number } from "./format.js";

export const id = "gaps";
export const title = "Gaps";
export const needs = ["metrics", "status"];

export function show({ metrics: { metrics }, status }) {
  const open = metrics.filter(({ freshness }) => freshness.gaps?.length);
  const unknown = metrics.filter(({ freshness }) => freshness.error);
  const lost = status.sources.flatMap(({ name, partitions }) => partitions.flatMap((partition) => partition.lost.map((range) => ({ name, ...partition, ...range }))));
  const parts = [];
  if (unknown.length) parts.push(note("bad", "It is not known what is missing", h("p", {}, unknown[0].freshness.error)));
  for (const { name, freshness } of open) parts.push(h("h3", {}, `${name} `, badge("warn", "incomplete")), gapList(freshness.gaps));
  if (!open.length && !unknown.length) parts.push(h("p", {}, badge("good", "none"), " No answer lacks anything that has arrived."));
  if (lost.length) {
    const line = (of) => h("li", {}, `${of.name}, partition ${of.partition}: offsets ${number(of.from)} to ${number(of.to)} were lost before they were archived `, badge(of.accepted ? "plain" : "warn", of.accepted ? "accepted" : "not accepted"));
    parts.push(h("h3", {}, "Lost for good"), h("ul", { class: "gaps" }, lost.map(line)), h("p", { class: "hint" }, h("code", {}, "braid lost list"), " lists them, and ", h("code", {}, "braid lost accept"), " accepts them."));
  }
  return parts;
}
