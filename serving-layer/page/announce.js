// Says to a screen reader what has changed and matters: that the answer lives or does not, that an alert fires. Not every number.

import { byId } from "./element.js";

const EVERY_MS = 1_000;
const said = new Map();
let waiting = [];
let timer = null;

/** Says something about a subject, if it is not what was said of it last. */
export function announce(subject, text) {
  if (said.get(subject) === text) return;
  said.set(subject, text);
  waiting = waiting.filter((one) => one.subject !== subject).concat({ subject, text });
  timer ??= setTimeout(() => {
    timer = null;
    byId("announced").textContent = waiting.map((one) => one.text).join(" ");
    waiting = [];
  }, EVERY_MS);
}
