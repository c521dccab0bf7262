// The calls that Redis was longest at, from its slow log: so long nobody else was served.

const FROM_US = 100;
const MOST = 100_000;
const OURS = new Set(["flushall", "slowlog", "config", "info", "unlink", "debug"]);

export class SlowCalls {
  constructor(client) {
    this.client = client;
  }

  async reset() {
    await this.client.config("SET", "slowlog-log-slower-than", FROM_US);
    await this.client.config("SET", "slowlog-max-len", MOST);
    await this.client.slowlog("RESET");
  }

  // The longest call since then: how long in milliseconds, and what it was.
  async longest() {
    const calls = (await this.client.slowlog("GET", -1))
      .map(([, , us, words]) => ({ ms: us / 1000, words }))
      .filter(({ words }) => !OURS.has(words[0].toLowerCase()));
    const longest = calls.reduce((most, call) => (most === null || call.ms > most.ms ? call : most), null);
    return longest === null ? { ms: FROM_US / 1000, what: "none longer" } : { ms: longest.ms, what: name(longest.words) };
  }
}

// A script goes by the first digits of its hash and its first key.
function name([command, first, , key]) {
  const cut = (word) => (word.length > 40 ? `${word.slice(0, 40)}…` : word);
  if (command.toLowerCase() === "evalsha") return `script ${first.slice(0, 8)} on ${cut(key ?? "")}`;
  return `${command.toUpperCase()} ${cut(first ?? "")}`.trim();
}
