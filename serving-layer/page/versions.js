// Versions of the deployment: which one answers, and how far the others are.

import { badge, h, note, table, wide } from "./element.js";
import { bytesText, lengthText, momentText, number } from "./format.js";

export const id = "versions";
export const title = "Versions";
export const needs = ["versions"];

export function show({ versions: body }, { question }) {
  const { zone } = question();
  const isOfNote = ({ stage, error }) => stage !== "retired" || error;
  const columns = [
    { name: "version", cell: ({ version }) => version },
    { name: "stage", cell: ({ stage, active }) => [badge(active ? "good" : "plain", active ? "active" : stage)] },
    { name: "answers", cell: ({ complete, gaps, stage }) => (stage === "retired" ? "–" : complete ? badge("good", "complete") : badge("warn", gaps === null ? "not known" : `${number(gaps)} gaps`)) },
    { name: "behind", number: true, cell: ({ lag_ms: lag, stage }) => (stage === "retired" ? "–" : lengthText(lag)) },
    { name: "to count", number: true, cell: ({ progress }) => number(progress?.to_go) },
    { name: "verified", cell: ({ verified }) => (verified ? momentText(verified.at, zone) : "–") },
    { name: "in Redis", number: true, cell: ({ redis_bytes: bytes }) => bytesText(bytes) },
    { name: "created", cell: ({ created_at: at }) => momentText(at, zone) },
  ];
  const errors = body.versions.filter(isOfNote).filter(({ error }) => error);
  const promotions = [...body.promotions].reverse().slice(0, 5);
  const step = ({ at, by, from, to, rolled_back: isBack }) => h("li", {}, `${momentText(at, zone)}: ${from} → ${to}${isBack ? ", rolled back" : ""}, by ${by}`);
  return [
    body.error && note("warn", "The pointer could not be read", h("p", {}, body.error)),
    wide("Versions", table("Versions of the deployment", columns, body.versions)),
    errors.length > 0 && note("warn", "Not all is known", h("ul", {}, errors.map(({ version, error }) => h("li", {}, `${version}: ${error}`)))),
    promotions.length > 0 && [h("h3", {}, "Promotions"), h("ul", {}, promotions.map(step))],
  ];
}
