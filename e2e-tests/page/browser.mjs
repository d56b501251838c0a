// A real Chromium, whose pages may do nothing that a reader would not want: no error in the console, no request to another machine.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { until } from "./waits.mjs";

const modules = createRequire(join(process.env.BRAID_PAGE_MODULES, "of.js"));
const { chromium } = modules("playwright-core");
const AXE = readFileSync(modules.resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"];
export const OUT = process.env.BRAID_PAGE_OUT;

export class Browser {
  #browser;

  constructor(browser) {
    this.#browser = browser;
  }

  static async start() {
    // What a browser asks its maker for by itself is switched off; what the page asks for is judged.
    const args = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run"];
    const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
    return new Browser(await chromium.launch({ executablePath, args }));
  }

  get version() {
    return this.#browser.version();
  }

  /** Opens a page of a platform. `mayFail` are the statuses that its requests may get, as the scenario provokes them. */
  async open(platform, path = "/", { theme = "light", width = 1280, height = 1000, credentials, mayFail = [] } = {}) {
    const context = await this.#browser.newContext({
      colorScheme: theme,
      viewport: { width, height },
      timezoneId: "Europe/Berlin",
      httpCredentials: credentials,
      reducedMotion: "reduce",
    });
    const page = new Page(await context.newPage(), platform, mayFail);
    await page.tab.goto(`${platform.url}${path}`);
    return page;
  }

  close() {
    return this.#browser.close();
  }
}

export class Page {
  #faults = [];

  constructor(tab, platform, mayFail) {
    Object.assign(this, { tab, platform, mayFail });
    tab.on("pageerror", (error) => this.#faults.push(`exception: ${error.stack ?? error.message}`));
    tab.on("console", (message) => {
      if (["error", "warning"].includes(message.type()) && !this.#isExpected(message.text())) this.#faults.push(`console: ${message.text()} (${message.location().url})`);
    });
    tab.on("request", (request) => {
      const { protocol, host } = new URL(request.url());
      if (protocol !== "data:" && host !== platform.address) this.#faults.push(`a request to ${request.url()}`);
    });
  }

  // Chromium writes a line of its own for every response that is an error, and for a server that is gone.
  #isExpected(text) {
    const status = /the server responded with a status of (\d+)/.exec(text)?.[1];
    return status ? this.mayFail.includes(Number(status)) : this.mayFail.includes("gone") && text.includes("net::ERR_");
  }

  text(selector) {
    return this.tab.locator(selector).first().innerText();
  }

  /** Waits until an element says something. */
  says(selector, wanted, withinMs) {
    const fits = (text) => (wanted instanceof RegExp ? wanted.test(text) : text.includes(wanted));
    return until(`${selector} says ${wanted}`, async () => {
      const text = await this.tab.locator(selector).first().innerText({ timeout: 1_000 });
      if (fits(text)) return text;
      throw new Error(`it says ${JSON.stringify(text.slice(0, 300))}`);
    }, withinMs);
  }

  /** The cells of a table, by row. */
  rows(selector) {
    return this.tab.locator(`${selector} tbody tr`).evaluateAll((rows) => rows.map((row) => [...row.cells].map((cell) => cell.innerText.trim())));
  }

  /** Keeps a picture of the whole page, in both themes. */
  async picture(name) {
    for (const theme of ["light", "dark"]) {
      await this.theme(theme);
      await this.tab.screenshot({ path: join(OUT, `${name}-${theme}.png`), fullPage: true });
    }
  }

  theme(theme) {
    return this.tab.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
  }

  /** Has axe-core look for what keeps readers out, in both themes. */
  async isAccessible(name) {
    await this.tab.evaluate(AXE);
    for (const theme of ["light", "dark"]) {
      await this.theme(theme);
      const { violations } = await this.tab.evaluate((rules) => globalThis.axe.run(document, { runOnly: rules }), RULES);
      const said = violations.map(({ id, help, nodes }) => `${id}: ${help}\n    ${nodes.map(({ html, failureSummary }) => `${html}\n      ${failureSummary}`).join("\n    ")}`);
      if (said.length) throw new Error(`axe-core finds in ${name}, ${theme}:\n  ${said.join("\n  ")}`);
    }
  }

  /** What has gone wrong so far; none may. */
  check() {
    if (this.#faults.length) throw new Error(`the page has faults:\n  ${[...new Set(this.#faults)].join("\n  ")}`);
  }

  async close() {
    this.check();
    await this.tab.context().close();
  }
}
