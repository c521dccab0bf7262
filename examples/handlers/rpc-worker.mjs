#!/usr/bin/env node
// A worker for Windlass: `rpc = ["./rpc-worker.mjs"]` with `depth` set to the jobs that may wait at the same time.
//
// Write your job into `perform`. What it returns is the result; what it throws is the failure.
// Throw new Later() or new Later("30s") to run the job again later. console.log goes to the log.
import { createInterface } from "node:readline";

// Only the protocol may use stdout.
console.log = console.info = console.error;

class Later extends Error {
  constructor(delay = true) {
    super("later");
    this.delay = delay;
  }
}

async function perform(job, signal) {
  const [what, ...more] = job.args;
  console.log("performing", job.id, "attempt", job.attempt);
  if (what === "fail") throw new TypeError("told to fail");
  if (what === "later") throw new Later(...more);
  // Pass `signal` on to every call that takes one, such as fetch: it aborts when the job should end.
  if (what === "wait") await new Promise((_, no) => signal.addEventListener("abort", () => no(signal.reason)));
  return { args: job.args.length };
}

const running = new Map();
let answers = [];

// All responses of one turn of the event loop are one write.
function say(message) {
  if (answers.length === 0) setImmediate(() => process.stdout.write(answers.splice(0).join("")));
  answers.push(JSON.stringify({ jsonrpc: "2.0", ...message }) + "\n");
}

async function answer({ id, params }) {
  const abort = new AbortController();
  running.set(id, abort);
  try {
    say({ id, result: (await perform(params, abort.signal)) ?? null });
  } catch (error) {
    const data = error instanceof Later ? { retry_later: error.delay } : {};
    if (error instanceof Error) Object.assign(data, { exception: error.name, backtrace: error.stack?.split("\n") });
    say({ id, error: { code: 1, message: String(error?.message ?? error), data } });
  }
  running.delete(id);
}

createInterface({ input: process.stdin }).on("line", (line) => {
  const message = JSON.parse(line);
  if (message.method === "perform") answer(message);
  if (message.method === "cancel") running.get(message.params.id)?.abort();
});
say({ method: "ready" });
