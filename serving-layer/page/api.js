// Asks the HTTP API of the server that has served this page, and no other.

import { keyHeaders, askForKey } from "./key.js";

/** What the server answered instead of what was asked for (RFC 9457), or that it did not answer. */
export class Problem extends Error {
  constructor({ type = "", title = "", detail = "", gaps = [] } = {}, status = 0, retryAfterMs = null) {
    super(detail || title);
    this.kind = type.replace("urn:braid:problem:", "");
    this.title = title;
    this.detail = detail;
    this.gaps = gaps;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }

  /** Whether the same request may be answered later. */
  get mayPass() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** The server was not reached. */
export const unreachable = (error) =>
  new Problem({ type: "unreachable", title: "The server does not answer", detail: `${error?.message ?? error}; the page tries again by itself` });

/** JSON whose integers are whole: those that a double cannot hold become BigInt. */
export const parse = (text) =>
  JSON.parse(text, (_, value, context) =>
    typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
      ? BigInt(context.source)
      : value,
  );

/** A path with parameters; lists are repeated, null and undefined are left out. */
export function url(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== null && one !== undefined) query.append(name, one);
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

/** A response that is not a problem. Asks the reader for a key if the server wants one. */
export async function respond(target, { accept = "application/json", headers = {}, signal } = {}) {
  for (;;) {
    const sent = keyHeaders();
    let response;
    try {
      // A key of ours goes alone: the browser does not add what it was told for this site, nor ask on its own.
      const credentials = sent.authorization ? "omit" : "same-origin";
      response = await fetch(target, { headers: { accept, ...sent, ...headers }, credentials, cache: "no-store", signal });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw unreachable(error);
    }
    if (response.ok) return response;
    const problem = await asProblem(response);
    if (response.status === 401 && (await askForKey(problem.detail, sent.authorization))) continue;
    throw problem;
  }
}

/** A body as JSON. */
export async function ask(path, parameters = {}, options = {}) {
  const response = await respond(url(path, parameters), options);
  return parse(await response.text());
}

async function asProblem(response) {
  const retryAfter = Number(response.headers.get("retry-after"));
  let body = { title: `${response.status} ${response.statusText}` };
  try {
    body = parse(await response.text());
  } catch {
    // Something before the server answered, such as a proxy. Its status has to do.
  }
  return new Problem(body, response.status, retryAfter > 0 ? retryAfter * 1000 : null);
}
