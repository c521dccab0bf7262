//! `[defaults]`: what a task takes from there, and what it does not.

use std::path::Path;

use super::*;
use crate::config::defaults::DefaultsSource;
use crate::task::environment::EnvSource;
use crate::task::plugin_spec::Backoff;

/// The tasks of these files over these defaults, whose file is `conf/tasks.toml` beside them.
fn over(defaults: &str, files: &[(&str, &str)]) -> (TempDir, Tasks) {
    let dir = folder(files);
    fs::create_dir(dir.path().join("conf")).unwrap();
    let source = DefaultsSource::new(dir.path().join("conf/tasks.toml"), format!("scheduler = true\n{defaults}"));
    let tasks = load(dir.path(), KnownNames::new(&BUILTINS, &["Policy"]).over(Some(&source)));
    (dir, tasks)
}

fn of_exec<'a>(tasks: &'a Tasks, name: &str) -> &'a ProcessSettings {
    match &tasks.registry.get(name).unwrap().handler {
        HandlerSpec::Exec(spec) => &spec.process,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_task_takes_what_it_does_not_say_itself() {
    let defaults = "[defaults]\nqueue = \"slow\"\ntimeout = \"5m\"\nplugins = [\"Retry\"]\non_crash = \"fail\"\n\
                    retryLaterLimit = 3\nplugin_options.Retry = { retry_limit = 7, retry_delay = \"2s\" }\n";
    let own = "name = \"own\"\nqueue = \"fast\"\ntimeout = false\nplugins = []\n[run]\nexec = [\"./work\"]\n\
               retry_later_limit = 9\n";
    let half = "name = \"half\"\nplugin_options.Retry.backoff_strategy = [\"9s\"]\n[run]\nexec = [\"./work\"]\n";
    let (dir, tasks) = over(defaults, &[("a.toml", own), ("b.toml", half)]);
    assert_eq!(told(&dir, &tasks), Vec::<String>::new());
    let own = tasks.registry.get("own").unwrap();
    assert_eq!((own.queue.as_str(), own.timeout, own.plugins.len()), ("fast", None, 0));
    assert_eq!(own.from_defaults.0.keys().collect::<Vec<_>>(), ["on_crash"]);
    let half = tasks.registry.get("half").unwrap();
    assert_eq!((half.queue.as_str(), half.timeout), ("slow", Some(Duration::from_secs(300))));
    assert_eq!(half.on_crash, Some(OnCrash::Fail));
    let [PluginSpec::Retry(retry)] = &half.plugins[..] else { panic!("{:?}", half.plugins) };
    assert_eq!((retry.attempts, &retry.backoff), (7, &Backoff::List { delays_ms: vec![9000] }), "by option");
    let HandlerSpec::Exec(spec) = &half.handler else { panic!("{:?}", half.handler) };
    assert_eq!(spec.later.limit, 3);
    let place = format!("{}:4:11", dir.path().join("conf/tasks.toml").display());
    assert_eq!(half.from_defaults.0["timeout"], place);
    let keys = ["on_crash", "plugin_options.Retry", "plugins", "queue", "retry_later_limit", "timeout"];
    assert_eq!(half.from_defaults.0.keys().collect::<Vec<_>>(), keys);
}

#[test]
fn variables_are_merged_by_name_and_paths_start_where_they_are_written() {
    let defaults =
        "[defaults]\ncwd = \"..\"\n[defaults.env]\nTZ = \"UTC\"\nLANG = \"C\"\nTOKEN = { file = \"token\" }\n";
    let own = "name = \"own\"\n[run]\nexec = [\"./work\"]\nenv = { LANG = \"de_DE\", TOKEN = \"mine\" }\n";
    let bare = "name = \"bare\"\n[run]\nexec = [\"./work\"]\n";
    let web = "name = \"web\"\n[run]\nhttp = \"http://localhost/\"\n";
    let (dir, tasks) = over(defaults, &[("a.toml", own), ("b.toml", bare), ("c.toml", web)]);
    assert_eq!(told(&dir, &tasks), Vec::<String>::new());
    let own = of_exec(&tasks, "own");
    assert_eq!(own.variable("TZ").map(String::as_str), Some("UTC"));
    assert_eq!(own.variable("LANG").map(String::as_str), Some("de_DE"));
    assert!(own.inherited.env_sources.is_empty(), "{own:?}");
    let bare = of_exec(&tasks, "bare");
    let token = EnvSource::Value { name: "TOKEN".into(), path: dir.path().join("conf/token") };
    assert_eq!(bare.inherited.env_sources, [token]);
    assert_eq!(fs::canonicalize(&bare.cwd).unwrap(), fs::canonicalize(dir.path()).unwrap());
    // It cannot be read here, which is told once.
    assert_eq!(tasks.unavailable.len(), 1, "{:?}", tasks.unavailable);
    let web = tasks.registry.get("web").unwrap();
    assert!(web.from_defaults.0.is_empty(), "a request has no environment: {:?}", web.from_defaults);
}

#[test]
fn a_mistake_is_told_once_and_where_it_stands() {
    let good = "name = \"good\"\n[run]\nbuiltin = \"noop\"\n";
    for (defaults, said) in [
        ("timeot = \"5m\"", "conf/tasks.toml:3:1: defaults.timeot: unknown key (expected queue, timeout, plugins,"),
        ("timeot = \"5m\"", "did you mean \"timeout\"?"),
        ("timeout = \"soon\"", "conf/tasks.toml:3:11: defaults.timeout: expected a duration"),
        ("plugins = [\"Retri\"]", "expected a plugin: "),
        ("plugin_options.Retri = {}", "expected options of a built-in plugin, or of one that [defaults] lists"),
        ("plugin_options.Retry = { retry_limit = 0 }", "plugin_options.Retry.retry_limit: expected a whole number"),
        ("name = \"x\"", "defaults.name: is each task's own"),
        ("run = { env = {} }", "defaults.run: stands in each task; write env, cwd, user and such in [defaults] itself"),
        ("env = { WINDLASS_X = \"1\" }", "variables that begin with WINDLASS_"),
        ("output = \"loud\"", "defaults.output: expected \"log\", \"discard\" or \"file\""),
    ] {
        let (dir, tasks) = over(&format!("[defaults]\n{defaults}\n"), &[("a.toml", good), ("b.toml", good)]);
        let problems = told(&dir, &tasks);
        assert!(problems.len() == 1 && problems[0].contains(said), "{defaults}: {problems:?}");
        assert!(tasks.registry.iter().next().is_none(), "{defaults}: no task is another than its files say");
    }
}

#[test]
fn what_is_missing_at_the_moment_concerns_the_tasks_that_need_it() {
    let needs = "name = \"needs\"\n[run]\nexec = [\"./work\"]\n";
    let other = "name = \"other\"\n[run]\nbuiltin = \"noop\"\n";
    let (dir, tasks) = over("[defaults]\ncwd = \"gone\"\n", &[("a.toml", needs), ("b.toml", other), ("c.toml", "")]);
    let problems = told(&dir, &tasks);
    assert!(problems.iter().any(|told| told.starts_with("conf/tasks.toml:3:7: defaults.cwd: expected a folder")));
    assert_eq!(tasks.missing.iter().map(|(task, _)| task.as_str()).collect::<Vec<_>>(), ["needs"]);
    assert!(tasks.registry.get("needs").is_some() && tasks.registry.get("other").is_some());
    assert!(Path::new(&tasks.missing[0].1.file).ends_with("conf/tasks.toml"));
}

#[test]
fn plugins_of_a_periodic_task_take_their_options_from_there_too() {
    let defaults = "[defaults]\nplugin_options.JobLock.lock_timeout = \"2h\"\nplugins = [\"Policy\"]\n";
    let (dir, tasks) = over(defaults, &[("a.toml", "name = \"t\"\nfrequency = \"5m\"\n[run]\nbuiltin = \"noop\"\n")]);
    assert_eq!(told(&dir, &tasks), Vec::<String>::new());
    let plugins: Vec<_> = tasks.registry.get("t").unwrap().plugins.iter().map(PluginSpec::name).collect();
    assert_eq!(plugins, ["Policy", "JobLock", "QueueLock", "DelayQueueLock"]);
    let lock = &tasks.registry.get("t").unwrap().plugins[1];
    assert!(matches!(lock, PluginSpec::JobLock { lock_timeout_s: 7200, .. }), "{lock:?}");
}
