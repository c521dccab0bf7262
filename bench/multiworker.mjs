// node-resque's MultiWorker with as many processors as it is told, for drain.mjs.

import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(join(here, "../tests/compat/node/package.json"));
const { MultiWorker } = require("node-resque");
const Redis = require("ioredis");

const [socket, processors] = [process.argv[2], Number(process.argv[3])];
const worker = new MultiWorker(
  {
    connection: { redis: new Redis(socket, { maxRetriesPerRequest: null }) },
    queues: ["bench"],
    minTaskProcessors: processors,
    maxTaskProcessors: processors,
    checkTimeout: 10,
    maxEventLoopDelay: 1000,
  },
  { noop: { perform: async () => null } },
);
worker.on("error", (error) => console.error(error));
await worker.start();
