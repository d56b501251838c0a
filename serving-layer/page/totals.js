// The totals over the range: one tile for each value, with what each layer has added to it.

import { byId, fill, h } from "./element.js";
import { isNumber, valueText } from "./format.js";

export function showTotals(total, chosen) {
  const { batch, speed } = total.provenance;
  const overflow = new Set((total.overflow ?? []).map((one) => one.name ?? one.measure));
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
  const text = Object.entries(of).map(([name, value]) => `${name} ${valueText(value)}`).join(", ");
  return h("dd", { class: "parts" }, text);
};
