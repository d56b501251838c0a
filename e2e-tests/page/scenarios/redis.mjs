// Redis dies: the page says so, keeps what it had and says that it is old, is not blank after a reload, and goes on once Redis is back.

import { strict as assert } from "node:assert";
import { view } from "../events.mjs";
import { Platform } from "../platform.mjs";
import { until } from "../waits.mjs";

export async function redis({ browser, folder, catalog, stops }) {
  const platform = await Platform.start(folder, catalog);
  stops.push(() => platform.stop());
  await platform.send("views", Array.from({ length: 25 }, (_, at) => view(`video-${at % 5}`)));
  await until("batch has counted it", async () => (await platform.ask("/v1/metrics/views/total")).provenance.batch.values.views === 25);
  // Without Redis, requests about metrics are answered with 503.
  const page = await browser.open(platform, "/?metric=views&range=1h", { mayFail: [503] });
  await page.says('[data-value="views"] .figure-value', /^25$/);

  await platform.redis.kill();
  await page.says("#answer-notes", "The speed view cannot be read");
  await page.says("#answer-notes", "What is shown below is the last answer");
  await page.says("#answer-freshness", "not updated");
  await page.says("#sources", "not reached Redis");
  await page.says("#freshness", "not known");
  await page.says("#gaps", "It is not known what is missing");
  assert.equal(await page.text('[data-value="views"] .figure-value'), "25");
  assert.ok(await page.tab.locator("#chart canvas").isVisible());
  await page.isAccessible("a dead Redis");
  await page.picture("redis");

  await page.tab.reload();
  await page.says("#answer-notes", "The speed view cannot be read");
  await page.says("#chart-words", "There is no series to draw");
  await page.says("#reports", "engagement");
  await page.picture("redis-reload");

  await platform.redis.begin();
  await page.says('[data-value="views"] .figure-value', /^25$/);
  await page.says("#answer-freshness", /^complete/);
  await page.says("#connection", "live");
  await page.close();
}
