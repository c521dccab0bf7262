// bullmq.mjs HOST PORT [CONCURRENCY]: a BullMQ worker, by its own defaults but for the concurrency.

import { Worker } from "bullmq";

import { stamp } from "./clock.mjs";

const [host, port, concurrency] = process.argv.slice(2);
const perform = async (job) => {
  if (job.name === "stamp") stamp(...job.data.args);
};
const options = { connection: { host, port: Number(port) } };
if (concurrency) options.concurrency = Number(concurrency);
const worker = new Worker("bench", perform, options);
worker.on("error", (error) => console.error(error));

process.once("SIGTERM", async () => {
  await worker.close();
  process.exit(0);
});
