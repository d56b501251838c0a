// How soon an event that is sent is seen in the page.

import { strict as assert } from "node:assert";
import { view } from "../events.mjs";
import { Platform } from "../platform.mjs";
import { pause, until } from "../waits.mjs";

const EVENTS = 150;
const AIM_MS = 1_000;

export async function live({ browser, folder, catalog, figures, stops }) {
  const platform = await Platform.start(folder, catalog);
  stops.push(() => platform.stop());
  const sender = platform.sender("views");
  const page = await browser.open(platform, "/?metric=views&range=1h");
  // The first one opens shards and connections.
  sender.write(`${JSON.stringify(view("video-1"))}\n`);
  await page.says('[data-value="views"] .figure-value', /^1$/);
  // Notes when the last bar of the series says another number, by the clock that all processes of the machine share.
  await page.tab.evaluate(() => {
    globalThis.seen = new Map();
    const look = () => {
      const count = Number(/ last ([\d,]+) at /.exec(document.getElementById("chart-words").innerText)?.[1]?.replaceAll(",", ""));
      const all = Number(document.querySelector('[data-value="views"] .figure-value')?.innerText.replaceAll(",", ""));
      for (const [what, number] of [["bar", count], ["total", all]]) if (number && !globalThis.seen.has(`${what} ${number}`)) globalThis.seen.set(`${what} ${number}`, performance.timeOrigin + performance.now());
    };
    new MutationObserver(look).observe(document.getElementById("answer"), { subtree: true, childList: true, characterData: true });
    look();
  });
  const took = [];
  for (let event = 2; event <= EVENTS + 1; event += 1) {
    const sent = Date.now();
    sender.write(`${JSON.stringify(view("video-1"))}\n`);
    const at = await until(`event ${event} is seen`, () => page.tab.evaluate((name) => globalThis.seen.get(name) ?? null, `total ${event}`), 30_000);
    took.push(at - sent);
    // Not in step with what the server does now and then.
    await pause(20 + (event * 37) % 130);
  }
  await sender.ends();
  took.sort((one, other) => one - other);
  const rank = (share) => Math.round(took[Math.min(took.length - 1, Math.ceil(took.length * share) - 1)]);
  figures["live: event to total, p50 ms"] = rank(0.5);
  figures["live: event to total, p99 ms"] = rank(0.99);
  assert.ok(rank(0.99) < AIM_MS * 3, `p99 is ${rank(0.99)} ms`);
  await page.close();
}
