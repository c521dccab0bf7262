import { drain } from "../lib/drain.mjs";
import { feed } from "../lib/feed.mjs";
import { interleave, pick } from "../lib/interleave.mjs";
import { Invalid, until } from "../lib/processes.mjs";
import { median, ratios } from "../lib/statistics.mjs";
import { number, range, table } from "../lib/table.mjs";
import { Fleet } from "../systems/fleet.mjs";

export const title = "Several instances on one Redis";
export const about = "1, 2 and 4 instances of Windlass: drain, and who gets what at half of that load";

export async function run(bench) {
  const jobs = bench.jobs(600_000, 200_000);
  const fleets = [1, 2, 4].map((instances) => new Fleet(bench, instances, 50));
  const results = await interleave(bench, fleets, async (fleet) => {
    const { rate } = await drain(bench, fleet, jobs);
    const shares = await halfLoad(bench, fleet, rate / 2);
    return { rate, shares, shown: shares.map((share) => `${share.toFixed(0)} %`).join(" ") };
  });
  const rates = results.map((values) => pick(values, "rate"));
  const rows = fleets.map((fleet, index) => {
    const shares = pick(results[index], "shares").filter(Boolean);
    const places = shares[0]?.map((_, place) => median(shares.map((all) => all[place])));
    return [
      fleet.name,
      range(rates[index]),
      range(ratios(rates[index], rates[0])),
      places?.map((share) => `${number(share)} %`).join(", ") ?? "invalid",
    ];
  });
  const heads = ["instances", "jobs/s", "× one instance", "shares at half load, most first"];
  return table(heads, rows);
}

// The share of each instance, most first, while jobs come in at this rate.
async function halfLoad(bench, fleet, perSecond) {
  const { client } = bench.redis;
  await client.flushall();
  await fleet.prepare();
  const worker = fleet.start();
  try {
    const registered = async () => (await client.scard("resque:workers")) >= fleet.processors;
    await until("last processor", registered, { worker });
    const pushed = await feed(bench, fleet.payload([1, { a: "b" }]), perSecond, bench.some(5, 2));
    await until("end of the last job", async () => (await fleet.counts()).processed >= pushed, { worker });
    const done = await fleet.shares();
    const sum = done.reduce((all, one) => all + one, 0);
    if (sum !== pushed) throw new Invalid(`${pushed} jobs came in, ${sum} were done`);
    return done.map((one) => (100 * one) / sum);
  } finally {
    await worker.stop();
  }
}
