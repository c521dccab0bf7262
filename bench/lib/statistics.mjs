// Medians and ratios. A value that is missing or invalid (null) is left out, never counted as zero.

export function median(values) {
  const sorted = valid(values).sort((a, b) => a - b);
  if (sorted.length === 0) return null;
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function percentile(values, share) {
  const sorted = valid(values).sort((a, b) => a - b);
  return sorted.length === 0 ? null : sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)];
}

// Round by round, so that what slows a whole round down falls out.
export function ratios(values, base) {
  return values.map((value, round) => (isValid(value) && isValid(base[round]) ? value / base[round] : null));
}

export function spread(values) {
  const all = valid(values);
  return all.length === 0 ? null : { median: median(all), min: Math.min(...all), max: Math.max(...all) };
}

const isValid = (value) => typeof value === "number" && Number.isFinite(value);
const valid = (values) => values.filter(isValid);
