// node_resque.mjs worker HOST PORT [PROCESSORS CHECK_MS]: node-resque's MultiWorker, by its own defaults but for these.
// node_resque.mjs scheduler HOST PORT: its scheduler.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import Redis from "ioredis";
import { MultiWorker, Scheduler } from "node-resque";

import { stamp } from "./clock.mjs";

const [role, host, port, processors, checkTimeout] = process.argv.slice(2);
const redis = new Redis({ host, port: Number(port), maxRetriesPerRequest: null });
const execute = promisify(execFile);

const jobs = {
  noop: { perform: async () => null },
  stamp: { perform: async (port, number) => stamp(port, number) },
  true: { perform: async () => void (await execute("/bin/true")) },
};

let running;
if (role === "scheduler") {
  running = new Scheduler({ connection: { redis } }, jobs);
  await running.connect();
} else {
  const size = processors ? { minTaskProcessors: Number(processors), maxTaskProcessors: Number(processors) } : {};
  // With as many processors as it is to have, and none taken away for a slow event loop.
  if (processors) Object.assign(size, { checkTimeout: Number(checkTimeout), maxEventLoopDelay: 1000 });
  running = new MultiWorker({ connection: { redis }, queues: ["bench"], ...size }, jobs);
}
running.on("error", (error) => console.error(error));
await running.start();

process.once("SIGTERM", async () => {
  await running.end();
  process.exit(0);
});
