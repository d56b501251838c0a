// Server-sent events, read from a response as it comes. A browser's EventSource can send no key and does not show the problem with which a
// request is refused, so this reads the same format by itself.

import { Problem, parse, respond, unreachable } from "./api.js";

/** The server sends a comment after 15 s without an event. After this long without anything, the connection is given up. */
const SILENCE_MS = 40_000;
const RETRY_MS = 1_000;
const RETRY_MS_MAX = 15_000;

/**
 * Watches a path until `close()` is called, or the server refuses. Connects again by itself, and goes on behind the last event.
 * Nothing is watched while the page is hidden: a browser has six connections to a server for all of its tabs.
 *
 * `told`: `open()`, `event(kind, data)`, `problem(problem)`, `refused(problem)`.
 */
export function watch(target, told, { lastEventId = null } = {}) {
  let [id, controller, timer, retryMs, hasEnded] = [lastEventId, null, null, RETRY_MS, false];

  const stop = () => {
    clearTimeout(timer);
    controller?.abort();
    controller = null;
  };
  const close = () => {
    hasEnded = true;
    stop();
    document.removeEventListener("visibilitychange", turned);
  };
  const refuse = (problem) => {
    close();
    told.refused(problem);
  };
  const turned = () => {
    if (document.hidden) stop();
    else if (!controller) connect();
  };

  async function connect() {
    clearTimeout(timer);
    const mine = new AbortController();
    controller = mine;
    let waitMs = retryMs;
    try {
      const headers = id === null ? {} : { "last-event-id": id };
      const response = await respond(target, { accept: "text/event-stream", headers, signal: mine.signal });
      if (!response.headers.get("content-type")?.startsWith("text/event-stream")) throw unreachable("it sent no events");
      told.open?.();
      retryMs = RETRY_MS;
      waitMs = await read(response.body, mine);
    } catch (error) {
      if (mine.signal.aborted && controller !== mine) return;
      const problem = error instanceof Problem ? error : unreachable(error);
      if (!problem.mayPass) return refuse(problem);
      told.problem(problem);
      waitMs = problem.retryAfterMs ?? retryMs;
      retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
    }
    if (hasEnded || controller !== mine) return;
    controller = null;
    timer = setTimeout(connect, waitMs);
  }

  /** Reads events until the response ends; returns how long to wait before the next. */
  async function read(body, mine) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let [rest, kind, data, eventId, waitMs] = ["", "", [], id, RETRY_MS];
    let silence = null;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => mine.abort(new Error("it was silent")), SILENCE_MS);
    };
    const line = (text) => {
      if (text === "") {
        // An id counts once its event is whole: whoever names it is not told that event again.
        id = eventId;
        if (data.length) waitMs = dispatch(kind || "message", data.join("\n")) ?? waitMs;
        [kind, data] = ["", []];
        return;
      }
      const at = text.indexOf(":");
      const [name, value] = at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1).replace(/^ /, "")];
      if (name === "data") data.push(value);
      else if (name === "event") kind = value;
      else if (name === "id") eventId = value;
    };
    try {
      for (;;) {
        heard();
        const { value, done } = await reader.read();
        if (done || hasEnded || controller !== mine) return waitMs;
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        for (const text of lines) line(text.endsWith("\r") ? text.slice(0, -1) : text);
      }
    } finally {
      clearTimeout(silence);
    }
  }

  /** Tells an event; returns how long to wait until the next connection if it is the last. */
  function dispatch(kind, text) {
    if (hasEnded) return null;
    const data = parse(text);
    if (kind === "problem") told.problem(new Problem(data, data.status));
    else if (kind === "end" && data.reason === "refused") refuse(new Problem(data.problem, data.problem?.status));
    else if (kind === "dropped") return 0;
    else told.event(kind, data);
    return null;
  }

  document.addEventListener("visibilitychange", turned);
  if (!document.hidden) connect();
  return { close };
}

/** Calls `task` now and then, `everyMs` after it has ended, as long as the page is seen. */
export function repeat(everyMs, task) {
  let [timer, isRunning] = [null, false];
  const run = async () => {
    clearTimeout(timer);
    if (isRunning || document.hidden) return;
    isRunning = true;
    await task();
    isRunning = false;
    timer = setTimeout(run, everyMs);
  };
  document.addEventListener("visibilitychange", run);
  run();
  return run;
}
