//! Every fuzz target on many inputs: the examples in `fuzz/seeds`, and what a seeded generator makes of them.
//!
//! The same inputs come in every run, so that a test does not fail by luck. `WINDLASS_FUZZ_INPUTS` sets how many there
//! are for each target, and `WINDLASS_FUZZ_SEED` makes others. `fuzz/README.md` tells how to search for longer.

mod examples;
mod memory;
mod mutate;
#[path = "../../fuzz/targets/mod.rs"]
#[expect(unreachable_pub, reason = "the targets are a crate of their own for libFuzzer")]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};

use memory::Measured;
use mutate::Mutator;

/// The inputs of a target that takes microseconds for each.
const INPUTS: usize = 100_000;

/// What a reader may allocate whatever it is given, and for each byte of its input.
struct Bound {
    /// At one time, in bytes.
    live: (usize, usize),
    /// How many times: the steps that can be counted.
    times: (usize, usize),
}

/// The bound of all targets but those that say why they need more.
const BOUND: Bound = Bound { live: (64 << 10, 200), times: (1_000, 20) };

/// Each token of a text that is no TOML is an error, up to a length of the text.
const MISTAKES: Bound = Bound { live: (64 << 10, 400), times: (1_000, 20) };

/// Each pattern is compiled, into some 12 KiB.
const PATTERNS: Bound = Bound { live: (64 << 10, 12 << 10), times: (1_000, 400) };

/// Each line is a list of pieces, and the target keeps two of them.
const PIECES: Bound = Bound { live: (64 << 10, 1_000), times: (1_000, 20) };

/// Every field of two dozen events is looked through for secrets, in two formats.
const FIELDS: Bound = Bound { live: (64 << 10, 200), times: (2_500, 20) };

/// The targets, each with what part of [`INPUTS`] it gets and its bound.
macro_rules! targets {
    ($($name:ident 1/$part:literal $bound:expr;)+) => {
        const NAMES: &[&str] = &[$(stringify!($name)),+];
        $(
            #[test]
            fn $name() {
                run(stringify!($name), targets::$name::target, INPUTS / $part, &$bound);
            }
        )+
    };
}

targets! {
    address 1/1 BOUND;
    bulk 1/2 BOUND;
    canonical 1/1 BOUND;
    cleaning 1/2 BOUND;
    configuration 1/20 MISTAKES;
    cron 1/5 BOUND;
    dates 1/1 BOUND;
    delayed 1/1 BOUND;
    failed_bytes 1/5 BOUND;
    failure 1/1 BOUND;
    filter 1/2 BOUND;
    globs 1/100 PATTERNS;
    http_answer 1/1 BOUND;
    identity 1/1 BOUND;
    instance 1/1 BOUND;
    log 1/20 FIELDS;
    moments 1/1 BOUND;
    names 1/1 BOUND;
    output 1/5 BOUND;
    payload 1/1 BOUND;
    periodic 1/1 BOUND;
    ping 1/1 BOUND;
    plugin_answer 1/2 BOUND;
    proc_stat 1/1 BOUND;
    redaction 1/10 BOUND;
    rpc 1/4 BOUND;
    samples 1/4 BOUND;
    seconds 1/1 BOUND;
    shim 1/1 BOUND;
    tasks 1/20 MISTAKES;
    template 1/1 PIECES;
    working 1/1 BOUND;
}

/// Runs a target on its examples and on what is made of them.
fn run(name: &str, target: fn(&[u8]), inputs: usize, bound: &Bound) {
    let examples = examples::of(name);
    let (inputs, seed) = (number("WINDLASS_FUZZ_INPUTS").unwrap_or(inputs), number("WINDLASS_FUZZ_SEED").unwrap_or(1));
    // What is made once for all inputs is not measured.
    attempt(name, target, b"").check(name, b"", None);
    for example in &examples {
        attempt(name, target, example).check(name, example, Some(bound));
    }
    let mut mutator = Mutator::new(seed as u64, &examples);
    for _ in 0..inputs {
        let input = mutator.input();
        attempt(name, target, &input).check(name, &input, Some(bound));
    }
}

/// One run on one input. A panic names the input, so that it can become an example.
fn attempt(name: &str, target: fn(&[u8]), input: &[u8]) -> Measured {
    match catch_unwind(AssertUnwindSafe(|| memory::measure(|| target(input)))) {
        Ok(measured) => measured,
        Err(_) => panic!("the target {name} panicked on {}", shown(input)),
    }
}

impl Measured {
    fn check(&self, name: &str, input: &[u8], bound: Option<&Bound>) {
        let Some(bound) = bound else { return };
        let most = |(fixed, each): (usize, usize)| fixed + each * input.len();
        assert!(
            self.live <= most(bound.live) && self.times <= most(bound.times),
            "the target {name} held {} bytes and allocated {} times, expected at most {} and {}, on {}",
            self.live,
            self.times,
            most(bound.live),
            most(bound.times),
            shown(input)
        );
    }
}

/// An input as a literal of Rust, and as a command that makes it an example.
fn shown(input: &[u8]) -> String {
    format!("{} bytes: b\"{}\"", input.len(), input.escape_ascii())
}

fn number(variable: &str) -> Option<usize> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}: expected a number (found {text:?})")))
}

#[test]
fn every_target_is_run_here_and_by_libfuzzer_and_is_described() {
    let manifest = include_str!("../../fuzz/Cargo.toml");
    let readme = include_str!("../../fuzz/README.md");
    let modules = include_str!("../../fuzz/targets/mod.rs");
    for name in NAMES {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "fuzz/Cargo.toml: no bin {name}");
        assert!(modules.contains(&format!("pub mod {name};")), "fuzz/targets/mod.rs: no module {name}");
        assert!(readme.contains(&format!("`{name}`")), "fuzz/README.md does not name {name}");
        let program = examples::in_fuzz(&format!("fuzz_targets/{name}.rs"));
        let text = std::fs::read_to_string(&program).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        assert!(text.contains(&format!("windlass_fuzz::{name}::target(data)")), "{} runs another", program.display());
    }
    for folder in ["targets", "fuzz_targets", "seeds"] {
        for entry in std::fs::read_dir(examples::in_fuzz(folder)).expect("the folder must be readable") {
            let path = entry.expect("the folder must be readable").path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("names of targets must be text");
            assert!(stem == "mod" || NAMES.contains(&stem), "{} belongs to no target", path.display());
        }
    }
}
