//! The shape of the house, held: which room may use which, and how long a file may be.
//!
//! Calls go down, values and channels come up: a room uses only rooms of lower levels. This test reads
//! the sources, unit tests included, and fails on every path that climbs. `lib.rs`, `main.rs`, `prelude.rs`
//! and `fuzzing.rs` stand outside of all rooms. Anyone who needs a new arrow changes the table here, where a review sees it.

#[path = "house/circles.rs"]
mod circles;
#[path = "house/guarantees.rs"]
mod guarantees;
#[path = "house/image.rs"]
mod image;
#[path = "house/source.rs"]
mod source;
#[path = "house/templates.rs"]
mod templates;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use source::{sources, tokens};

/// The rooms from the bottom up; a room uses only rooms of lower levels.
const LEVELS: &[&[&str]] = &[
    &["clock", "backoff", "curve", "job", "supervise", "text"],
    &["file"],
    &["config", "event", "process"],
    &["task", "store", "telemetry"],
    &["plugin", "handler"],
    &["client", "pool"],
    &["scheduler", "admin"],
    &["http"],
    &["daemon"],
    &["cli"],
];

/// What stands outside of all rooms: it names what others define.
const OUTSIDE: [&str; 4] = ["lib", "main", "prelude", "fuzzing"];

/// Rooms that never meet, whatever their levels: what works on jobs does not depend on what looks at them.
const STRANGERS: &[(&str, &str)] = &[("admin", "pool"), ("http", "pool")];

/// Who may write to `tracing`. Its events are formatted and written where they are told; on the core's thread, a stderr
/// that nobody reads would stop the daemon. All others hand up what they find, as events or in their replies.
const TELLERS: &[&str] = &["telemetry"];

/// Who may write to stdout or stderr. Each cleans every line that it writes.
const GATES: &[&str] = &["src/cli/output.rs", "src/process/shim.rs", "src/telemetry/log.rs", "src/telemetry/stderr.rs"];

/// How long a file may be without a reason.
const LONGEST: usize = 400;

/// How the reason begins, in the comment at the head of the file.
const REASON: &str = "//! Longer than 400 lines because ";

#[test]
fn rooms_use_only_rooms_of_lower_levels() {
    let mut wrong = String::new();
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in sources() {
        let Some(room) = room_of(&file.path) else { continue };
        let level = level_of(&room);
        if level.is_none() {
            writeln!(wrong, "{}: the room `{room}` is not in the table of levels", file.name)
                .expect("strings take all");
        }
        for path in paths(&file.text, depth_of(&file.path)) {
            arrows.entry(room.clone()).or_default().insert(path.room.clone());
            if let Some(complaint) = judge(&room, &path) {
                writeln!(wrong, "{}:{}: {complaint}", file.name, path.line).expect("strings take all");
            }
        }
    }
    assert!(wrong.is_empty(), "these paths climb:\n{wrong}");
    assert!(arrows.len() > 1, "no arrows between rooms were found: this test reads nothing");
    assert_eq!(cycle(&arrows), None, "rooms use each other in a circle");
}

#[test]
fn the_table_in_the_crates_documentation_is_this_one() {
    let lib = include_str!("../src/lib.rs");
    let rows = lib.lines().filter_map(|line| line.strip_prefix("//! | ")?.split_once(" | "));
    let rooms = rows.filter(|(level, _)| level.parse::<usize>().is_ok());
    let told: Vec<Vec<&str>> = rooms.map(|(_, names)| names.split('`').skip(1).step_by(2).collect()).collect();
    assert_eq!(told, LEVELS, "the rooms by level in src/lib.rs");
    let modules = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let built: BTreeSet<&str> = modules.filter(|module| !OUTSIDE.contains(module)).collect();
    assert_eq!(LEVELS.iter().flat_map(|rooms| rooms.iter().copied()).collect::<BTreeSet<_>>(), built);
}

#[test]
fn long_files_give_a_reason() {
    let mut wrong = String::new();
    for file in sources() {
        let lines = file.text.lines().count();
        let head = file.text.lines().take_while(|line| line.starts_with("//!"));
        if lines > LONGEST && !head.into_iter().any(|line| line.starts_with(REASON)) {
            writeln!(wrong, "{}: {lines} lines", file.name).expect("strings take all");
        }
    }
    assert!(wrong.is_empty(), "longer than {LONGEST} lines without a `{REASON}...`:\n{wrong}");
}

/// The files of the SQLite engine that run statements themselves: the first says who checks their effect, the others begin,
/// end and undo transactions and parts of them.
const RUN_STATEMENTS: [&str; 3] =
    ["src/store/sqlite/effect.rs", "src/store/sqlite/commit.rs", "src/store/sqlite/step.rs"];

/// A statement without its effect, whom nobody asks for it, loses or doubles a job (`src/store/sqlite/effect.rs`).
#[test]
fn no_statement_of_sqlite_is_run_without_saying_who_checks_its_effect() {
    let (mut wrong, mut right) = (String::new(), 0);
    for file in sources() {
        if !file.name.starts_with("src/store/sqlite/") || file.name.contains("tests") {
            continue;
        }
        let text = file.text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for (number, _) in text.lines().enumerate().filter(|(_, line)| line.contains(".execute(")) {
            if RUN_STATEMENTS.contains(&file.name.as_str()) {
                right += 1;
            } else {
                writeln!(wrong, "{}:{}", file.name, number + 1).expect("strings take all");
            }
        }
    }
    assert!(wrong.is_empty(), "run these statements by a function of {}:\n{wrong}", RUN_STATEMENTS[0]);
    assert!(right > 0, "no statement was found: this test reads nothing");
}

#[test]
fn the_reader_of_sources_sees_every_way_to_write_a_path() {
    let seen = |text: &str, depth| {
        let rooms = paths(text, depth).into_iter().map(|path| format!("{}:{}", path.line, path.room));
        rooms.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(seen("use crate::job::{QueueName, payload::encode};", 2), "1:job");
    assert_eq!(
        seen("use crate::{\n  job::{A, B},\n  store as s, task::{self, x::{Y}},\n};", 2),
        "2:job 3:store 3:task"
    );
    assert_eq!(seen("fn f() -> crate::store::Error {\n crate :: pool::start() }", 2), "1:store 2:pool");
    assert_eq!(seen("pub(crate) fn f() {} pub(in crate::pool) fn g() {}", 2), "1:pool");
    assert_eq!(seen("// crate::pool\n/* crate::pool /* */ crate::cli */ /// [`crate::cli`]\n", 2), "");
    assert_eq!(
        seen("let a = (\"crate::pool\", r#\"\"crate::cli\"#, '\"', b'\"', 'x'); use crate::job::X;", 2),
        "1:job"
    );
    assert_eq!(seen("fn f<'a>(x: &'a str) { let c = '\\''; crate::job::g() }", 2), "1:job");
    // src/pool/manager.rs is at depth 2: `super` is the room, one more is the crate.
    assert_eq!(seen("use super::super::cli::Args; use super::census;", 2), "1:cli");
    assert_eq!(seen("mod tests { use super::super::cli::X; use super::super::super::{cli, job}; }", 2), "1:cli 1:job");
    assert_eq!(seen("mod tests { fn f() {} } use super::super::cli::X;", 2), "1:cli");
}

#[test]
fn no_name_stands_unquoted_in_a_command_that_people_are_to_type() {
    let found: Vec<_> = sources()
        .iter()
        .filter(|file| file.path != Path::new("text/shell.rs") && !file.name.contains("tests"))
        .flat_map(|file| commands(&file.text).into_iter().map(|text| format!("{}: {text}", file.name)))
        .collect();
    assert!(found.is_empty(), "make them by text::shell::command: {found:#?}");
    assert_eq!(
        commands("format!(\"x; type windlass queues \\\n   resume {queue}\")"),
        ["windlass queues resume {queue}"]
    );
    for right in [
        "\"`windlass enqueue` fails: {error}\"",
        "\"windlass {} starts\"",
        "\"windlass queues; {}\"",
        "// windlass run {x}",
    ] {
        assert_eq!(commands(right), [""; 0], "{right}");
    }
}

/// The commands of ours in a source text that hold placeholders.
fn commands(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut joined = lines.collect::<Vec<_>>().join("\n");
    while let Some((before, after)) = joined.split_once("\\\n") {
        joined = format!("{before}{}", after.trim_start());
    }
    let command = |(at, _): (usize, &str)| {
        let rest = &joined[at..];
        let is_verb = rest["windlass ".len()..].starts_with(|letter: char| letter.is_ascii_lowercase());
        let end = rest.find(['"', '`', ';', ',', ')', '\n']).unwrap_or(rest.len());
        // Not the brace of JSON in an example.
        let is_placeholder = |(at, _)| {
            rest[at + 1..end].starts_with(|next: char| next.is_ascii_alphanumeric() || matches!(next, '_' | '}' | ':'))
        };
        let holds_one = rest[..end].match_indices('{').any(is_placeholder);
        (is_verb && holds_one).then(|| rest[..end].to_owned())
    };
    joined.match_indices("windlass ").filter_map(command).collect()
}

#[test]
fn the_judge_knows_up_from_down() {
    let judged = |room: &str, text: &str| paths(text, 2).iter().filter_map(|path| judge(room, path)).count();
    assert_eq!(judged("pool", "use crate::store::Store; use crate::job::JobName;"), 0);
    assert_eq!(judged("store", "use crate::store::error::StoreError;"), 0);
    assert_eq!(judged("store", "use crate::pool::Pool;"), 1, "upwards");
    assert_eq!(judged("store", "use crate::task::Registry;"), 1, "sideways");
    assert_eq!(judged("admin", "use crate::pool::Pool;"), 1, "strangers");
    assert_eq!(judged("store", "use crate::attic::Chest;"), 1, "a room that is not in the table");
    assert_eq!(judged("store", "use crate::store::StoreError;"), 1, "a room's own door");
    let arrow = |from: &str, to: &str| (from.to_owned(), BTreeSet::from([to.to_owned()]));
    assert_eq!(cycle(&BTreeMap::from([arrow("a", "b"), arrow("b", "c")])), None);
    assert!(cycle(&BTreeMap::from([arrow("a", "b"), arrow("b", "c"), arrow("c", "a")])).is_some());
}

#[test]
fn nobody_but_the_log_writes_to_tracing() {
    let mut wrong = String::new();
    for file in sources() {
        let teller = room_of(&file.path).is_some_and(|room| TELLERS.contains(&room.as_str()));
        for (line, _) in tokens(&file.text).iter().filter(|(_, token)| !teller && token == "tracing") {
            writeln!(wrong, "{}:{line}", file.name).expect("strings take all");
        }
    }
    assert!(wrong.is_empty(), "emit an event instead of writing to `tracing`:\n{wrong}");
}

#[test]
fn nobody_but_the_gates_writes_to_stdout_or_stderr() {
    let mut wrong = String::new();
    for file in sources().iter().filter(|file| !GATES.contains(&file.name.as_str())) {
        for line in writes(&file.text) {
            writeln!(wrong, "{}:{line}", file.name).expect("strings take all");
        }
    }
    assert!(wrong.is_empty(), "what others wrote could get to a terminal raw; use {GATES:?}:\n{wrong}");
    assert_eq!(
        writes("fn f() { println!(); std::io::stderr().lock(); }\n dbg!(x); rustix::stdio::stdout();"),
        [1, 1, 2, 2]
    );
    assert_eq!(writes("command.stdout(Stdio::null()); // eprintln!(\"x\")\n self.stderr.take()"), [0_usize; 0]);
    for gate in GATES {
        let gates = sources().into_iter().filter(|file| file.name == *gate);
        assert!(gates.map(|file| writes(&file.text).len()).sum::<usize>() > 0, "{gate} writes nothing");
    }
}

/// The lines in which a text writes to stdout or stderr, or takes hold of them.
fn writes(text: &str) -> Vec<usize> {
    const MACROS: &[&str] = &["print", "println", "eprint", "eprintln", "dbg"];
    let tokens = tokens(text);
    let next = |at: usize, ahead: usize| tokens.get(at + ahead).map_or("", |(_, token)| token.as_str());
    let writes = |at: usize, token: &str| match token {
        "stdout" | "stderr" | "Stdout" | "Stderr" => next(at, 1) == "(" && next(at, 2) == ")",
        _ => MACROS.contains(&token) && next(at, 1) == "!",
    };
    tokens.iter().enumerate().filter(|(at, (_, token))| writes(*at, token)).map(|(_, (line, _))| *line).collect()
}

/// A path to a room, as it stands in a source file.
#[derive(Debug)]
struct RoomPath {
    /// The line it stands in.
    line: usize,
    /// The room it leads to.
    room: String,
    /// What it names there first, if it goes on.
    next: Option<String>,
}

/// What is wrong with this path in this room.
fn judge(room: &str, path: &RoomPath) -> Option<String> {
    let to = path.room.as_str();
    if room == to {
        // The door re-exports what its files define: through it, every child would depend on its parent.
        let door = path.next.as_ref().filter(|next| next.starts_with(char::is_uppercase))?;
        return Some(format!("`{room}` takes `{door}` through its own door: import it from the file that defines it"));
    }
    let Some(level) = level_of(to) else {
        return Some(format!("`{room}` uses `crate::{to}`, which is no room of the table of levels"));
    };
    if STRANGERS.iter().any(|&(a, b)| (a, b) == (room, to) || (b, a) == (room, to)) {
        return Some(format!("`{room}` and `{to}` never meet"));
    }
    let own = level_of(room)?;
    (level >= own).then(|| format!("`{room}` (level {own}) may not use `{to}` (level {level})"))
}

/// The level of a room.
fn level_of(room: &str) -> Option<usize> {
    LEVELS.iter().position(|rooms| rooms.contains(&room))
}

/// A circle of arrows, if there is one: the rooms that remain when those without arrows to others are
/// taken away again and again.
fn cycle(arrows: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut left = arrows.clone();
    loop {
        let rooms: BTreeSet<String> = left.keys().cloned().collect();
        let before = left.len();
        left.retain(|room, to| to.iter().any(|to| to != room && rooms.contains(to)));
        if left.is_empty() {
            return None;
        }
        if left.len() == before {
            return Some(left.into_keys().collect());
        }
    }
}

/// The room a file belongs to: the first folder, or the file itself; none for what stands outside, which names what others define.
fn room_of(path: &Path) -> Option<String> {
    let room = path.iter().next()?.to_str()?.trim_end_matches(".rs");
    (!OUTSIDE.contains(&room)).then(|| room.to_owned())
}

/// How many modules deep a file's own module is; a room is at depth 1.
fn depth_of(path: &Path) -> usize {
    path.iter().count() - usize::from(path.ends_with("mod.rs"))
}

/// Every path from the root of the crate, by `crate::` or by enough `super::`, in a file whose module is
/// at this depth.
fn paths(text: &str, depth: usize) -> Vec<RoomPath> {
    let tokens = tokens(text);
    let word = |at: usize| tokens.get(at).map_or("", |(_, token)| token.as_str());
    let (mut found, mut braces, mut at) = (Vec::new(), Vec::new(), 0);
    while at < tokens.len() {
        match word(at) {
            "{" => braces.push(at >= 2 && word(at - 2) == "mod"),
            "}" => drop(braces.pop()),
            "crate" if word(at + 1) == "::" => collect(&tokens, at + 2, &mut found),
            "super" => {
                let inline = braces.iter().filter(|&&is_mod| is_mod).count();
                let mut climbed = 1;
                while word(at + 1) == "::" && word(at + 2) == "super" {
                    climbed += 1;
                    at += 2;
                }
                if climbed >= depth + inline && word(at + 1) == "::" {
                    collect(&tokens, at + 2, &mut found);
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The rooms named at `at`: one, or a group in braces.
fn collect(tokens: &[(usize, String)], at: usize, found: &mut Vec<RoomPath>) {
    let word = |at: usize| tokens.get(at).map_or("", |(_, token)| token.as_str());
    let mut take = |at: usize| {
        if let Some((line, room)) = tokens.get(at) {
            let next = (word(at + 1) == "::").then(|| word(at + 2).to_owned());
            found.push(RoomPath { line: *line, room: room.clone(), next });
        }
    };
    if word(at) != "{" {
        return take(at);
    }
    let (mut deep, mut at) = (0, at);
    while at < tokens.len() {
        match word(at) {
            "{" => deep += 1,
            "}" => deep -= 1,
            _ => {}
        }
        if deep == 0 {
            return;
        }
        if deep == 1 && matches!(word(at), "{" | ",") && !matches!(word(at + 1), "}" | "self") {
            take(at + 1);
        }
        at += 1;
    }
}
