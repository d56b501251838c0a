// The panels below the answer: what is known of the deployment. Each is asked for now and then, and says by itself what it cannot tell.

import { ask } from "./api.js";
import { byId, fill, h, note } from "./element.js";
import { repeat } from "./events.js";
import * as alerts from "./alerts.js";
import * as freshness from "./freshness.js";
import * as gaps from "./gaps.js";
import * as reconciles from "./reconciles.js";
import * as rejects from "./rejects.js";
import * as reports from "./reports.js";
import * as sources from "./sources.js";
import * as streams from "./streams.js";
import * as versions from "./versions.js";

const PANELS = [freshness, sources, gaps, rejects, reconciles, streams, reports, alerts, versions];
const SOON_MS = 4_000;
const LATER_MS = 10_000;
/** How paths are asked for, and how often. */
const PATHS = {
  metrics: { path: "/v1/metrics", everyMs: SOON_MS },
  status: { path: "/v1/status", everyMs: SOON_MS },
  alerts: { path: "/v1/alerts", everyMs: SOON_MS, isOfAll: true },
  reconciliations: { path: "/v1/reconciliations", parameters: { limit: 20 }, everyMs: LATER_MS },
  streams: { path: "/v1/streams", everyMs: LATER_MS },
  reports: { path: "/v1/reports", everyMs: LATER_MS },
  versions: { path: "/v1/versions", everyMs: LATER_MS, isOfAll: true },
};

export class Panels {
  #known = {};
  #context;
  #asking = {};

  /** `context.question()` is the question of now; `context.ask(change)` asks another; `context.known(name, body)` hears what was answered. */
  constructor(context) {
    this.#context = context;
    byId("panels").append(
      ...PANELS.map(({ id, title, below }) =>
        h(
          "section",
          { class: "card panel", id, "aria-labelledby": `${id}-title`, tabindex: "-1" },
          h("h2", { id: `${id}-title` }, title),
          h("div", { class: "body" }, h("p", { class: "quiet" }, "Asking …")),
          below,
        ),
      ),
    );
    byId("contents").append(...PANELS.map(({ id, title }) => h("li", {}, h("a", { href: `#${id}` }, title))));
    for (const [name, { everyMs }] of Object.entries(PATHS)) this.#asking[name] = repeat(everyMs, () => this.#ask(name));
  }

  /** Asks for these again at once. */
  again(...names) {
    for (const name of names.length ? names : Object.keys(PATHS)) this.#asking[name]();
  }

  async #ask(name) {
    const { path, parameters = {}, isOfAll } = PATHS[name];
    const version = isOfAll ? null : this.#context.question()?.version;
    try {
      const body = await ask(path, { ...parameters, version });
      this.#known[name] = { body };
      this.#context.known(name, body);
    } catch (problem) {
      this.#known[name] = { ...this.#known[name], problem };
      this.#context.failed(name, problem);
    }
    for (const panel of PANELS.filter((panel) => panel.needs.includes(name))) this.#show(panel);
  }

  #show(panel) {
    const place = byId(panel.id).querySelector(".body");
    const problem = panel.needs.map((name) => this.#known[name]?.problem).find(Boolean);
    const isKnown = panel.needs.every((name) => this.#known[name]?.body);
    const bodies = Object.fromEntries(panel.needs.map((name) => [name, this.#known[name]?.body]));
    const failed = problem && note("bad", problem.title || "It cannot be told", h("p", {}, problem.message), isKnown && h("p", {}, "What is shown is what was known before."));
    fill(place, failed, isKnown ? panel.show(bodies, this.#context) : problem ? "" : h("p", { class: "quiet" }, "Asking …"));
  }
}
