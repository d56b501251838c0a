// The totals over the range: one tile for each value, with what each layer has added to it.

import { byId, fill, h } from "./element.js";
import { isNumber, valueText } from "./format.js";

export function showTotals(total, chosen) {
  const { batch, speed } = total.provenance;
  const overflow = new Set((total.overflow ?? []).map((one) => one.value));
  const tile = ([name, value]) =>
    h(
      "div",
      { class: `tile${name === chosen ? " chosen" : ""}`, "data-value": name },
      h("dt", {}, name),
      h("dd", { class: "figure-value" }, overflow.has(name) ? "beyond 64 bits" : valueText(value)),
      bounds(total.bounds?.[name]),
      name in (batch.values ?? {}) && isNumber(value) && h("dd", { class: "parts" }, `batch ${valueText(batch.values[name])}, speed ${valueText(speed.values[name])}`),
    );
  fill(byId("totals"), h("dl", {}, Object.entries(total.values).map(tile)));
}

/** How certain an estimate is. */
const bounds = (of) => {
  if (!of || typeof of !== "object") return null;
  if ("relative_error" in of) return h("dd", { class: "parts" }, of.relative_error === null ? "not known how exact" : `± ${valueText(Number(of.relative_error) * 100)} %`);
  if ("exact" in of && !("low" in of)) return h("dd", { class: "parts" }, of.exact ? "exact" : "at least so many");
  const text = of.exact ? "exact" : `between ${valueText(of.low)} and ${valueText(of.high)}`;
  return h("dd", { class: "parts" }, text);
};
