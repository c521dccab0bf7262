//! Tests of how `tasks.toml` is read, and of the messages about its mistakes.
//!
//! Longer than 400 lines because each key has its good and its bad forms, and one table of mistakes is easier to check.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::config::element::store_url::StoreUrl;
use crate::config::element::store_url_error::StoreUrlError;
use crate::config::model::StoreOrigin;

mod certain;
mod store;

/// A working directory, perhaps with `config/tasks.toml` in it.
fn place(file: Option<&str>) -> (TempDir, Sources) {
    let dir = tempfile::tempdir().unwrap();
    if let Some(text) = file {
        fs::create_dir(dir.path().join("config")).unwrap();
        fs::write(dir.path().join("config/tasks.toml"), text).unwrap();
    }
    let sources = Sources { working_dir: dir.path().to_owned(), ..Sources::default() };
    (dir, sources)
}

fn good(text: &str) -> Loaded {
    let (_dir, sources) = place(Some(text));
    load(&sources).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The problems without the path of the file.
fn bad(text: &str) -> Vec<String> {
    let (dir, sources) = place(Some(text));
    let prefix = format!("{}/config/", dir.path().display());
    let Problems(problems) = load(&sources).expect_err(text);
    problems.iter().map(|problem| problem.to_string().replace(&prefix, "")).collect()
}

#[test]
fn units_that_were_probably_not_meant_are_warned_about_and_usual_small_numbers_are_not() {
    let others = "[shutdown]\ntimeout = 25\nkill_grace = 5\n[notify]\nurl = \"https://x\"\ntimeout = 10\n";
    let loaded = good(&format!(
        "stuckWorkerTimeout = 30\nunknown = \"5M\"\nmaxEventLoopDelay = 5\ncheckTimeout = 500\n{others}"
    ));
    let keys: Vec<&str> = loaded.warnings.iter().filter_map(|one| one.split(": ").nth(1)).collect();
    let meant = ["stuckWorkerTimeout", "unknown", "shutdown.timeout", "shutdown.kill_grace", "notify.timeout"];
    assert_eq!(keys, meant, "{loaded:#?}");
    assert!(loaded.warnings[1].contains("\"5M\" means 5 months"), "{loaded:#?}");
}

#[test]
fn what_a_shell_would_fill_in_is_refused_in_addresses_and_paths() {
    let problems =
        bad("tasks_dir = \"~/tasks.d\"\nqueues = [\"${QUEUE}\"]\n[store]\nurl = \"redis://${REDIS_HOST}\"\n");
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(problems[0].starts_with("tasks.toml:1:13: tasks_dir: expected a path as it is (found ~,"), "{problems:#?}");
    assert!(problems[1].starts_with("tasks.toml:4:7: store.url: ${REDIS_HOST} stays as it is"), "{problems:#?}");
}

#[test]
fn without_a_file_everything_has_its_default() {
    let (dir, sources) = place(None);
    let Loaded { config, notes, .. } = load(&sources).unwrap();
    let path = |name: &str| dir.path().join(name);
    assert_eq!(config.source, None);
    assert_eq!(config.store.url, StoreUrl::Sqlite(path("windlass.db")));
    assert_eq!(config.tasks_dir, path("tasks.d"));
    assert!(config.scheduler);
    assert_eq!(config.queues.as_configured(), "*");
    assert_eq!((config.min_task_processors, config.max_task_processors), (1, 10));
    assert_eq!(config.timeout, Duration::from_secs(5));
    assert_eq!(config.check_timeout, Duration::from_millis(500));
    assert_eq!(config.max_event_loop_delay, Duration::from_millis(5));
    assert_eq!(config.stuck_worker_timeout, Some(Duration::from_secs(3600)));
    assert_eq!((config.on_crash, config.max_redeliveries), (OnCrash::Requeue, 25));
    let (five_minutes, fail) = (Duration::from_secs(300), Duration::ZERO);
    assert_eq!((config.unstarted, config.unknown), (five_minutes, five_minutes));
    let config = good("unstarted = \"fail\"\nunknown = 1500").config;
    assert_eq!((config.unstarted, config.unknown), (fail, Duration::from_millis(1500)));
    assert_eq!(config.worker_logging.failure, EventLevel::Error);
    assert_eq!(config.scheduler_logging.transferred_job, EventLevel::Debug);
    assert_eq!((config.store.namespace.as_str(), config.store.lease), ("resque", Duration::from_secs(15)));
    let shutdown =
        ShutdownConfig { timeout: Duration::from_secs(25), kill_grace: Duration::from_secs(5), upgrade_timeout: None };
    assert_eq!(config.shutdown, shutdown);
    for (text, limit) in [("false", None), ("\"2h\"", Some(Duration::from_secs(7200)))] {
        let config = good(&format!("[shutdown]\nupgrade_timeout = {text}")).config;
        assert_eq!(config.shutdown.upgrade_timeout, limit);
    }
    assert_eq!((config.log.level.as_str(), config.log.format), ("info", LogFormat::Text));
    assert!(notes.is_empty());
}

#[test]
fn a_file_of_actionhero_in_camel_case_is_read() {
    let loaded = good(
        r#"
        scheduler = false
        queues = ["critical", "mail_*", "!mail_slow"]
        workerLogging = { failure = "crit", reEnqueue = "notice", cleaning_worker = "off" }
        schedulerLogging = { working_timestamp = "warning" }
        timeout = 2500
        minTaskProcessors = 0
        maxTaskProcessors = 4
        checkTimeout = "1s"
        maxEventLoopDelay = 2.5
        toDisconnectProcessors = true
        stuckWorkerTimeout = false
        retryStuckJobs = false
        resque_overrides = { queue = "", multiWorker = false }
        "#,
    );
    let config = loaded.config;
    assert!(!config.scheduler);
    assert_eq!(config.queues.as_configured(), "critical,mail_*,!mail_slow");
    assert_eq!(config.worker_logging.failure, EventLevel::Error);
    assert_eq!(config.worker_logging.re_enqueue, EventLevel::Info);
    assert_eq!(config.worker_logging.cleaning_worker, EventLevel::Off);
    assert_eq!(config.scheduler_logging.working_timestamp, EventLevel::Warn);
    assert_eq!(config.timeout, Duration::from_millis(2500));
    assert_eq!((config.min_task_processors, config.max_task_processors), (1, 4));
    assert_eq!(config.check_timeout, Duration::from_secs(1));
    assert_eq!(config.max_event_loop_delay, Duration::from_micros(2500));
    assert_eq!(config.stuck_worker_timeout, None);
    assert_eq!(config.on_crash, OnCrash::Fail);
    assert_eq!(loaded.notes.len(), 1);
    assert!(
        loaded.notes[0].ends_with("tasks.toml:11:34: toDisconnectProcessors: has no effect here"),
        "{:?}",
        loaded.notes
    );
}

#[test]
fn relative_paths_are_relative_to_the_file() {
    let (dir, sources) = place(Some("tasks_dir = \"jobs\"\n[store]\nurl = \"sqlite:data/jobs.db\""));
    let config = load(&sources).unwrap().config;
    assert_eq!(config.source, Some(dir.path().join("config/tasks.toml")));
    assert_eq!(config.tasks_dir, dir.path().join("config/jobs"));
    assert_eq!(config.store.url, StoreUrl::Sqlite(dir.path().join("config/data/jobs.db")));

    let (dir, sources) = place(Some(""));
    let config = load(&sources).unwrap().config;
    assert_eq!(config.tasks_dir, dir.path().join("tasks.d"));
    let StoreUrl::Sqlite(path) = config.store.url else { panic!("SQLite is the default") };
    let plain = !path.components().any(|part| part == std::path::Component::ParentDir);
    assert!(path.is_absolute() && path.ends_with("windlass.db") && plain, "{}", path.display());
}

#[test]
fn flag_comes_before_environment_before_file() {
    let (dir, mut sources) = place(Some("[store]\nurl = \"redis://file\"\n[log]\nlevel = \"debug\""));
    let config = |sources: &Sources| load(sources).unwrap().config;
    assert_eq!(config(&sources).store.url, StoreUrl::Redis("redis://file".to_owned()));
    sources.env.insert("WINDLASS_STORE_URL".to_owned(), "sqlite:env.db".to_owned());
    sources.env.insert("WINDLASS_LOG".to_owned(), "warn,windlass::store=trace".to_owned());
    sources.env.insert("WINDLASS_HTTP_TOKEN".to_owned(), "whatever".to_owned());
    assert_eq!(config(&sources).store.url, StoreUrl::Sqlite(dir.path().join("env.db")));
    assert_eq!(config(&sources).log.level, "warn,windlass::store=trace");
    sources.store_url = Some("redis://flag".to_owned());
    assert_eq!(config(&sources).store.url, StoreUrl::Redis("redis://flag".to_owned()));
}

#[test]
fn the_file_is_found_by_flag_then_environment_then_place() {
    let (dir, mut sources) = place(Some("[store]\nnamespace = \"place\""));
    fs::write(dir.path().join("env.toml"), "[store]\nnamespace = \"env\"").unwrap();
    fs::write(dir.path().join("flag.toml"), "[store]\nnamespace = \"flag\"").unwrap();
    let namespace = |sources: &Sources| load(sources).unwrap().config.store.namespace;
    assert_eq!(namespace(&sources), "place");
    sources.env.insert("WINDLASS_CONFIG".to_owned(), "env.toml".to_owned());
    assert_eq!(namespace(&sources), "env");
    sources.file = Some(PathBuf::from("flag.toml"));
    assert_eq!(namespace(&sources), "flag");
    sources.file = Some(PathBuf::from("gone.toml"));
    let told = load(&sources).unwrap_err().to_string();
    assert!(told.ends_with("/gone.toml: cannot be read: No such file or directory (os error 2)"), "{told}");
}

#[test]
fn under_systemd_a_bare_store_name_goes_to_the_state_directory() {
    let (_dir, mut sources) = place(Some("[store]\nurl = \"sqlite:jobs.db\""));
    sources.env.insert("STATE_DIRECTORY".to_owned(), "/var/lib/windlass:/var/lib/other".to_owned());
    let url = |sources: &Sources| load(sources).unwrap().config.store.url;
    assert_eq!(url(&sources), StoreUrl::Sqlite(PathBuf::from("/var/lib/windlass/jobs.db")));
    sources.store_url = Some("sqlite:flag.db".to_owned());
    assert_eq!(url(&sources), StoreUrl::Sqlite(PathBuf::from("/var/lib/windlass/flag.db")));
    let (_dir, empty) = place(None);
    let sources = Sources { env: sources.env.clone(), ..empty };
    assert_eq!(url(&sources), StoreUrl::Sqlite(PathBuf::from("/var/lib/windlass/windlass.db")));
}

#[test]
fn the_address_of_the_store_may_stand_in_a_file_of_its_own() {
    let (dir, sources) = place(Some("[store]\nurl = { file = \"secret\" }"));
    fs::write(dir.path().join("config/secret"), "redis://:s3cret@host\n").unwrap();
    let config = load(&sources).unwrap().config;
    assert_eq!(config.store.url, StoreUrl::Redis("redis://:s3cret@host".to_owned()));
    assert!(effective_settings(&config).contains(&("store.url".to_owned(), "redis://host:6379".to_owned())));
    fs::write(dir.path().join("config/secret"), "redis-sentinel://:s3cret@host\n").unwrap();
    let told = load(&sources).unwrap_err().to_string();
    assert!(told.contains("tasks.toml:2:16: store.url.file: expected redis-sentinel://"), "{told}");
    assert!(!told.contains("s3cret"));
    fs::remove_file(dir.path().join("config/secret")).unwrap();
    let told = load(&sources).unwrap_err().to_string();
    assert!(told.contains("store.url.file: expected a readable file that holds the address (No such file"), "{told}");
}

#[test]
fn all_problems_of_all_sources_are_told_at_once() {
    let (_dir, mut sources) = place(Some("schedular = true\ntimeout = \"soon\"\n[store]\nurl = \"mysql://x\""));
    sources.store_url = Some("nowhere".to_owned());
    sources.env.insert("WINDLASS_LOG".to_owned(), "degub".to_owned());
    let Problems(problems) = load(&sources).unwrap_err();
    let messages: Vec<_> = problems.iter().map(|problem| (problem.key.as_str(), problem.line)).collect();
    assert_eq!(messages, [("", 0), ("", 0), ("schedular", 1), ("timeout", 2), ("store.url", 4)]);
    assert_eq!(problems[0].to_string(), StoreUrlError::Scheme.to_string().replace("expected", "--store: expected"));
    assert!(problems[1].to_string().starts_with("WINDLASS_LOG: expected a level"));
    assert!(problems[1].to_string().ends_with("(found \"degub\"); did you mean \"debug\"?"));
}

#[test]
fn each_mistake_is_told_with_its_place() {
    for (text, message) in [
        ("queus = []", "1:1: queus: unknown key; did you mean \"queues\"?"),
        ("timeout = 1\nTimeout = 2", "2:1: Timeout: unknown key; did you mean \"timeout\"?"),
        (
            "minTaskProcessors = 1\nmin_task_processors = 1",
            "1:1: minTaskProcessors: `min_task_processors` and `minTaskProcessors` are two spellings of one key; \
             keep one of them",
        ),
        ("scheduler = \"yes\"", "1:13: scheduler: expected true or false (found \"yes\")"),
        ("timeout = 0", "1:11: timeout: expected a duration of at least 1ms (found 0)"),
        (
            "check_timeout = -5",
            "1:17: check_timeout: expected a duration such as \"5s\", or a number of milliseconds (found -5)",
        ),
        ("min_task_processors = -1", "1:23: min_task_processors: expected a whole number from 0 to 10000 (found -1)"),
        (
            "min_task_processors = 5\nmax_task_processors = 2",
            "2:23: max_task_processors: expected at least min_task_processors, 5 (found 2)",
        ),
        (
            "min_task_processors = 20",
            "1:23: min_task_processors: expected at most max_task_processors, 10 by default (found 20)",
        ),
        (
            "max_task_processors = 0",
            "1:23: max_task_processors: expected at least min_task_processors, 1 (found 0); for no pool set both to 0",
        ),
        (
            "stuck_worker_timeout = true",
            "1:24: stuck_worker_timeout: expected a duration, or false for never (found true)",
        ),
        ("unknown = \"never\"", "1:11: unknown: expected a duration such as \"5m\", or \"fail\" (found \"never\")"),
        (
            "on_crash = \"fial\"",
            "1:12: on_crash: expected \"requeue\" or \"fail\" (found \"fial\"); did you mean \"fail\"?",
        ),
        (
            "on_crash = \"requeue\"\nretry_stuck_jobs = false",
            "2:20: retry_stuck_jobs: means on_crash = \"fail\", but on_crash = \"requeue\" is given; keep on_crash alone",
        ),
        (
            "queues = []",
            "1:10: queues: expected at least one queue (for no pool set min_task_processors and \
          max_task_processors to 0)",
        ),
        (
            "queues = [\"a\", \"b,c\"]",
            "1:16: queues: expected a queue's name or a pattern (found \"b,c\": a comma; \
          write the queues as separate entries)",
        ),
        ("queues = 5", "1:10: queues: expected a list of queues, such as [\"critical\", \"mail_*\"] (found 5)"),
        (
            "[worker_logging]\npoll = \"laud\"",
            "2:8: worker_logging.poll: expected a level: off, error, warn, info, debug or trace (found \"laud\")",
        ),
        ("[worker_logging]\npol = \"info\"", "2:1: worker_logging.pol: unknown key; did you mean \"poll\"?"),
        ("store = \"sqlite:x\"", "1:9: store: expected a table (found \"sqlite:x\")"),
        (
            "[store]\nnamespace = \"a b\"",
            "2:13: store.namespace: expected a text without blanks and control characters \
          (found \"a b\")",
        ),
        (
            "[store]\nnamespace = \"\"",
            "2:13: store.namespace: expected a text without blanks and control characters \
          (found \"\")",
        ),
        ("[store]\nlease = \"500ms\"", "2:9: store.lease: expected a duration of at least 1s (found \"500ms\")"),
        (
            "[shutdown]\nkill_grace = \"25s\"",
            "2:14: shutdown.kill_grace: expected less than shutdown.timeout, 25s \
          (found \"25s\")",
        ),
        (
            "[shutdown]\ntimeout = \"4s\"",
            "2:11: shutdown.timeout: expected more than shutdown.kill_grace, 5s by default \
          (found \"4s\")",
        ),
        (
            "[shutdown]\nupgrade_timeout = \"4s\"",
            "2:19: shutdown.upgrade_timeout: expected more than shutdown.kill_grace, 5s \
          (found \"4s\")",
        ),
        (
            "[shutdown]\nupgrade_timeout = true",
            "2:19: shutdown.upgrade_timeout: expected a duration, or false for as long as jobs take (found true)",
        ),
        ("[log]\nformat = \"xml\"", "2:10: log.format: expected \"text\" or \"json\" (found \"xml\")"),
        (
            "[log]\nlevel = \"infoo\"",
            "2:9: log.level: expected a level (off, error, warn, info, debug, trace) or a filter \
          such as \"info,windlass::store=debug\" (found \"infoo\"); did you mean \"info\"?",
        ),
        ("tasks_dir = \"\"", "1:13: tasks_dir: expected the folder of the task files (found \"\")"),
    ] {
        assert_eq!(bad(text), [format!("tasks.toml:{message}")], "{text}");
    }
}

#[test]
fn what_is_not_built_yet_is_refused_by_name() {
    let store = "the store is configured in [store]: url = \"redis://HOST\", namespace = \"resque\"";
    for (text, message) in [
        ("[connectionOptions]\ntasks = {}", format!("1:2: connectionOptions: {store}")),
        ("redis = {}", format!("1:1: redis: {store}")),
        (
            "[log]\nformat = \"journald\"",
            "2:10: log.format: \"journald\" is not built yet in this version; use \"text\", which the journal keeps well"
                .to_owned(),
        ),
    ] {
        assert_eq!(bad(text), [format!("tasks.toml:{message}")], "{text}");
    }
}

#[test]
fn what_was_understood_can_be_shown() {
    let config = good("timeout = 1500\nqueues = \"math\"\nretry_stuck_jobs = true").config;
    let all = effective_settings(&config);
    let value = |key: &str| all.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    assert_eq!(value("timeout"), Some("1s 500ms"));
    assert_eq!(value("queues"), Some("math"));
    assert_eq!(value("on_crash"), Some("requeue"));
    assert_eq!(value("worker_logging.multi_worker_action"), Some("debug"));
    assert_eq!(value("store.lease"), Some("15s"));
}

#[test]
fn the_documented_values_are_the_defaults() {
    let documented = r#"
        scheduler = true
        queues = ["*"]
        timeout = "5s"
        min_task_processors = 1
        max_task_processors = 10
        check_timeout = "500ms"
        max_event_loop_delay = "5ms"
        stuck_worker_timeout = "1h"
        on_crash = "requeue"
        max_redeliveries = 25
        unstarted = "5m"
        unknown = "5m"
        tasks_dir = "../tasks.d"
        [worker_logging]
        failure = "error"
        retry = "warn"
        later = "info"
        success = "info"
        start = "info"
        end = "info"
        cleaning_worker = "info"
        poll = "debug"
        job = "debug"
        pause = "debug"
        re_enqueue = "debug"
        internal_error = "error"
        multi_worker_action = "debug"
        [scheduler_logging]
        start = "info"
        end = "info"
        poll = "debug"
        enqueue = "debug"
        re_enqueue = "debug"
        working_timestamp = "debug"
        transferred_job = "debug"
        [resque_overrides]
        [store]
        url = "sqlite:../windlass.db"
        namespace = "resque"
        lease = "15s"
        [shutdown]
        timeout = "25s"
        kill_grace = "5s"
        [log]
        level = "info"
        format = "text"
        redact = []
    "#;
    let (dir, sources) = place(Some(""));
    let defaults = load(&sources).unwrap();
    fs::write(dir.path().join("config/tasks.toml"), documented).unwrap();
    let mut read = load(&sources).unwrap();
    assert_eq!((read.config.store.origin, defaults.config.store.origin), (StoreOrigin::File, StoreOrigin::Default));
    read.config.store.origin = StoreOrigin::Default;
    assert_eq!(read, defaults);
}

#[test]
fn a_filter_must_be_one_that_the_log_understands() {
    let level = |text: &str| good(&format!("[log]\nlevel = \"{text}\"")).config.log.level;
    assert_eq!(level("notice"), "info");
    assert_eq!(level("WARN"), "warn");
    assert_eq!(level("info,windlass::store=debug"), "info,windlass::store=debug");
    assert_eq!(level("info, windlass=debug"), "info, windlass=debug");
    for other in ["windlass=loud", "windlass=debug=info", "info,[span]=debug", "info,windlass[{job}]=debug"] {
        assert_eq!(bad(&format!("[log]\nlevel = \"{other}\"")).len(), 1, "{other}");
    }
}

#[cfg(not(feature = "otel"))]
#[test]
fn traces_are_refused_by_name_where_they_are_not_built_in() {
    let problems = bad("[otel]\nendpoint = \"http://localhost:4318\"\n");
    let [problem] = &problems[..] else { panic!("{problems:#?}") };
    assert!(problem.starts_with("tasks.toml:1:2: otel: this program was built without traces"), "{problem}");
    assert!(problem.contains("--features otel"), "{problem}");
}
