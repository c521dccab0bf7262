// The orchestrator that bench/run calls once everything is there: reads the arguments, runs the chapters.

import { Bench } from "./lib/bench.mjs";
import { CHAPTERS } from "./chapters/index.mjs";

const USAGE = `usage: bench/run [--list] [--rounds N] [--quick] [CHAPTER ...]

  --list       the chapters, and what each measures
  --rounds N   how often all systems take turns (default 5)
  --quick      few jobs and one round: does it work? The numbers mean little
Without chapters all are run. The report goes to stdout, progress to stderr.`;

function usage(problem) {
  console.error(`bench/run: ${problem}\n${USAGE}`);
  process.exit(64);
}

function read(args) {
  const options = { rounds: null, quick: false, list: false, chapters: [] };
  for (let at = 0; at < args.length; at++) {
    if (args[at] === "--help") {
      console.log(USAGE);
      process.exit(0);
    } else if (args[at] === "--quick") options.quick = true;
    else if (args[at] === "--list") options.list = true;
    else if (args[at] === "--rounds") {
      options.rounds = Number(args[++at]);
      if (!Number.isInteger(options.rounds) || options.rounds < 1) usage("--rounds takes a number from 1");
    } else if (CHAPTERS.has(args[at])) options.chapters.push(args[at]);
    else usage(`no such chapter or option: ${args[at]}`);
  }
  options.rounds ??= options.quick ? 1 : 5;
  if (options.chapters.length === 0) options.chapters = [...CHAPTERS.keys()];
  return options;
}

const options = read(process.argv.slice(2));
if (options.list) {
  for (const [name, chapter] of CHAPTERS) console.log(`${name.padEnd(10)} ${chapter.about}`);
  process.exit(0);
}

const bench = await Bench.start(options);
try {
  bench.say(`# Measured ${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC\n\n${bench.surroundings()}`);
  bench.say(`- ${options.rounds} rounds${options.quick ? ", quick" : ""}; load before ${bench.load()}`);
  for (const name of options.chapters) {
    const { title, run } = CHAPTERS.get(name);
    bench.tell(`== ${name}`);
    bench.say(`\n## ${title}\n`);
    bench.say(await run(bench));
    await bench.closeKept();
  }
  if (bench.invalid.length > 0) {
    bench.say(`\n## Invalid, and left out of every number above\n\n${bench.invalid.map((one) => `- ${one}`).join("\n")}`);
  }
  bench.say(`\nLoad after: ${bench.load()}`);
} finally {
  await bench.end();
}
process.exit(0);
