// ActionHero as the other side of the compatibility tests; speaks as peer.mjs does.
//
//   {"id":1,"op":"start","socket":"/…","scheduler":true,"processors":1,"tasks":{"per":{"frequency":1000}}}
//   {"id":2,"op":"task","method":"enqueue","args":["per",{}]}

import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const say = (message) => process.stdout.write(JSON.stringify(message) + "\n");

let server;
let task;

const operations = {
  async start({ socket, scheduler, processors, tasks }) {
    const folder = fileURLToPath(new URL("actionhero", import.meta.url));
    process.env.ACTIONHERO_CONFIG = folder;
    process.env.ACTIONHERO_TYPESCRIPT_MODE = "false";
    process.env.PROJECT_ROOT = folder;
    process.env.REDIS_SOCKET = socket;
    process.env.TASK_SCHEDULER = String(scheduler ?? false);
    process.env.TASK_PROCESSORS = String(processors ?? 0);
    // Read only now, for it reads its configuration when it is loaded.
    const actionhero = createRequire(import.meta.url)("actionhero");
    server = new actionhero.Process();
    task = actionhero.task;
    await server.initialize();
    for (const [name, { queue, frequency, inputs, fails, reEnqueue }] of Object.entries(tasks ?? {})) {
      class Defined extends actionhero.Task {
        constructor() {
          super();
          this.name = name;
          this.description = name;
          this.queue = queue ?? "math";
          this.frequency = frequency ?? 0;
          this.inputs = inputs ?? {};
          if (reEnqueue !== undefined) this.reEnqueuePeriodicTaskIfException = reEnqueue;
        }
        async run(data) {
          say({ event: "ran", class: name, data: data ?? null, at: Date.now() });
          if (fails) throw new Error("boom");
          return "done";
        }
      }
      const defined = new Defined();
      defined.validate();
      actionhero.api.tasks.tasks[name] = defined;
      actionhero.api.tasks.jobs[name] = actionhero.api.tasks.jobWrapper(name);
    }
    await server.start();
  },

  // Any function of ActionHero's `task` module.
  task: ({ method, args }) => task[method](...(args ?? [])),

  async stop() {
    await server.stop();
  },
};

process.on("unhandledRejection", (error) => say({ event: "error", of: "actionhero", error: String(error) }));

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
