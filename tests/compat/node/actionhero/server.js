// What an ActionHero project says otherwise than ActionHero's own configuration: where Redis is, no
// servers, and what the environment asks of tasks.

const Redis = require("ioredis");

const connection = { konstructor: Redis, args: [{ path: process.env.REDIS_SOCKET }], buildNew: true };
const processors = Number(process.env.TASK_PROCESSORS ?? "0");

exports.DEFAULT = {
  redis: () => ({ _toExpand: false, client: connection, subscriber: connection, tasks: connection }),
  tasks: () => ({
    scheduler: process.env.TASK_SCHEDULER === "true",
    queues: ["math"],
    timeout: 100,
    checkTimeout: 50,
    maxEventLoopDelay: 10000,
    minTaskProcessors: processors,
    maxTaskProcessors: processors,
  }),
  web: () => ({ enabled: false }),
  websocket: () => ({ enabled: false }),
  routes: () => ({ get: [] }),
  logger: () => ({ loggers: [] }),
};
