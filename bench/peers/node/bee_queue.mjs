// bee_queue.mjs HOST PORT CONCURRENCY: a bee-queue processor of no-op jobs.

import Queue from "bee-queue";

const [host, port, concurrency] = process.argv.slice(2);
const queue = new Queue("bench", { redis: { host, port: Number(port) } });
queue.on("error", (error) => console.error(error));
queue.process(Number(concurrency), async () => null);

process.once("SIGTERM", async () => {
  await queue.close();
  process.exit(0);
});
