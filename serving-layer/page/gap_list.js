// Gaps: what an answer may lack.

import { h } from "./element.js";

/** As a list. Gaps of several partitions for one reason stand in one line. */
export function gapList(gaps) {
  const lines = new Map();
  for (const { reason, text, source, partition } of gaps) {
    const line = lines.get(`${source} ${text}`) ?? { reason, text, source, partitions: [] };
    if (partition !== null) line.partitions.push(partition);
    lines.set(`${source} ${text}`, line);
  }
  const where = ({ source, partitions }) => (partitions.length ? `${source}, partition${partitions.length > 1 ? "s" : ""} ${partitions.join(", ")}` : source);
  return h("ul", { class: "gaps" }, [...lines.values()].map((line) => h("li", {}, h("strong", {}, where(line)), `: ${line.text} `, h("code", {}, line.reason))));
}
