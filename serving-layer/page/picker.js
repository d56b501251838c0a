// The form with which a question is asked.

import { ask } from "./api.js";
import { byId, h } from "./element.js";
import { zoneHere } from "./format.js";
import { RANGES, keyParameters, valuesOf } from "./question.js";

const SUGGESTIONS = 20;
const TYPING_MS = 200;

/** Shows the form; `changed(change)` is called with the members of the question that are others. */
export function showPicker(question, metrics, versions, changed) {
  const metric = metrics.find((one) => one.name === question.metric);
  const form = byId("question");
  const focused = document.activeElement?.id;
  form.replaceChildren(
    choice("metric", "Metric", metrics.map((one) => [one.name, one.name]), question.metric, (name) =>
      changed({ metric: name, key: {}, missing: {}, value: null }),
    ),
    ...metric.by.map((column) => keyInput(column, question, metric, changed)),
    choice("value", "Value", valuesOf(metric).map((name) => [name, name]), question.value, (value) => changed({ value })),
    ranges(question, changed),
    zoneHere === "UTC" ? "" : choice("zone", "Times", [[zoneHere, zoneHere], ["UTC", "UTC"]], question.zone, (zone) => changed({ zone })),
    versions.length > 1
      ? choice("version", "Version", [["", "the active one"], ...versions.map((name) => [name, name])], question.version ?? "", (version) =>
          changed({ version: version || null }),
        )
      : "",
  );
  form.onsubmit = (event) => event.preventDefault();
  if (focused && form.contains(byId(focused))) byId(focused).focus();
}

function choice(id, label, options, chosen, changed) {
  const listed = options.map(([value, text]) => h("option", { value, selected: value === chosen }, text));
  const select = h("select", { id: `ask-${id}`, onchange: () => changed(select.value) }, listed);
  return h("div", { class: "field" }, h("label", { for: `ask-${id}` }, label), select);
}

/** An input for a column, with the values that there are. An absent value is a key of its own where the column is optional. */
function keyInput(column, question, metric, changed) {
  const { name, optional, type } = column;
  const id = `ask-key-${name}`;
  const isMissing = Boolean(question.missing[name]);
  const others = { ...question, key: without(question.key, name), missing: without(question.missing, name) };
  const list = h("datalist", { id: `${id}-list` });
  let [timer, asked] = [null, null];
  const suggest = () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const prefix = type === "string" && input.value ? input.value : null;
      if (asked === `${prefix}`) return;
      asked = `${prefix}`;
      try {
        const parameters = { by: name, prefix, limit: SUGGESTIONS, ...keyParameters(others), version: question.version };
        const { keys } = await ask(`/v1/metrics/${encodeURIComponent(metric.name)}/keys`, parameters);
        list.replaceChildren(...keys.filter((key) => key !== null).map((key) => h("option", { value: String(key) })));
      } catch {
        // Suggestions only help; the answer says what is wrong.
        asked = null;
      }
    }, TYPING_MS);
  };
  const take = () => {
    const value = input.value.trim();
    if (value !== (question.key[name] ?? "")) changed({ key: value ? { ...question.key, [name]: value } : without(question.key, name) });
  };
  const input = h("input", {
    id,
    list: `${id}-list`,
    value: question.key[name] ?? "",
    placeholder: isMissing ? "without a value" : "all",
    disabled: isMissing,
    spellcheck: "false",
    autocapitalize: "off",
    onfocus: suggest,
    oninput: suggest,
    onchange: take,
    onkeydown: (event) => event.key === "Enter" && take(),
  });
  const absent = () =>
    h(
      "label",
      { class: "beside" },
      h("input", {
        type: "checkbox",
        id: `${id}-missing`,
        checked: isMissing,
        onchange: (event) => changed({ missing: { ...question.missing, [name]: event.target.checked }, key: without(question.key, name) }),
      }),
      " without a value",
    );
  return h("div", { class: "field" }, h("label", { for: id }, name), input, list, optional && absent());
}

const without = (of, name) => Object.fromEntries(Object.entries(of).filter(([known]) => known !== name));

function ranges(question, changed) {
  const one = ([value, text]) =>
    h(
      "label",
      { class: "segment" },
      h("input", {
        type: "radio",
        name: "range",
        id: `ask-range-${value}`,
        value,
        checked: !question.from && question.range === value,
        onchange: () => changed({ range: value, from: null, to: null }),
      }),
      h("span", {}, text),
    );
  const [from, to] = [moment("from", "From", question), moment("to", "To", question)];
  const apply = () => {
    const [begin, end] = [from.read(), to.read()];
    if (begin) changed({ from: begin, to: end });
  };
  const other = h(
    "details",
    { class: "other-range", open: Boolean(question.from) },
    h("summary", {}, "Other range"),
    h("div", { class: "pair" }, from.field, to.field, h("button", { type: "button", id: "ask-range-apply", onclick: apply }, "Show")),
  );
  return h("fieldset", { class: "field ranges" }, h("legend", {}, "Range"), h("div", { class: "segments" }, RANGES.map(one)), other);
}

/** An input for a moment by the clocks that the question names. */
function moment(name, label, question) {
  const id = `ask-${name}`;
  const isUtc = question.zone === "UTC";
  const shown = (instant) => {
    if (!instant) return "";
    const date = new Date(instant);
    const shift = isUtc ? 0 : date.getTimezoneOffset() * 60_000;
    return new Date(date.getTime() - shift).toISOString().slice(0, 16);
  };
  const input = h("input", { id, type: "datetime-local", value: shown(question[name]) });
  const read = () => (input.value ? new Date(isUtc ? `${input.value}Z` : input.value).toISOString() : null);
  return { field: h("div", { class: "field" }, h("label", { for: id }, label), input), read };
}
