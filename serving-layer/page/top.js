// The largest keys of the range.

import { fill, h, table, wide } from "./element.js";
import { isNumber, number, valueText } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";

/** A bar as wide as the share of the largest. */
function bar(share) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "share");
  svg.setAttribute("aria-hidden", "true");
  const rect = document.createElementNS(SVG, "rect");
  rect.setAttribute("width", `${Math.round(Math.max(0, Math.min(1, share)) * 100)}%`);
  rect.setAttribute("height", "100%");
  svg.append(rect);
  return svg;
}

export function showTop(place, top, question, ask) {
  if (!top.rows.length) return fill(place, h("p", { class: "quiet" }, "No key has events in this range."));
  const most = Number(top.rows[0].values[top.measure]) || 1;
  const choose = (row) => {
    const given = Object.entries(row.key);
    const key = { ...question.key, ...Object.fromEntries(given.filter(([, value]) => value !== null).map(([name, value]) => [name, String(value)])) };
    const missing = { ...question.missing, ...Object.fromEntries(given.filter(([, value]) => value === null).map(([name]) => [name, true])) };
    return h("button", { type: "button", class: "link", onclick: () => ask({ key, missing }) }, Object.values(row.key).map((value) => (value === null ? "(none)" : String(value))).join(" · "));
  };
  const others = Object.keys(top.rows[0].values).filter((name) => name !== top.measure);
  const value = (name) => (row) => valueText(row.values[name]);
  const columns = [
    { name: top.by.join(" · "), cell: choose },
    { name: top.measure, number: true, cell: (row) => h("span", { class: "with-bar" }, isNumber(row.values[top.measure]) ? bar(Number(row.values[top.measure]) / most) : "", value(top.measure)(row)) },
    ...others.map((name) => ({ name, number: true, cell: value(name) })),
    { name: "layer", cell: (row) => row.layer },
  ];
  const caption = `The ${top.rows.length} largest of ${number(top.ranked)} keys by ${top.measure}`;
  fill(place, wide("Largest keys", table(caption, columns, top.rows, { unseen: false })));
}
