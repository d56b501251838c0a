// What the reader asks: a metric, some of its columns, a range, and which value is drawn. It stands in the page's address, so that it can be
// kept and sent to others.

import { durationMs, durationText, zoneHere } from "./format.js";

/** The ranges that are offered, and how they are called. */
export const RANGES = [
  ["15m", "15 min"],
  ["1h", "1 h"],
  ["6h", "6 h"],
  ["24h", "24 h"],
  ["7d", "7 days"],
  ["30d", "30 days"],
  ["365d", "1 year"],
];

/** Steps that divide a day, or are whole days. */
const STEPS = ["1s", "5s", "10s", "15s", "30s", "1m", "2m", "5m", "10m", "15m", "30m", "1h", "2h", "3h", "6h", "12h", "1d", "7d", "28d"].map(durationMs);
const POINTS_MAX = 200;
/** A range is too short to begin with if it has fewer steps. */
const POINTS_USUAL = 24;

/** The question of an address. Columns stand as `key.NAME`, those without a value as `key.NAME.missing`. */
export function fromAddress(search) {
  const parameters = new URLSearchParams(search);
  const question = { metric: parameters.get("metric"), key: {}, missing: {}, value: parameters.get("value"), version: parameters.get("version") };
  question.zone = parameters.get("zone") === "UTC" ? "UTC" : zoneHere;
  question.range = parameters.get("range");
  question.from = parameters.get("from");
  question.to = parameters.get("to");
  for (const [name, value] of parameters) {
    const column = /^key\.(.+?)(\.missing)?$/.exec(name);
    if (column?.[2]) question.missing[column[1]] = true;
    else if (column && value !== "") question.key[column[1]] = value;
  }
  return question;
}

export function toAddress(question) {
  const parameters = new URLSearchParams();
  const put = (name, value) => value && parameters.set(name, value);
  put("metric", question.metric);
  for (const [name, value] of Object.entries(question.key)) put(`key.${name}`, value);
  for (const [name, is] of Object.entries(question.missing)) if (is) put(`key.${name}.missing`, "true");
  if (question.from) {
    put("from", question.from);
    put("to", question.to);
  } else put("range", question.range);
  put("value", question.value);
  if (question.zone === "UTC" && zoneHere !== "UTC") put("zone", "UTC");
  put("version", question.version);
  return `?${parameters}`;
}

/** Takes out what the metric does not have, and puts in what is usual. */
export function suited(question, metric) {
  const columns = new Set(metric.by.map((column) => column.name));
  const only = (of) => Object.fromEntries(Object.entries(of).filter(([name]) => columns.has(name)));
  const values = valuesOf(metric);
  const range = RANGES.some(([name]) => name === question.range) ? question.range : usualRange(metric);
  const value = values.includes(question.value) ? question.value : values[0];
  return { ...question, metric: metric.name, key: only(question.key), missing: only(question.missing), range, value };
}

export const valuesOf = (metric) => [...Object.keys(metric.measures), ...Object.keys(metric.derived)];

const usualRange = (metric) => {
  const grainMs = durationMs(metric.grain) ?? 60_000;
  return (RANGES.slice(1).find(([name]) => durationMs(name) / grainMs >= POINTS_USUAL) ?? RANGES.at(-1))[0];
};

/** The columns as parameters. */
export function keyParameters(question) {
  const given = Object.entries(question.key);
  const missing = Object.keys(question.missing).filter((name) => question.missing[name]);
  return Object.fromEntries([...given.filter(([name]) => !missing.includes(name)), ...missing.map((name) => [`${name}.missing`, "true"])]);
}

/** The range as parameters. */
export const rangeParameters = (question) => (question.from ? { from: question.from, to: question.to } : { from: `-${question.range}` });

/** How long the range is. */
const rangeMs = (question) => (question.from ? Math.max(1000, new Date(question.to ?? Date.now()) - new Date(question.from)) : durationMs(question.range));

/** The narrowest step that the grain divides and that leaves the chart readable. */
export function stepMs(question, metric) {
  const grainMs = durationMs(metric.grain) ?? 60_000;
  const least = rangeMs(question) / POINTS_MAX;
  return STEPS.find((step) => step >= least && step >= grainMs && step % grainMs === 0) ?? grainMs * Math.ceil(least / grainMs);
}

/** The parameters of the series. A zone matters only to steps of hours and days. */
export function seriesParameters(question, metric) {
  const step = stepMs(question, metric);
  const tz = step >= 3_600_000 && question.zone !== "UTC" ? question.zone : null;
  return { ...keyParameters(question), ...rangeParameters(question), step: durationText(step), tz, version: question.version };
}

/** The parameters of the total over the same range. */
export const totalParameters = (question) => ({ ...keyParameters(question), ...rangeParameters(question), version: question.version });

/** Which columns the question leaves out. */
export const openColumns = (question, metric) =>
  metric.by.map((column) => column.name).filter((name) => !(name in question.key) && !question.missing[name]);
