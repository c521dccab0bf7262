// The orchestrator that bench/run calls once everything is there: reads the arguments, runs the chapters.

import { Bench, MOST_JOBS } from "./lib/bench.mjs";
import { CHAPTERS } from "./chapters/index.mjs";

const USAGE = `usage: bench/run [--list] [--rounds N] [--jobs N] [--quick] [CHAPTER ...]

  --list       the chapters, and what each measures
  --rounds N   how often all systems take turns (default 5, of slow chapters 2 or 3); or ROUNDS=N
  --jobs N     how many jobs the longest drains have (default ${MOST_JOBS}), the others in proportion; or JOBS=N
  --quick      few jobs and one round: does it work? The numbers mean little
Without chapters all are run. The report goes to stdout, progress to stderr.`;

function usage(problem) {
  console.error(`bench/run: ${problem}\n${USAGE}`);
  process.exit(64);
}

function count(text, name) {
  if (!/^[1-9][0-9]{0,8}$/.test(text ?? "")) usage(`${name} takes a number from 1`);
  return Number(text);
}

function read(args, { ROUNDS, JOBS }) {
  const options = { rounds: null, jobs: null, quick: false, list: false, chapters: [] };
  if (ROUNDS) options.rounds = count(ROUNDS, "ROUNDS");
  if (JOBS) options.jobs = count(JOBS, "JOBS");
  for (let at = 0; at < args.length; at++) {
    if (args[at] === "--help") {
      console.log(USAGE);
      process.exit(0);
    } else if (args[at] === "--quick") options.quick = true;
    else if (args[at] === "--list") options.list = true;
    else if (args[at] === "--rounds") options.rounds = count(args[++at], "--rounds");
    else if (args[at] === "--jobs") options.jobs = count(args[++at], "--jobs");
    else if (CHAPTERS.has(args[at])) options.chapters.push(args[at]);
    else usage(`no such chapter or option: ${args[at]}`);
  }
  if (options.chapters.length === 0) options.chapters = [...CHAPTERS.keys()];
  return options;
}

const options = read(process.argv.slice(2), process.env);
if (options.list) {
  for (const [name, chapter] of CHAPTERS) console.log(`${name.padEnd(12)} ${chapter.about}`);
  process.exit(0);
}

const bench = await Bench.start(options);
try {
  bench.say(`# Measured ${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC\n\n${bench.surroundings()}`);
  bench.say(`- Load before: ${bench.load()}${options.quick ? ". Quick: the numbers mean little" : ""}`);
  for (const name of options.chapters) {
    const chapter = CHAPTERS.get(name);
    bench.rounds = options.rounds ?? (options.quick ? 1 : (chapter.rounds ?? 5));
    const begun = performance.now();
    bench.tell(`== ${name}`);
    bench.say(`\n## ${chapter.title}\n`);
    bench.say(await chapter.run(bench));
    await bench.closeKept();
    bench.tell(`   ${((performance.now() - begun) / 1000).toFixed()} s`);
  }
  if (bench.skipped.size > 0) {
    bench.say(`\n## Skipped\n\n${[...bench.skipped].map(([name, reason]) => `- ${name}: ${reason}`).join("\n")}`);
  }
  if (bench.invalid.length > 0) {
    bench.say(`\n## Invalid, and left out of every number above\n\n${bench.invalid.map((one) => `- ${one}`).join("\n")}`);
  }
  bench.say(`\nLoad after: ${bench.load()}`);
} finally {
  await bench.end();
}
process.exit(0);
