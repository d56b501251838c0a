// With API keys, a browser asks for one before it shows the page. If the key is replaced meanwhile, the page asks for the new one, and goes on.

import { execFileSync } from "node:child_process";
import { strict as assert } from "node:assert";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { view } from "../events.mjs";
import { Platform } from "../platform.mjs";
import { freePort } from "../processes.mjs";
import { DEADLINE_MS } from "../waits.mjs";

export async function access({ browser, folder, catalog, stops }) {
  const http = `127.0.0.1:${await freePort()}`;
  const [first, second] = [newKey("read"), newKey("admin")];
  const keys = join(folder, "keys");
  const env = { BRAID__ACCESS__KEYS_FILE: keys };
  writeFileSync(keys, first.line);
  let platform = await Platform.start(folder, catalog, { http, env });
  stops.push(() => platform.stop());
  assert.equal((await fetch(platform.url)).status, 401);
  await platform.send("views", [view("video-1"), "a secret, sent by mistake"]);
  // While the platform is started again, it is not reached; then the old key is refused.
  const page = await browser.open(platform, "/?metric=views&range=1h", { credentials: { username: "page", password: first.key }, mayFail: [401, 403, 503, "gone"] });
  await page.says('[data-value="views"] .figure-value', /^1$/);
  // What clients have sent is not for every key.
  const rejects = page.tab.locator('#rejects details[data-source="views"] summary');
  await rejects.click({ timeout: DEADLINE_MS });
  await page.says("#rejects", "These bytes need a key with the scope admin");
  await page.isAccessible("bytes that a key may not see");
  await page.picture("rejects-forbidden");
  await rejects.click();
  assert.ok(!(await page.tab.content()).includes("a secret,"), "nothing of them is told");

  await platform.stop({ keepRedis: true });
  await page.says("#connection", "not connected");
  await page.says("#answer-notes", "The server does not answer");
  await page.picture("server-gone");
  writeFileSync(keys, second.line);
  platform = await Platform.start(folder, catalog, { http, redis: platform.redis, env });
  await page.says("#key[open]", "An API key is needed");
  await page.isAccessible("the question for a key");
  await page.picture("key");
  await page.tab.locator("#key-value").fill("not the key");
  await page.tab.locator("#key-value").press("Enter");
  await page.says("#key[open]", "The key was refused");
  await page.tab.locator("#key-value").fill(second.key);
  await page.tab.locator("#key-value").press("Enter");
  await page.says("#connection", "live");
  await page.says('[data-value="views"] .figure-value', /^1$/);
  await rejects.click({ timeout: DEADLINE_MS });
  await page.says("#rejects", "a secret, sent by mistake");
  const kept = await page.tab.evaluate(() => [sessionStorage.getItem("braid-key"), JSON.stringify(localStorage), location.href, document.body.innerText]);
  assert.equal(kept[0], second.key);
  assert.ok(!kept.slice(1).some((place) => place.includes(second.key)), "the key stands nowhere else");
  await page.close();
}

/** A key, and the line for the file of keys. */
const newKey = (scope) => JSON.parse(execFileSync(process.env.BRAID, ["key", "new", "--scope", scope, "--name", "page", "--output", "json"], { encoding: "utf8" }));
