// How far each layer has come in each source, and whether what Braid needs can be reached.

import { badge, h, note, table, wide } from "./element.js";
import { momentText, number } from "./format.js";

export const id = "sources";
export const title = "Lag";
export const needs = ["status"];

export function show({ status }, { question }) {
  const { zone } = question();
  return [dependencies(status), lags(status), offsets(status, zone), tables(status, zone)];
}

function dependencies({ dependencies: of }) {
  const called = (name) => ({ redis: "Redis", kafka: "Kafka", store: "The store" })[name] ?? name;
  const state = ([name, { ok }]) => h("p", {}, badge(ok ? "good" : "bad", ok ? "reached" : "not reached"), ` ${called(name)}`);
  const why = ([name, { reasons = [] }]) => reasons.length > 0 && note("bad", `${called(name)} cannot be used`, h("ul", {}, reasons.map((reason) => h("li", {}, reason))));
  return [h("div", { class: "reached" }, Object.entries(of).map(state)), Object.entries(of).map(why)];
}

const sum = (values) => (values.every((value) => value !== null && value !== undefined) ? values.reduce((one, other) => one + other, 0) : null);

function lags({ sources, streams }) {
  const open = ({ partitions }) => partitions.filter((partition) => !partition.closed);
  const lag = (name) => (source) => {
    const all = sum(open(source).map((partition) => partition[name]));
    return all === null ? "unknown" : number(all);
  };
  const columns = [
    { name: "source", cell: ({ name }) => name },
    { name: "partitions", number: true, cell: (source) => number(open(source).length) },
    { name: "records", number: true, cell: (source) => number(sum(source.partitions.map(({ begin, end, next }) => (end ?? next ?? 0) - (begin ?? 0)))) },
    { name: "speed is behind by", number: true, cell: lag("speed_lag") },
    { name: "archive is behind by", number: true, cell: lag("archive_lag") },
  ];
  const behind = streams.filter((stream) => stream.written !== false).map((stream) => `${stream.name} ${stream.behind === null ? "unknown" : number(stream.behind)}`);
  return [
    wide("Lag of each source", table("How many records each layer is behind", columns, sources)),
    behind.length > 0 && h("p", { class: "hint" }, `Streams have not decided so many records: ${behind.join(", ")}.`),
  ];
}

function offsets({ sources }, zone) {
  const rows = sources.flatMap(({ name, partitions }) => partitions.map((partition) => ({ name, ...partition })));
  if (!rows.length) return h("p", { class: "quiet" }, "No topic has a partition yet.");
  const cuts = ({ cuts }) => Object.entries(cuts).map(([metric, at]) => `${metric} ${at === null ? "none" : number(at)}`).join(", ") || "–";
  const columns = [
    { name: "partition", cell: ({ name, partition, closed }) => `${name} ${partition}${closed ? " (closed)" : ""}` },
    { name: "archived to", number: true, cell: ({ next }) => number(next) },
    { name: "counted to", number: true, cell: ({ cursor }) => number(cursor) },
    { name: "end", number: true, cell: ({ end }) => number(end) },
    { name: "as of", cell: ({ as_of: asOf }) => momentText(asOf, zone) },
    { name: "cuts", cell: cuts },
  ];
  return h("details", {}, h("summary", {}, "Offsets of each partition"), wide("Offsets of each partition", table("Offsets of each partition", columns, rows)));
}

function tables({ tables: all }, zone) {
  if (!all.length) return null;
  const columns = [
    { name: "table", cell: ({ name }) => name },
    { name: "rows", number: true, cell: ({ rows }) => number(rows) },
    { name: "changes not materialised", number: true, cell: ({ behind }) => number(behind) },
    { name: "materialised", cell: ({ materialised_at: at }) => momentText(at, zone) },
  ];
  return [h("h3", {}, "Tables"), wide("Tables", table("How far tables are materialised", columns, all))];
}
