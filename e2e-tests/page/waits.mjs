// Waits for conditions, with a deadline.

export const DEADLINE_MS = 60_000;
const POLL_MS = 50;

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What `look` returns, once it is neither null, undefined nor false. Its last error says why, if it never is. */
export async function until(what, look, withinMs = DEADLINE_MS) {
  const end = Date.now() + withinMs;
  let last = null;
  for (;;) {
    try {
      const found = await look();
      if (found !== null && found !== undefined && found !== false) return found;
      last = null;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`not within ${withinMs / 1000} s: ${what}${last ? ` (${last.message})` : ""}`);
    await pause(POLL_MS);
  }
}
