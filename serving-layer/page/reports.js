// Reports, and the row of a key.

import { ask as request } from "./api.js";
import { byId, fill, h, note, table, wide } from "./element.js";
import { momentText, number, valueText } from "./format.js";

export const id = "reports";
export const title = "Reports";
export const needs = ["reports"];

/** Holds the form, which stays as it is when the panel is shown anew: the reader may be typing. */
export const below = h("div", {});

export function show({ reports: { reports } }, { question }) {
  const { zone } = question();
  if (!reports.length) return h("p", { class: "quiet" }, "The catalog declares no report.");
  const columns = [
    { name: "report", cell: ({ name }) => name },
    { name: "metric", cell: ({ metric }) => metric },
    { name: "schedule", cell: ({ schedule, time_zone: of }) => `${schedule}, ${of}` },
    { name: "last day", cell: ({ last, why }) => (last ? last.date : why ? `not known: ${why}` : "none was written yet") },
    { name: "rows", number: true, cell: ({ last }) => number(last?.rows) },
    { name: "written", cell: ({ last }) => (last ? `${momentText(last.committed_at, zone)}${last.revisions ? `, revised ${number(last.revisions)} times` : ""}` : "–") },
    { name: "running day", cell: ({ running_date: day }) => day ?? "–" },
  ];
  if (!below.hasChildNodes()) below.append(form(reports));
  return wide("Reports", table("Reports and the last day of each", columns, reports));
}

/** Looks up one row: of the warehouse, or of the day that still runs. */
function form(reports) {
  const result = h("div", { "aria-live": "polite" });
  const fields = h("div", { class: "pair" });
  const chosen = () => reports.find(({ name }) => name === select.value);
  const select = h("select", { id: "report-name", onchange: () => choose() }, reports.map(({ name }) => h("option", { value: name }, name)));
  const choose = () => {
    const { key, running_date: day } = chosen();
    fields.replaceChildren(
      field("report-date", "Day", { type: "date", value: day ?? "" }),
      ...key.map((column) => field(`report-key-${column}`, column, { spellcheck: "false", autocapitalize: "off", required: true })),
    );
    fill(result);
  };
  const submit = async (event) => {
    event.preventDefault();
    const { name, key } = chosen();
    const parameters = { date: byId("report-date").value, ...Object.fromEntries(key.map((column) => [column, byId(`report-key-${column}`).value])) };
    try {
      fill(result, row(await request(`/v1/reports/${encodeURIComponent(name)}`, parameters)));
    } catch (problem) {
      fill(result, note("warn", problem.title ?? "There is no row", h("p", {}, problem.message)));
    }
  };
  choose();
  return h(
    "form",
    { class: "look-up", id: "report-row", onsubmit: submit },
    h("h3", {}, "Look up a row"),
    h("div", { class: "pair" }, h("div", { class: "field" }, h("label", { for: "report-name" }, "Report"), select), fields, h("button", { type: "submit" }, "Look up")),
    result,
  );
}

const field = (id, label, attributes) => h("div", { class: "field" }, h("label", { for: id }, label), h("input", { id, ...attributes }));

function row(answer) {
  const kind = answer.final ? "It is the row of the warehouse." : "The day is not written yet: this is what the row would be now.";
  if (!answer.row) return note("plain", "No row", h("p", {}, `The key has no events on ${answer.date}. ${kind}`));
  const columns = [
    { name: "column", cell: ([name]) => name },
    { name: "value", cell: ([, value]) => valueText(value) },
  ];
  return [h("p", {}, kind), wide("The row", table(`${answer.report}, ${answer.date}`, columns, Object.entries(answer.row)))];
}
