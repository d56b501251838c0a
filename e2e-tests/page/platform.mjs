// A running platform, with a Redis of its own that can be taken away.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Child, freePort, listens } from "./processes.mjs";
import { until } from "./waits.mjs";

const BRAID = process.env.BRAID;

/** A Redis that keeps nothing. */
export class Redis {
  #child = null;

  constructor(port, log) {
    this.port = port;
    this.log = log;
  }

  static async start(folder) {
    const redis = new Redis(await freePort(), join(folder, "redis.log"));
    await redis.begin();
    return redis;
  }

  get url() {
    return `redis://127.0.0.1:${this.port}/0`;
  }

  async begin() {
    const args = ["--port", String(this.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"];
    this.#child = new Child("redis-server", args, { log: this.log });
    await until("Redis listens", () => listens(this.port));
  }

  /** As if its machine had lost its power. */
  async kill() {
    await this.#child?.stop("SIGKILL");
    this.#child = null;
  }
}

export class Platform {
  #child;

  constructor(child, folder, catalog, redis) {
    this.#child = child;
    Object.assign(this, { folder, catalog, redis });
  }

  /** Starts `braid up`. `kafka` is `in-process` or `child`; `http` is the address to listen on. */
  static async start(folder, catalog, { kafka = "in-process", http = "127.0.0.1:0", reconcile = "*/5 * * * * *", more = [], env = {}, redis = null } = {}) {
    mkdirSync(folder, { recursive: true });
    const own = redis ?? (await Redis.start(folder));
    const args = ["up", "--catalog", catalog, "--data", join(folder, "data"), "--kafka", kafka, "--redis", own.url, "--http", http, "--no-traffic", "--reconcile", reconcile, ...more];
    const child = new Child(BRAID, args, { log: join(folder, "up.log"), env: { BRAID__ARCHIVE__LINGER: "300ms", BRAID__SERVING__REFRESH: "100ms", ...env } });
    const platform = new Platform(child, folder, catalog, own);
    const ready = await child.line("ready http=");
    const word = (name) => ready.split(" ").find((part) => part.startsWith(`${name}=`)).slice(name.length + 1);
    Object.assign(platform, { address: word("http"), url: `http://${word("http")}`, kafka: word("kafka") });
    return platform;
  }

  /** What the HTTP API answers. */
  async ask(path, headers = {}) {
    const response = await fetch(`${this.url}${path}`, { headers });
    const body = await response.json();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${body.detail}`);
    return body;
  }

  /** Starts `braid send`, which sends each line as it is written to it. */
  sender(source) {
    return new Child(BRAID, ["send", "--source", source, "--kafka", this.kafka, "--catalog", this.catalog], { log: join(this.folder, "send.log") });
  }

  /** Sends these events, and waits until they are acknowledged. */
  async send(source, events) {
    const code = await this.sender(source).ends(events.map((event) => `${typeof event === "string" ? event : JSON.stringify(event)}\n`).join(""));
    if (code !== 0) throw new Error(`braid send ended with ${code}`);
  }

  async stop({ keepRedis = false } = {}) {
    await this.#child.stop();
    if (!keepRedis) await this.redis.kill();
  }
}
