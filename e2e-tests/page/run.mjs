// Runs the scenarios of the page one after the other, each on a platform of its own, and prints the figures.
//
// Environment: BRAID (the program), BRAID_PAGE_MODULES (playwright-core and axe-core), BRAID_PAGE_OUT (screenshots and figures), ONLY (a part of names).

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Browser, OUT } from "./browser.mjs";
import { access } from "./scenarios/access.mjs";
import { answers } from "./scenarios/answers.mjs";
import { empty } from "./scenarios/empty.mjs";
import { gap } from "./scenarios/gap.mjs";
import { interrupted } from "./scenarios/interrupted.mjs";
import { live } from "./scenarios/live.mjs";
import { redis } from "./scenarios/redis.mjs";
import { stream } from "./scenarios/stream.mjs";

const CATALOG = fileURLToPath(new URL("../../catalog.toml", import.meta.url));
const SCENARIOS = { empty, answers, live, interrupted, gap, redis, stream, access };

const chosen = Object.entries(SCENARIOS).filter(([name]) => name.includes(process.env.ONLY ?? ""));
const browser = await Browser.start();
const figures = { chromium: browser.version };
let failed = 0;

for (const [name, scenario] of chosen) {
  const folder = mkdtempSync(join(tmpdir(), `braid-page-${name}-`));
  const begun = performance.now();
  const stops = [];
  try {
    await scenario({ browser, folder, catalog: CATALOG, figures, stops });
    console.log(`ok    ${name} (${((performance.now() - begun) / 1000).toFixed(1)} s)`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}: ${error.stack ?? error}`);
  }
  const hasFailed = process.exitCode !== undefined || failed > 0;
  for (const stop of stops.reverse()) await stop().catch((error) => console.log(`      ${name}: ${error.message}`));
  if (hasFailed) console.log(tail(join(folder, "up.log")));
  rmSync(folder, { recursive: true, force: true });
}

await browser.close();
writeFileSync(join(OUT, "figures.json"), `${JSON.stringify(figures, null, 2)}\n`);
for (const [name, value] of Object.entries(figures)) console.log(`${name.padEnd(28)} ${value}`);
console.log(failed ? `${failed} of ${chosen.length} scenarios failed` : `${chosen.length} scenarios passed; screenshots are in ${OUT}`);
process.exit(failed ? 1 : 0);

/** The end of a log, as far as it says that something is wrong. */
function tail(log) {
  try {
    return readFileSync(log, "utf8").split("\n").filter((line) => / (ERROR|WARN) /.test(line)).slice(-10).join("\n");
  } catch {
    return "";
  }
}
