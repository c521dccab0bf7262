// node-resque as the other side of the compatibility tests.
//
// One JSON request a line on stdin, one JSON answer a line on stdout, in whatever order they are ready:
//
//   {"id":1,"op":"queue","method":"enqueue","args":["math","add",[1,2]]}   ->   {"id":1,"ok":true}
//                                                                  or, failed:   {"id":1,"error":"message"}
//
// What workers and schedulers emit comes in between, as {"event":"ran","class":"add",...}. The program ends
// when its stdin does; it never outlives the test.

import { createInterface } from "node:readline";
import resque from "node-resque";

const { Queue, Worker, Scheduler } = resque;

const say = (message) => process.stdout.write(JSON.stringify(message) + "\n");

let connection; // what Queue, Worker and Scheduler take
let queue;
let jobs = {};
const workers = new Map();
const schedulers = new Map();
const waiting = []; // jobs that wait for "release"

// What a job of these tests can do, beside telling that it ran.
const behaviours = {
  record: async () => "done",
  boom: async () => {
    throw new Error("boom");
  },
  wait: () => new Promise((resolve) => waiting.push(resolve)),
};

function define(definitions) {
  const defined = {};
  for (const [name, { behaviour, plugins, pluginOptions }] of Object.entries(definitions)) {
    defined[name] = {
      plugins: plugins ?? [],
      pluginOptions: pluginOptions ?? {},
      perform: async (...args) => {
        say({ event: "ran", class: name, args, at: Date.now() });
        const result = await behaviours[behaviour ?? "record"]();
        say({ event: "ended", class: name, args, at: Date.now() });
        return result;
      },
    };
  }
  return defined;
}

// Every instance gets a copy, for node-resque writes into its options.
const connect = () => ({ ...connection, options: { ...connection.options } });

const operations = {
  async connect({ socket, namespace, definitions }) {
    connection = { pkg: "ioredis", namespace, database: 0, options: { path: socket } };
    jobs = define(definitions ?? {});
    queue = new Queue({ connection: connect() }, jobs);
    queue.on("error", (error) => say({ event: "error", of: "queue", error: error.message }));
    await queue.connect();
  },

  // Any method of the Queue.
  queue: ({ method, args }) => queue[method](...(args ?? [])),

  // The failed job at this position, read as node-resque reads it, handed to a method of the Queue.
  async withFailed({ method, index }) {
    const [record] = await queue.failed(index, index);
    return queue[method](record);
  },

  async startWorker({ name, queues, timeout }) {
    const worker = new Worker({ connection: connect(), name, queues, timeout: timeout ?? 100 }, jobs);
    for (const event of ["start", "end", "success", "pause"]) {
      worker.on(event, () => say({ event: `worker ${event}`, name }));
    }
    worker.on("failure", (queue, job, failure) => say({ event: "worker failure", name, error: failure.message }));
    worker.on("error", (error) => say({ event: "error", of: name, error: error.message }));
    await worker.connect();
    await worker.start();
    workers.set(name, worker);
  },

  async stopWorker({ name }) {
    await workers.get(name).end();
    workers.delete(name);
  },

  async startScheduler({ name, timeout, stuckWorkerTimeout, leaderLockTimeout, withJobs }) {
    const options = { connection: connect(), name, timeout: timeout ?? 100 };
    if (stuckWorkerTimeout !== undefined) options.stuckWorkerTimeout = stuckWorkerTimeout;
    if (leaderLockTimeout !== undefined) options.leaderLockTimeout = leaderLockTimeout;
    const scheduler = new Scheduler(options, withJobs ? jobs : {});
    scheduler.on("leader", () => say({ event: "leader", name }));
    scheduler.on("cleanStuckWorker", (worker, failure, delta) =>
      say({ event: "cleanStuckWorker", worker, failure: failure ?? null, delta }),
    );
    scheduler.on("error", (error) => say({ event: "error", of: name, error: error.message }));
    await scheduler.connect();
    await scheduler.start();
    schedulers.set(name, scheduler);
  },

  async stopScheduler({ name }) {
    await schedulers.get(name).end();
    schedulers.delete(name);
  },

  // Lets every job that waits go on; tells how many there were.
  release() {
    const released = waiting.splice(0);
    for (const resolve of released) resolve("released");
    return released.length;
  },
};

process.on("unhandledRejection", (error) => say({ event: "error", of: "peer", error: String(error) }));

createInterface({ input: process.stdin })
  .on("line", async (line) => {
    const { id, op, ...rest } = JSON.parse(line);
    try {
      const ok = await operations[op](rest);
      say({ id, ok: ok ?? null });
    } catch (error) {
      say({ id, error: error.message });
    }
  })
  .on("close", () => process.exit(0));
