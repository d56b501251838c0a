// A connection that breaks within an event, and one that breaks between two of them.

import { strict as assert } from "node:assert";
import { view } from "../events.mjs";
import { Platform } from "../platform.mjs";
import { until } from "../waits.mjs";

export async function interrupted({ browser, folder, catalog, stops }) {
  const platform = await Platform.start(folder, catalog);
  stops.push(() => platform.stop());
  await platform.send("views", [view("video-1")]);
  const counted = async () => (await platform.ask("/v1/metrics/views/total")).provenance.batch.values.views === 1;
  await until("batch has counted it", counted);
  const page = await browser.open(platform, "/?metric=views&range=1h");
  await page.says('[data-value="views"] .figure-value', /^1$/);

  // Of the second event only the id and a part have arrived: it has to be asked for again, by the id of the first.
  const asked = await page.tab.evaluate(async () => {
    const { watch } = await import("/page/any/events.js");
    const real = globalThis.fetch;
    const [asked, parts] = [[], ['id: a\ndata: {"n":1}\n\nid: b\ndata: {"n"', 'id: b\ndata: {"n":2}\n\n']];
    // What the page itself asks meanwhile is answered by the server.
    globalThis.fetch = async (target, options) => {
      if (target !== "/any") return real(target, options);
      asked.push(options.headers["last-event-id"] ?? null);
      const text = parts.shift() ?? "";
      const body = new ReadableStream({
        start(controller) {
          controller.enqueue(new TextEncoder().encode(text));
          controller.close();
        },
      });
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    };
    const told = [];
    await new Promise((resolve) => {
      const watching = watch("/any", {
        event: (_, data) => {
          told.push(data.n);
          if (data.n !== 2) return;
          watching.close();
          resolve();
        },
        problem: () => {},
        refused: resolve,
      });
    });
    globalThis.fetch = real;
    return { asked, told };
  });
  assert.deepEqual(asked, { asked: [null, "a"], told: [1, 2] });

  // The answer is the same after an interruption, so it is not told again. The page says no longer that it is old.
  await page.tab.evaluate(() => {
    const real = globalThis.fetch;
    globalThis.isCut = true;
    globalThis.fetch = (target, options) =>
      globalThis.isCut && options.headers.accept === "text/event-stream" ? Promise.reject(new TypeError("it is cut")) : real(target, options);
    // What is not seen is not watched, so the page connects anew.
    for (const hidden of [true, false]) {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }
  });
  await page.says("#answer-freshness", "not updated");
  await page.says("#answer-notes", "it is cut");
  await page.tab.evaluate(() => {
    globalThis.isCut = false;
  });
  await page.says("#answer-freshness", /^complete/, 30_000);
  assert.ok(!(await page.text("#answer-notes")).includes("it is cut"), "the problem is over");
  assert.ok(!(await page.tab.locator("#answer").getAttribute("class"))?.includes("stale"));
  await page.close();
}
