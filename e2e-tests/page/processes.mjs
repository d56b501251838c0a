// Child processes. Each is ended by its own id, and none outlives this one.

import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { connect, createServer } from "node:net";
import { until } from "./waits.mjs";

const running = new Set();

process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130));

export class Child {
  #child;
  #ended;
  #out = "";

  /** Starts a program. What it says on standard error goes to the file `log`. */
  constructor(program, args, { log, env = {} }) {
    this.#child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "pipe"] });
    running.add(this.#child);
    const file = createWriteStream(log, { flags: "a" });
    this.#child.stderr.pipe(file);
    this.#child.stdout.on("data", (data) => {
      this.#out += data;
    });
    // A program that has ended takes no more input, which `ended` tells.
    this.#child.stdin.on("error", () => {});
    this.#ended = new Promise((resolve) => {
      this.#child.on("error", (error) => resolve(error.message));
      this.#child.on("exit", (code, signal) => resolve(code ?? signal));
    }).finally(() => running.delete(this.#child));
  }

  get out() {
    return this.#out;
  }

  write(text) {
    this.#child.stdin.write(text);
  }

  /** Waits until it has ended by itself; `last` is the rest of its input. */
  async ends(last = "") {
    this.#child.stdin.end(last);
    return this.#ended;
  }

  /** The first line of its output that begins so. */
  async line(begin) {
    let hasEnded = false;
    this.#ended.then(() => {
      hasEnded = true;
    });
    return until(`the line ${begin}…`, () => {
      const found = this.#out.split("\n").slice(0, -1).find((line) => line.startsWith(begin));
      if (!found && hasEnded) throw new Error("the program has ended");
      return found;
    }, 180_000);
  }

  async stop(signal = "SIGTERM") {
    this.#child.kill(signal);
    return this.#ended;
  }
}

/** A port that is free now. */
export const freePort = () =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

/** Whether something listens there. */
export const listens = (port) =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => resolve(true)).on("error", () => resolve(false));
    socket.on("connect", () => socket.destroy());
  });
