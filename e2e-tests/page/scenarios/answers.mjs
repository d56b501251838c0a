// What the page shows is what the HTTP API answers: series, totals, largest keys and every panel. The cut is drawn where it is. Keys are found,
// and unknown ones are said to be unknown.

import { strict as assert } from "node:assert";
import { order, view } from "../events.mjs";
import { Platform } from "../platform.mjs";
import { until } from "../waits.mjs";

const EVENTS = 400;
const VIDEOS = 13;

export async function answers({ browser, folder, catalog, stops }) {
  const platform = await Platform.start(folder, catalog);
  stops.push(() => platform.stop());
  const spread = (at) => view(`video-${at % VIDEOS}`, { agoMs: (at * 8_000) % 3_300_000, dwellMs: at });
  await platform.send("views", [...Array.from({ length: EVENTS }, (_, at) => spread(at)), "no JSON at all", '{"event_id": "x"}']);
  await platform.send("orders", [order("DE", 9.5), order("FR", 3)]);
  const total = () => platform.ask("/v1/metrics/views/total");
  await until("all of it is counted", async () => (await total()).values.views === EVENTS);
  await until("batch has counted it", async () => (await total()).provenance.batch.values.views === EVENTS);
  await platform.send("views", Array.from({ length: 20 }, () => view("video-3")));
  await until("the rest is counted", async () => (await total()).values.views === EVENTS + 20);

  const page = await browser.open(platform, "/?metric=views&range=1h&zone=UTC");
  await page.tab.locator("#series-rows summary").click();
  await totals(page, platform);
  await series(page, platform);
  await top(page, platform);
  await cut(page, platform);
  await panels(page, platform);
  await bytes(page, platform);
  await page.isAccessible("an answer");
  await page.picture("answer");
  await keys(page);
  await byKeyboard(page);
  await page.close();
  await onPhone(browser, platform);
}

/** Compares what the page and the API say until they agree: events and cuts move on in between. */
const same = (what, shown, expected) =>
  until(`${what} is what the API answers`, async () => {
    const [on, of] = [await shown(), await expected()];
    assert.deepEqual(on, of);
    return true;
  });

/** Numbers as the page writes them. */
const number = (value) => (value === null || value === undefined ? "–" : new Intl.NumberFormat("en", { maximumFractionDigits: 3 }).format(value));

async function totals(page, platform) {
  const shown = () => page.tab.locator("#totals [data-value]").evaluateAll((tiles) => Object.fromEntries(tiles.map((tile) => [tile.dataset.value, tile.querySelector(".figure-value").innerText])));
  const expected = async () => {
    const { values } = await platform.ask("/v1/metrics/views/total?from=-1h");
    return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, number(value)]));
  };
  await same("the total", shown, expected);
}

async function series(page, platform) {
  const expected = async () => {
    const { points } = await platform.ask("/v1/metrics/views/series?from=-1h&step=1m");
    return points.reverse().map(({ start, values, layer }) => [start.slice(0, 16).replace("T", " "), ...Object.values(values).map(number), layer]);
  };
  await same("the series", () => page.rows("#series-rows"), expected);
  // The next reconcile takes it over within seconds.
  await until("some of it is shown to come from the speed view", async () => {
    await platform.send("views", [view("video-3")]);
    return until("a row of the speed view", async () => (await page.rows("#series-rows")).some((row) => row.at(-1) !== "batch"), 2_000);
  });
}

async function top(page, platform) {
  const expected = async () => {
    const { rows } = await platform.ask("/v1/metrics/views/top?measure=views&from=-1h");
    return rows.map(({ key, values, layer }) => [key.video_id, ...Object.values(values).map(number), layer]);
  };
  await same("the list of largest keys", () => page.rows("#top"), expected);
}

/** The cut stands at the moment of the batch view's commit, on the same scale as the bars. */
async function cut(page, platform) {
  const shown = () =>
    page.tab.locator("#chart .cut").evaluate((cut) => {
      const over = cut.parentElement;
      return { at: cut.dataset.at, view: cut.dataset.view, share: parseFloat(cut.style.left) / over.clientWidth, isSeen: !cut.hidden && cut.getBoundingClientRect().height > 100 };
    });
  await until("the cut is where the batch view was committed", async () => {
    const [drawn, answer] = [await shown(), await platform.ask("/v1/metrics/views/series?from=-1h&step=1m")];
    const { version, committed_at: at } = answer.provenance.batch;
    assert.deepEqual([drawn.at, drawn.view, drawn.isSeen], [at, String(version), true]);
    const [first, end] = [Date.parse(answer.points[0].start), Date.parse(answer.points.at(-1).start) + 60_000];
    assert.ok(Math.abs(drawn.share - (Date.parse(at) - first) / (end - first)) < 0.005, `at ${drawn.share}`);
    return true;
  });
  await page.says("#legend", "cut");
  await page.says("#chart-words", "was committed at");
}

async function panels(page, platform) {
  const first = (rows, at = 0) => rows.map((row) => row[at]);
  const named = (selector, path, member) =>
    same(selector, async () => first(await page.rows(`${selector} .body`)), async () => (await platform.ask(path))[member].map(({ name, version }) => name ?? version));
  await named("#freshness", "/v1/metrics", "metrics");
  await named("#reports", "/v1/reports", "reports");
  await named("#versions", "/v1/versions", "versions");
  await named("#streams", "/v1/streams", "streams");
  await same("alerts", async () => (await page.rows("#alerts")).map((row) => row[0].split("\n")[0]), async () => (await platform.ask("/v1/alerts")).alerts.map(({ name }) => name));
  await same("rejects", () => page.rows("#rejects").then((rows) => rows.map((row) => row.slice(0, 3))), async () => {
    const { sources } = await platform.ask("/v1/status");
    return sources.flatMap(({ name, rejects }) => rejects.map(({ reason, count }) => [name, reason, number(count)]));
  });
  assert.ok((await page.rows("#rejects")).length === 2, "both invalid records are shown");
  await page.says("#rejects", /braid rejected show views \S+\/\d+\/\d+/);
  await same("reconciles", async () => first(await page.rows("#reconciles .scroll:first-of-type"), 2), async () => {
    const { reconciliations } = await platform.ask("/v1/reconciliations?limit=20");
    return reconciliations.filter((row) => !row.stream_check).map((row) => number(row.view_version));
  });
  await page.says("#gaps", "No answer lacks anything that has arrived");
  await page.says("#sources", "reached Redis");
}

/** The bytes of rejected records, which are asked for once a reader opens them. */
async function bytes(page, platform) {
  const ofViews = page.tab.locator('#rejects details[data-source="views"]');
  await ofViews.locator("summary").click();
  const shown = () => ofViews.locator("li").evaluateAll((items) => items.map((item) => [item.querySelector("p").innerText, ...[...item.querySelectorAll("pre")].map((bytes) => bytes.textContent)]));
  const expected = async () => {
    const { records } = await platform.ask("/v1/rejected?source=views");
    return records.map(({ log, partition, offset, timestamp, reason, field, key, payload }) => {
      const place = `${log}/${partition}/${offset} ${timestamp}: ${field ? `${reason}, field ${field}` : reason}`;
      return [place, ...[key, payload].filter(Boolean).map(({ text, hex }) => text ?? hex)];
    });
  };
  await same("the bytes of rejects", shown, expected);
  const payloads = (await shown()).map((record) => record.at(-1));
  assert.deepEqual(payloads.toSorted(), ["no JSON at all", '{"event_id": "x"}'].toSorted(), "they are what was sent");
}

async function keys(page) {
  const input = page.tab.locator("#ask-key-video_id");
  await input.fill("video-1");
  const suggested = () => page.tab.locator("#ask-key-video_id-list option").evaluateAll((options) => options.map((option) => option.value));
  await same("suggestions", suggested, async () => ["video-1", "video-10", "video-11", "video-12"]);
  await input.press("Enter");
  await page.says("#answer-title", "views, video_id video-1");
  await page.says("#top", "Every column is given");
  assert.match(page.tab.url(), /key\.video_id=video-1/);
  await page.tab.locator("#ask-key-video_id").fill("video-77");
  await page.tab.locator("#ask-key-video_id").press("Enter");
  await page.says("#answer-notes", "Unknown key");
  await page.says("#answer-notes", "has counted no event with video_id video-77");
  await page.isAccessible("an unknown key");
  await page.picture("unknown-key");
  await page.tab.goBack();
  await page.says("#answer-title", "views, video_id video-1");
  await page.tab.goBack();
  await page.says("#answer-title", "views, all keys");
}

/** All that can be pressed is reached by the keyboard, and shows where the focus is. */
async function byKeyboard(page) {
  await page.tab.reload();
  await page.says("#versions", "v1");
  await page.says("#reports", "Look up a row");
  await page.tab.keyboard.press("Tab");
  assert.equal(await page.tab.evaluate(() => document.activeElement.className), "skip");
  const wanted = new Set(["theme", "ask-metric", "ask-key-video_id", "ask-value", "ask-range-1h", "report-name", "watch-visits"]);
  for (let press = 0; press < 120 && wanted.size; press += 1) {
    await page.tab.keyboard.press("Tab");
    wanted.delete(await page.tab.evaluate(() => document.activeElement.id));
  }
  assert.deepEqual([...wanted], [], "not reached by Tab");
  await page.tab.locator("#ask-range-1h").focus();
  await page.tab.keyboard.press("ArrowRight");
  await page.says("#chart-title", "steps of 2m");
}

/** Nothing is wider than a phone. */
async function onPhone(browser, platform) {
  const page = await browser.open(platform, "/?metric=views&range=1h", { width: 375, height: 800 });
  await page.says("#connection", "live");
  await page.says("#versions", "v1");
  const [wide, narrow] = await page.tab.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(wide <= narrow, `the page is ${wide} wide, the screen ${narrow}`);
  await page.isAccessible("a phone");
  await page.picture("phone");
  await page.close();
}
