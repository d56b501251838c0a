// Alerts: what is known of each, and by which values.

import { announce } from "./announce.js";
import { badge, h, note, table, wide } from "./element.js";
import { keyText, momentText, number, valueText } from "./format.js";

export const id = "alerts";
export const title = "Alerts";
export const needs = ["alerts"];

const KINDS = { ok: "good", pending: "warn", firing: "bad", unknown: "plain" };

export function show({ alerts: body }, { question }) {
  const { zone } = question();
  if (!body.alerts.length) return h("p", { class: "quiet" }, "The catalog declares no alert.");
  for (const { name, state, summary } of body.alerts) {
    announce(`alert ${name}`, state === "firing" ? `The alert ${name} fires. ${summary ?? ""}` : "");
  }
  const values = ({ values: of }) => Object.entries(of).map(([name, value]) => `${name} ${valueText(value)}`).join(", ") || "–";
  const state = ({ state: word, reason }) => [badge(KINDS[word] ?? "plain", word), reason && h("span", { class: "hint" }, ` ${reason}`)];
  const columns = [
    { name: "alert", cell: ({ name, summary }) => [h("strong", {}, name), summary && h("div", { class: "hint" }, summary)] },
    { name: "state", cell: state },
    { name: "condition", cell: ({ metric, keys, when, window, against, for: held }) => [h("code", {}, when), h("div", { class: "hint" }, `${metric}, ${keyText(keys)}, last ${window}${against ? ` against ${against} before` : ""}, for ${held}`)] },
    { name: "values", cell: values },
    { name: "since", cell: ({ since }) => momentText(since, zone) },
    { name: "judged to", cell: ({ judged_to: at }) => momentText(at, zone) },
    { name: "changes", number: true, cell: ({ changes }) => number(changes) },
  ];
  const { judge, webhook } = body;
  const judged = `This process is ${judge.state}${judge.reason ? `: ${judge.reason}` : ""}. `;
  const sent = webhook.configured ? `${number(webhook.undelivered)} notifications wait for the webhook.` : "No webhook is configured.";
  return [
    webhook.error && note("warn", "The webhook does not take notifications", h("p", {}, webhook.error)),
    wide("Alerts", table("Alerts of the active version", columns, body.alerts)),
    h("p", { class: "hint" }, judged, sent),
  ];
}
