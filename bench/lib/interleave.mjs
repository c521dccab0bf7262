// Turns: A B C A B C ..., so that what slows the machine down for a while slows all of them.

import { Invalid } from "./processes.mjs";

// Measures every system in every round; the result has one list per system, with null for what was invalid.
export async function interleave(bench, systems, measure, rounds = bench.rounds) {
  const results = systems.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, system] of systems.entries()) {
      let value = null;
      await bench.unlessStopping();
      try {
        value = await measure(system, round);
        bench.tell(`  round ${round + 1} of ${rounds}, ${system.name}: ${brief(value)}`);
      } catch (error) {
        await bench.unlessStopping();
        if (!(error instanceof Invalid)) throw error;
        bench.tell(`  round ${round + 1} of ${rounds}, ${system.name}: INVALID: ${error.message}`);
        bench.invalid.push(`${system.name}, round ${round + 1}: ${error.message}`);
      }
      results[index].push(value);
    }
  }
  return results;
}

// One field of each value.
export const pick = (values, field) => values.map((value) => value?.[field] ?? null);

function brief(value) {
  const show = (field) => (typeof field === "number" ? Number(field.toPrecision(4)) : field);
  return Object.entries(value)
    .filter(([, field]) => ["number", "string"].includes(typeof field))
    .map(([name, field]) => `${name} ${show(field)}`)
    .join(", ");
}
