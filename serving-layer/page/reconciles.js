// Past reconciles: what each moved from speed to batch, and by how much the layers had differed.

import { badge, h, table, wide } from "./element.js";
import { isNumber, lengthText, momentText, number, valueText } from "./format.js";

export const id = "reconciles";
export const title = "Reconciles";
export const needs = ["reconciliations"];

export function show({ reconciliations: { reconciliations } }, { question }) {
  const { zone } = question();
  const metrics = reconciliations.filter((row) => !row.stream_check);
  const checks = reconciliations.filter((row) => row.stream_check);
  return [metrics.length ? ofMetrics(metrics, zone) : h("p", { class: "quiet" }, "Nothing was reconciled yet: all numbers come from the speed view."), checks.length > 0 && ofStreams(checks, zone)];
}

function ofMetrics(rows, zone) {
  const columns = [
    { name: "when", cell: (row) => momentText(row.reconciled_at, zone) },
    { name: "metric", cell: (row) => row.metric },
    { name: "view", number: true, cell: (row) => number(row.view_version) },
    { name: "moved", number: true, cell: (row) => number(row.offsets) },
    { name: "added", number: true, cell: (row) => number(row.rows_added) },
    { name: "took", number: true, cell: (row) => lengthText(row.took_ms) },
    { name: "drift", cell: drift },
    { name: "by value", cell: byValue },
  ];
  return wide("Past reconciles", table("Past reconciles, the newest first. Moved: offsets that left the speed view. Drift: what speed had counted, less what batch found.", columns, rows, { unseen: false }));
}

function drift({ comparable, drift: of, reason, detail }) {
  if (!comparable || !of) return h("span", { title: detail }, badge("plain", `not compared${reason ? `: ${reason}` : ""}`));
  if (of.unexplained) return badge("bad", `${number(of.unexplained)} buckets unexplained`);
  if (of.differing) return badge("warn", `${number(of.duplicates)} duplicates in ${number(of.differing)} buckets`);
  return badge("good", `none in ${number(of.buckets)} buckets`);
}

function byValue({ drift: of }) {
  const differ = (of?.measures ?? []).filter((measure) => measure.differing_buckets);
  const text = ({ name, speed, batch, difference }) => `${name}: speed ${valueText(speed)}, batch ${valueText(batch)}${isNumber(difference) ? `, drift ${valueText(difference)}` : ""}`;
  return differ.length ? differ.map(text).join("; ") : "–";
}

function ofStreams(rows, zone) {
  const found = ({ stream_check: check }) => {
    const differences = check.missing + check.extra + check.different;
    return differences ? badge("bad", `${number(check.missing)} missing, ${number(check.extra)} extra, ${number(check.different)} different`) : badge("good", "as decided again");
  };
  const columns = [
    { name: "when", cell: (row) => momentText(row.reconciled_at, zone) },
    { name: "stream", cell: (row) => row.metric },
    { name: "outputs", number: true, cell: (row) => number(row.stream_check.outputs) },
    { name: "late", number: true, cell: (row) => number(row.stream_check.late) },
    { name: "found", cell: found },
  ];
  return [h("h3", {}, "Checks of streams"), wide("Checks of streams", table("Checks of streams, the newest first", columns, rows))];
}
