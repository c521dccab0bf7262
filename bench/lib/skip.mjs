// A chapter about something that this version does not have yet is skipped, and says so. Anything else that `check` has
// against it is a mistake of the chapter.

export function skip(bench, system) {
  const refusal = system.refusal();
  if (refusal === null) return null;
  if (refusal.includes("not built yet")) return `Skipped: \`windlass check\` says: ${refusal}`;
  const problem = `\`windlass check\` refuses its configuration: ${refusal}`;
  bench.invalid.push(`${system.name}: ${problem}`);
  return `Invalid: ${problem}`;
}
