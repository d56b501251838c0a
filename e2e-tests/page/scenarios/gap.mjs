// A metric whose definition has changed is incomplete until it is reconciled: the page says what is missing, in words.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { strict as assert } from "node:assert";
import { view } from "../events.mjs";
import { Platform } from "../platform.mjs";
import { until } from "../waits.mjs";

const NEVER = "0 0 0 1 1 *";

export async function gap({ browser, folder, catalog, stops }) {
  const own = join(folder, "catalog.toml");
  const text = readFileSync(catalog, "utf8");
  writeFileSync(own, text);
  const before = await Platform.start(folder, own);
  stops.push(() => before.redis.kill());
  await before.send("views", Array.from({ length: 30 }, (_, at) => view(`video-${at}`)));
  await until("batch has counted it", async () => (await before.ask("/v1/metrics/views/total")).provenance.batch.values.views === 30);
  await before.stop({ keepRedis: true });

  const changed = text.replace('where = "status = 200"  ', 'where = "status < 300"  ');
  assert.notEqual(changed, text);
  writeFileSync(own, changed);
  const platform = await Platform.start(folder, own, { reconcile: NEVER, redis: before.redis });
  stops.push(() => platform.stop({ keepRedis: true }));
  const { gaps } = await until("there is a gap", async () => {
    const answer = await platform.ask("/v1/metrics/views/total");
    return answer.complete ? null : answer;
  });
  const page = await browser.open(platform, "/?metric=views&range=1h");
  await page.says("#answer-freshness", "incomplete");
  await page.says("#answer-notes", "Incomplete: records that arrived may be missing");
  await page.says("#answer-notes", gaps[0].text);
  await page.says("#answer-notes", gaps[0].reason);
  await page.says("#gaps", gaps[0].text);
  await page.says("#freshness", "gaps");
  assert.ok(!(await page.text("#answer-notes")).includes("No events have been counted"), "it is not known that there are none");
  await page.isAccessible("a gap");
  await page.picture("gap");
  await page.close();
}
