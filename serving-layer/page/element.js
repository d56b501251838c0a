// Makes elements. Text is always set as text, so nothing that comes from an event or a catalog is read as markup.

/** An element with attributes and children; `on…` are listeners, null and false children are left out. */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/**
 * Puts `children` in place of what an element holds. What looks the same stays as it is, so that a reader's focus, selection and open
 * details survive.
 */
export function fill(element, ...children) {
  const next = h("div", {}, ...children);
  alike(element, next);
}

/** Makes the children of `element` those of `wanted`. */
function alike(element, wanted) {
  const fresh = [...wanted.childNodes];
  const old = [...element.childNodes];
  fresh.forEach((node, at) => {
    const known = old[at];
    if (!known) element.append(node);
    else if (known.isEqualNode(node)) return;
    else if (canBecome(known, node)) become(known, node);
    else known.replaceWith(node);
  });
  old.slice(fresh.length).forEach((node) => node.remove());
}

// Elements that have listeners are replaced: those of the new one hold what is known now.
const canBecome = (known, node) =>
  known.nodeType === node.nodeType && known.nodeName === node.nodeName && !["BUTTON", "INPUT", "SELECT", "FORM"].includes(node.nodeName);

function become(known, node) {
  if (known.nodeType === Node.TEXT_NODE) {
    known.data = node.data;
    return;
  }
  for (const { name } of [...known.attributes]) if (!node.hasAttribute(name) && !(name === "open" && known.nodeName === "DETAILS")) known.removeAttribute(name);
  for (const { name, value } of [...node.attributes]) if (known.getAttribute(name) !== value) known.setAttribute(name, value);
  alike(known, node);
}

/** A table with a caption. Each column is `{ name, cell, number }`; `cell` makes a text or an element of a row. */
export function table(caption, columns, rows, { unseen = true } = {}) {
  const head = columns.map(({ name, number }) => h("th", { scope: "col", class: number && "number" }, name));
  const line = (row) =>
    columns.map(({ cell, number }, at) => {
      const attributes = { class: number && "number" };
      return at === 0 ? h("th", { ...attributes, scope: "row" }, cell(row)) : h("td", attributes, cell(row));
    });
  return h(
    "table",
    {},
    h("caption", { class: unseen && "unseen" }, caption),
    h("thead", {}, h("tr", {}, head)),
    h("tbody", {}, rows.map((row) => h("tr", {}, line(row)))),
  );
}

/** A table that can be scrolled by keyboard where it is wider than its place. */
export const wide = (label, of) => h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, of);

/** A word that stands for a state: `good`, `warn`, `bad` or `plain`. */
export const badge = (kind, text) => h("span", { class: `badge ${kind}` }, text);

/** A note of one of the same kinds. */
export const note = (kind, title, ...more) => h("div", { class: `note ${kind}` }, h("p", {}, h("strong", {}, title)), ...more);
