// Records that could not be decoded, by reason, and how their bytes are seen.

import { h, table, wide, badge } from "./element.js";
import { number } from "./format.js";

export const id = "rejects";
export const title = "Rejects";
export const needs = ["status"];

export function show({ status: { sources } }) {
  const rows = sources.flatMap(({ name, rejects }) => rejects.map((reject) => ({ name, ...reject })));
  if (!rows.length) return h("p", {}, badge("good", "none"), " Every record could be decoded.");
  const columns = [
    { name: "source", cell: ({ name }) => name },
    { name: "reason", cell: ({ reason }) => reason },
    { name: "records", number: true, cell: ({ count }) => number(count) },
    { name: "the last of them", cell: ({ last }) => last.error },
    { name: "its bytes", cell: ({ name, last }) => h("code", {}, `braid rejected show ${name} ${last.log}/${last.partition}/${last.offset}`) },
  ];
  return [
    h("p", { class: "hint" }, "The archive keeps the bytes of every rejected record. They may hold what a client sent by mistake, so this page does not show them: the commands below do, to whoever may read the store."),
    wide("Rejected records", table("Rejected records by source and reason", columns, rows)),
  ];
}
