// A platform that has counted nothing says so, and how that changes. The first event then shows without a reload.

import { strict as assert } from "node:assert";
import { view } from "../events.mjs";
import { Platform } from "../platform.mjs";
import { until } from "../waits.mjs";

export async function empty({ browser, folder, catalog, figures, stops }) {
  const platform = await Platform.start(folder, catalog);
  stops.push(() => platform.stop());
  const page = await browser.open(platform, "/?metric=views&range=1h");
  await page.tab.waitForSelector("#chart canvas");
  await size(page, figures);

  await page.says("#answer-notes", "No events have been counted yet");
  await page.says("#answer-notes", "braid send --source views FILE");
  await page.says("#top", "No key has events in this range");
  await page.says("#rejects", "Every record could be decoded");
  await page.says("#connection", "live");
  await page.says("#deployment", "braid v1");
  for (const panel of await page.tab.locator(".panel .body").all()) {
    await until("each panel says something", async () => {
      const text = await panel.innerText();
      return text.trim() !== "" && !text.includes("Asking");
    });
  }
  await page.isAccessible("the empty platform");
  await page.picture("empty");

  let loads = 0;
  page.tab.on("load", () => {
    loads += 1;
  });
  await platform.send("views", [view("video-1", { dwellMs: 1234 })]);
  await page.says('[data-value="views"] .figure-value', /^1$/);
  await page.says('[data-value="dwell_ms"] .figure-value', /^1,234$/);
  await page.says("#top", "video-1");
  await until("the note is gone", async () => !(await page.text("#answer-notes")).includes("No events"));
  assert.equal(loads, 0);
  await page.close();
}

/** How many bytes the page takes, and how soon its first chart is there. */
async function size(page, figures) {
  const sent = await page.tab.evaluate(() => {
    const own = performance.getEntriesByType("resource").filter(({ name }) => new URL(name).pathname.startsWith("/page/"));
    const of = [...own, performance.getEntriesByType("navigation")[0]];
    const sum = (member) => of.reduce((all, entry) => all + entry[member], 0);
    return { files: of.length, sent: sum("transferSize"), whole: sum("decodedBodySize"), firstChart: performance.getEntriesByName("first chart")[0]?.startTime };
  });
  figures["page: files"] = sent.files;
  figures["page: bytes sent"] = sent.sent;
  figures["page: bytes unpacked"] = sent.whole;
  figures["page: first chart, ms"] = Math.round(sent.firstChart);
}
