//! What an error that the server answered means for the caller, whichever version wrote it, and whether it came from a
//! command or from a script.
//!
//! Scripts add to an error what the server leaves out (`scripts/prelude.lua`): the key, the command, the type that was found.
//!
//! Longer than 400 lines because the words of every server version are judged here, with the words as tests.

use crate::store::error::{StoreError, WRONG_TYPE};
use crate::store::server_state::ServerState;
use crate::text::shell::{self, word};

/// What stands between the parts that a script adds.
const PART_END: char = '\u{1f}';

/// What is wrong with a working record that does not lend its job (`lend.lua`).
pub(super) const WRITTEN_ANEW: &str =
    "another program wrote it anew, so that it does not end with its job; what becomes of the job is sent whole";

/// States that pass, by the first word of the error.
const STATES: [(&str, ServerState); 11] = [
    ("READONLY", ServerState::Replica),
    ("MASTERDOWN", ServerState::MasterDown),
    ("LOADING", ServerState::Loading),
    ("BUSY ", ServerState::Busy),
    ("CLUSTERDOWN", ServerState::ClusterDown),
    ("TRYAGAIN", ServerState::Moving),
    ("MOVED ", ServerState::Moving),
    ("ASK ", ServerState::Moving),
    ("NOREPLICAS", ServerState::TooFewReplicas),
    ("MISCONF", ServerState::CannotSave),
    ("max number of clients", ServerState::TooManyClients),
];

/// Does this error say that a command is refused for every key: because a right is missing, or the command is?
pub(super) fn refuses_command(text: &str) -> bool {
    let has = |word: &str| text.contains(word);
    has("nknown") && has("command")
        || !refuses_key(text) && (has("NOPERM") || has("can't run") || has("permissions to run"))
}

/// Does this error say that this user may not touch a key?
pub(super) fn refuses_key(text: &str) -> bool {
    text.contains("access") && text.contains("key")
}

/// The command that this user has no right to, if an error says so of one that was called by itself.
pub(super) fn command_without_right(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("permissions to run the '")?;
    rest.split_once('\'').map(|(command, _)| command)
}

/// How many bytes of a key a pattern spells out.
const SPELT: usize = 200;

/// A pattern of `ACL SETUSER` for a key, as it can be typed: what a pattern, redis-cli or a shell would read as a sign stands
/// as `?`, which is any byte.
fn pattern(key: &[u8]) -> String {
    let typed = |&byte: &u8| match byte {
        b'_' | b':' | b'.' | b'/' | b'@' | b'=' | b'+' | b'-' | b'{' | b'}' => char::from(byte),
        byte if byte.is_ascii_alphanumeric() => char::from(byte),
        _ => '?',
    };
    let is_whole = key.len() <= SPELT && !key.ends_with(b"*");
    let spelt = if is_whole { key } else { key.strip_suffix(b"*").unwrap_or(key) };
    let spelt: String = spelt.iter().take(SPELT).map(typed).collect();
    if is_whole { spelt } else { format!("{spelt}*") }
}

/// The error of keys that this user may not touch, with what to type. The first is named as its place.
pub(super) fn may_not_touch(user: &str, keys: &[&[u8]], command: Option<&str>, said: &str) -> StoreError {
    let place = keys.first().map(|key| String::from_utf8_lossy(key).into_owned()).unwrap_or_default();
    let what = match (command, keys.len()) {
        (Some(command), _) => format!("{command} is refused there, because the user {user} may not touch it"),
        (None, 0 | 1) => format!("the user {user} may not touch it"),
        (None, _) => format!("the user {user} may not touch it, nor other keys"),
    };
    let patterns: Vec<String> = keys.iter().map(|key| format!(" ~{}", pattern(key))).collect();
    let reason = format!("{what}: type ACL SETUSER {user}{} ({})", patterns.concat(), plain(said));
    StoreError::Barred { place, reason }
}

/// Why the server did not run a script.
#[derive(Debug)]
pub(super) enum Fault {
    /// For one of its keys, in the server's words. Nothing of it was run. It becomes an error only where the keys are named
    /// (`refused_keys`).
    Keys(String),
    Store(StoreError),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Fault {
    /// What the server's error means for a script, of which it may refuse a key.
    pub(super) fn of(error: StoreError) -> Self {
        match error {
            StoreError::Unsupported(said) if refuses_key(&said) || said.contains("CROSSSLOT") => Self::Keys(said),
            error => Self::Store(error),
        }
    }
}

/// What an error that a script answered to this user means for the caller. `cli`: how a person asks that server.
pub(super) fn refused_to(user: &str, cli: &str, text: &str) -> StoreError {
    match parts(text, "REFUSED ") {
        Some((key, command, reason)) if refuses_key(reason) => {
            may_not_touch(user, &[key.as_bytes()], Some(command), reason)
        }
        _ if text.contains("NOPERM")
            && let Some(command) = command_without_right(text) =>
        {
            let plain = plain(text);
            StoreError::Unsupported(format!("a right is missing: type ACL SETUSER {user} +{command} ({plain})"))
        }
        _ => refused_at(cli, text),
    }
}

/// What an error that the server answered means for the caller. One that refuses a key of a whole call does not say which, so
/// it goes on as a `Fault` first.
pub(super) fn refused(text: &str) -> StoreError {
    refused_at("redis-cli", text)
}

/// The same where the server's own `redis-cli` is known.
fn refused_at(cli: &str, text: &str) -> StoreError {
    let has = |word: &str| text.contains(word);
    if let Some((place, found, reason)) = parts(text, "CORRUPT ") {
        let (command, found) = found.split_once(' ').unwrap_or((found, ""));
        return StoreError::Corrupt { place: place.to_owned(), reason: mismatch(cli, place, command, found, reason) };
    }
    if let Some(place) = text.strip_prefix("UNLENT ") {
        return StoreError::Corrupt { place: place.to_owned(), reason: WRITTEN_ANEW.to_owned() };
    }
    if let Some((_, command, reason)) = parts(text, "REFUSED ") {
        // A missing right to a command concerns every key, so that the message is the same for each.
        return StoreError::Unsupported(format!("it refuses {command}: {reason}"));
    }
    if has("NOPERM") {
        StoreError::Unsupported(format!("a right is missing: {}", plain(text)))
    } else if has("nknown command") || has("nknown Redis command") || has("nknown subcommand") {
        StoreError::Unsupported(format!("a command is missing: {}", plain(text)))
    } else if has("NOAUTH") || has("WRONGPASS") || has("without any password configured") {
        StoreError::Unsupported(format!("it refuses our credentials: {text}"))
    } else if has("CROSSSLOT") || has("to the same slot") || has("non local key") {
        StoreError::Unsupported(format!(
            "keys of one step stand in different slots of the Cluster: let the namespace be a hash tag, such as \
             \"{{resque}}\", and every lock key begin with it ({})",
            said(text, "CROSSSLOT")
        ))
    } else if has("OOM ") {
        StoreError::Full(format!("raise maxmemory, or delete what is not needed ({})", said(text, "OOM ")))
    } else if has("WRONGTYPE") {
        StoreError::Corrupt { place: "a key".to_owned(), reason: said(text, "WRONGTYPE").to_owned() }
    } else if let Some((word, state)) = STATES.into_iter().find(|(word, _)| has(word)) {
        StoreError::Refusing { state, said: said(text, word).to_owned() }
    } else if has("UNBLOCKED") {
        StoreError::Unavailable(text.to_owned())
    } else {
        StoreError::Misuse(text.to_owned())
    }
}

/// The key, what a script says of it, and the server's words, behind a mark.
fn parts<'a>(text: &'a str, mark: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let mut parts = text.split_once(mark)?.1.splitn(3, PART_END);
    Some((parts.next()?, parts.next()?, plain(parts.next()?)))
}

/// The error without what the server says of the script around it.
fn plain(text: &str) -> &str {
    text.split(" script: ").next().unwrap_or(text).trim()
}

/// The server's words from this one on.
fn said<'a>(text: &'a str, word: &str) -> &'a str {
    plain(text.find(word).and_then(|at| text.get(at..)).unwrap_or(text))
}

/// What a command expects, in the words of TYPE.
fn expected(command: &str) -> &'static str {
    match command.as_bytes().first() {
        Some(b'L' | b'R') => "list",
        Some(b'Z') => "zset",
        Some(b'H') => "hash",
        _ if command.starts_with("SET") => "string",
        Some(b'S') => "set",
        _ => "string",
    }
}

/// The command that shows what a key of this type holds.
fn shown(key: &str, found: &str) -> String {
    let key = word(key);
    match found {
        "list" => format!("LRANGE {key} 0 9"),
        "set" => format!("SSCAN {key} 0"),
        "zset" => format!("ZRANGE {key} 0 9"),
        "hash" => format!("HSCAN {key} 0"),
        "string" => format!("GET {key}"),
        _ => format!("TYPE {key}"),
    }
}

/// What `verdict.lua` names instead of a command if a periodic task's entry cannot be read; the task follows.
const ENTRY: &str = "ENTRY";

/// What `history.lua` names instead of a command if the counts of a task cannot be read; the task follows.
const COUNTS: &str = "COUNTS";

/// What is wrong with a key, and how to move it out of the way without losing what it holds. `found` is what TYPE says of
/// it, empty if that is not known.
pub(super) fn mismatch(cli: &str, key: &str, command: &str, found: &str, said: &str) -> String {
    if command == ENTRY {
        return format!(
            "it was {said:?}, which is no due second, period, state and queue, and is written anew; if the task was stopped, \
             type {}",
            shell::command("periodic stop", &[found])
        );
    }
    if command == COUNTS {
        return format!("{said:?} are no counts of what ran of {found:?}; they begin anew");
    }
    let look = format!("look at it ({cli} {})", shown(key, found));
    let aside = word(&format!("{key}.aside"));
    let aside = format!("then move it out of the way: {cli} RENAMENX {} {aside}", word(key));
    if !said.contains("WRONGTYPE") {
        return format!("it holds no whole number ({said}); {look}, {aside}");
    }
    let found = if found.is_empty() { "of another type".to_owned() } else { format!("a {found}") };
    format!("{WRONG_TYPE}it is {found} and must be a {}; {look}, {aside}", expected(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as servers write them: in answer to a command, and in a script on 6.2 and on 7 and 8.
    const LINES: [(&str, ServerState); 22] = [
        ("READONLY You can't write against a read only replica.", ServerState::Replica),
        (
            "ERR Error running script (call to f_2a4f): @user_script:44: @user_script: 44: -READONLY You can't write \
             against a read only replica. ",
            ServerState::Replica,
        ),
        (
            "READONLY You can't write against a read only replica. script: 2a4f, on @user_script:44.",
            ServerState::Replica,
        ),
        (
            "ERR user_script:44: READONLY You can't write against a read only replica. script: 2a4f, on @user_script:44.",
            ServerState::Replica,
        ),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", ServerState::MasterDown),
        (
            "ERR Error running script (call to f_2a4f): @user_script:44: @user_script: 44: -MASTERDOWN Link with MASTER is \
             down and replica-serve-stale-data is set to 'no'. ",
            ServerState::MasterDown,
        ),
        (
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'. script: 2a4f, on \
             @user_script:44.",
            ServerState::MasterDown,
        ),
        ("LOADING Redis is loading the dataset in memory", ServerState::Loading),
        ("LOADING Valkey is loading the dataset in memory", ServerState::Loading),
        ("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", ServerState::Busy),
        ("BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.", ServerState::Busy),
        ("CLUSTERDOWN The cluster is down", ServerState::ClusterDown),
        ("CLUSTERDOWN Hash slot not served", ServerState::ClusterDown),
        ("TRYAGAIN Multiple keys request during rehashing of slot", ServerState::Moving),
        ("MOVED 3999 127.0.0.1:6381", ServerState::Moving),
        ("ASK 3999 127.0.0.1:6381", ServerState::Moving),
        ("NOREPLICAS Not enough good replicas to write.", ServerState::TooFewReplicas),
        (
            "ERR Error running script (call to f_2a4f): @user_script:44: @user_script: 44: -NOREPLICAS Not enough good \
             replicas to write. ",
            ServerState::TooFewReplicas,
        ),
        (
            "ERR user_script:44: NOREPLICAS Not enough good replicas to write. script: 2a4f, on @user_script:44.",
            ServerState::TooFewReplicas,
        ),
        (
            "MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist on disk. Commands \
             that may modify the data set are disabled, because this instance is configured to report errors during writes \
             if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about \
             the RDB error.",
            ServerState::CannotSave,
        ),
        (
            "ERR user_script:44: MISCONF Errors writing to the AOF file: No space left on device script: 2a4f, on \
             @user_script:44.",
            ServerState::CannotSave,
        ),
        ("ERR max number of clients reached", ServerState::TooManyClients),
    ];

    #[test]
    fn a_state_of_the_server_is_told_with_its_remedy_no_matter_who_answers() {
        for (line, expected) in LINES {
            let error = refused(line);
            let StoreError::Refusing { state, said } = &error else { panic!("{line}: {error:?}") };
            assert_eq!(*state, expected, "{line}");
            assert!(!said.contains("user_script") && line.contains(said), "{line}: {said}");
            assert!(error.is_transient() && error.changed_nothing(), "{line}");
        }
        let remedies = [
            (ServerState::Replica, "connect to its master"),
            (ServerState::MasterDown, "start the master"),
            (ServerState::Loading, "wait until it has"),
            (ServerState::Busy, "SCRIPT KILL"),
            (ServerState::ClusterDown, "CLUSTER INFO"),
            (ServerState::Moving, "wait until they have moved"),
            (ServerState::TooFewReplicas, "min-replicas-to-write"),
            (ServerState::CannotSave, "make room on its disk"),
            (ServerState::TooManyClients, "maxclients"),
        ];
        for (state, remedy) in remedies {
            assert!(state.to_string().contains(remedy), "{state}");
            assert!(LINES.iter().any(|(_, known)| *known == state), "{state}");
        }
    }

    #[test]
    fn a_full_server_is_told_in_its_own_words() {
        let full = "OOM command not allowed when used memory > 'maxmemory'.";
        for line in [
            full.to_owned(),
            format!("ERR Error running script (call to f_2a4f): @user_script:64: @user_script: 64: -{full} "),
            format!("ERR user_script:64: {full} script: 285a, on @user_script:64."),
            format!("{full} script: 285a, on @user_script:64."),
        ] {
            let error = refused(&line);
            assert_eq!(
                error,
                StoreError::Full(format!("raise maxmemory, or delete what is not needed ({full})")),
                "{line}"
            );
            assert!(error.changed_nothing());
        }
    }

    #[test]
    fn a_key_of_another_type_is_told_with_both_types_and_what_to_type() {
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        for line in [
            format!(
                "ERR user_script:40: CORRUPT r:failed\u{1f}RPUSH string\u{1f}{wrong} script: f, on @user_script:40."
            ),
            format!(
                "ERR Error running script (call to f_2a): @user_script:40: user_script:40: CORRUPT r:failed\u{1f}RPUSH \
                 string\u{1f}{wrong} "
            ),
        ] {
            assert_eq!(
                refused(&line).to_string(),
                "read r:failed: WRONGTYPE: it is a string and must be a list; look at it (redis-cli GET r:failed), then \
                 move it out of the way: redis-cli RENAMENX r:failed r:failed.aside"
            );
        }
        let said = |command, found, words: &str| {
            refused(&format!("CORRUPT k\u{1f}{command} {found}\u{1f}{words}")).to_string()
        };
        for (command, must) in [
            ("LPOP", "list"),
            ("SADD", "set"),
            ("SMEMBERS", "set"),
            ("SSCAN", "set"),
            ("ZADD", "zset"),
            ("HGET", "hash"),
            ("SET", "string"),
            ("INCRBY", "string"),
            ("GET", "string"),
        ] {
            let text = said(command, "stream", wrong);
            assert!(text.contains(&format!("it is a stream and must be a {must};")), "{text}");
            assert!(text.contains("redis-cli TYPE k"), "{text}");
        }
        let untold = said("GET", "", wrong);
        assert!(untold.contains("it is of another type and must be a string") && untold.contains("TYPE k"), "{untold}");
        let number = said("INCRBY", "string", "ERR value is not an integer or out of range");
        assert!(number.contains("it holds no whole number") && number.contains("redis-cli GET k"), "{number}");
    }

    #[test]
    fn what_is_refused_for_good_is_told_by_kind() {
        let slots = refused("CROSSSLOT Keys in request don't hash to the same slot");
        assert!(matches!(&slots, StoreError::Unsupported(text) if text.contains("hash tag")), "{slots}");
        let slots = refused(
            "ERR Script attempted to access keys that do not hash to the same slot script: 2a, on @user_script:1.",
        );
        assert!(slots.to_string().contains("hash tag"), "{slots}");
        let right = refused("NOPERM this user has no permissions to run the 'lpop' command or its subcommand");
        assert!(matches!(&right, StoreError::Unsupported(text) if text.contains("lpop")), "{right}");
        assert_eq!(command_without_right(&right.to_string()), Some("lpop"));
        assert_eq!(
            command_without_right("NOPERM User u has no permissions to run the 'evalsha' command"),
            Some("evalsha")
        );
        assert_eq!(command_without_right("NOPERM No permissions to access a key"), None);
        let typed = refused_to("poor", "redis-cli", "NOPERM this user has no permissions to run the 'eval' command");
        assert!(typed.to_string().contains("type ACL SETUSER poor +eval ("), "{typed}");
        let noperm = "ERR user_script:9: REFUSED r:delayed:7\u{1f}RPUSH\u{1f}The user executing the script can't access at \
                      least one of the keys mentioned in the command script: 2a, on @user_script:9.";
        let key = refused_to("poor", "redis-cli", noperm);
        assert!(matches!(&key, StoreError::Barred { place, .. } if place == "r:delayed:7"), "{key}");
        let said = key.to_string();
        assert!(said.contains("RPUSH is refused there") && !said.contains("user_script"), "{said}");
        assert!(said.contains("type ACL SETUSER poor ~r:delayed:7 ("), "{said}");
        assert!(matches!(refused("ERR syntax"), StoreError::Misuse(_)));
    }

    #[test]
    fn a_pattern_can_be_typed_and_fits_its_key() {
        assert_eq!(pattern(b"{r}:lock:a b:q:[{\"x\",1}]"), "{r}:lock:a?b:q:?{?x??1}?");
        assert_eq!(pattern("r:queue:\u{fc}\\*".as_bytes()), "r:queue:???*");
        assert_eq!(pattern(b"r:*"), "r:*");
        let long = pattern(&[b'x'; 5000]);
        assert_eq!((long.len(), long.ends_with("x*")), (SPELT + 1, true));
        let several = may_not_touch("u", &[b"r:a", b"r:b"], None, "NOPERM script: x").to_string();
        assert_eq!(
            several,
            "use r:a: the user u may not touch it, nor other keys: type ACL SETUSER u ~r:a ~r:b (NOPERM)"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_error_breaks_its_reader(
            text in "(ERR |CORRUPT |REFUSED |NOPERM |READONLY|OOM |WRONGTYPE|\u{1f}| script: |\\PC){0,8}"
        ) {
            let _ = (refused(&text).to_string(), refused_to("u", "redis-cli", &text).to_string());
        }
    }
}
