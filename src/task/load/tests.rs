//! Longer than 400 lines because it is one table of good and bad files with the exact words for each.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::config::element::crash_policy::OnCrash;
use crate::task::environment::EnvFiles;
use crate::task::handler_spec::{
    BuiltinSpec, ExecSpec, HandlerSpec, OutputMode, Piece, ProcessSettings, ResultMode, RetryLater, StdinMode, Template,
};
use crate::task::plugin_spec::PluginSpec;

mod defaults;
mod literal;
mod place;
mod rpc;

const BUILTINS: [&str; 3] = ["noop", "log", "sleep"];

/// A folder with these task files, and the program `./work` beside them.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "work", "#!/bin/sh\n", 0o755);
    for (name, text) in files {
        write(&dir, name, text, 0o644);
    }
    dir
}

fn write(dir: &TempDir, name: &str, text: &str, mode: u32) {
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
}

/// Problems without the folder's path.
fn told(dir: &TempDir, tasks: &Tasks) -> Vec<String> {
    let prefix = format!("{}/", dir.path().display());
    tasks.problems.iter().map(|problem| problem.to_string().replace(&prefix, "")).collect()
}

fn good(text: &str) -> (TempDir, TaskDefinition, Vec<String>) {
    let dir = folder(&[("a.toml", text)]);
    let tasks = load(dir.path(), &BUILTINS);
    assert_eq!(told(&dir, &tasks), Vec::<String>::new(), "{text}");
    let task = tasks.registry.iter().next().unwrap().as_ref().clone();
    let prefix = format!("{}/", dir.path().display());
    let warnings = tasks.warnings.iter().map(|warning| warning.replace(&prefix, "")).collect();
    (dir, task, warnings)
}

fn bad(text: &str) -> Vec<String> {
    let dir = folder(&[("a.toml", text)]);
    let tasks = load(dir.path(), &BUILTINS);
    told(&dir, &tasks)
}

fn text(text: &str) -> Template {
    Template { pieces: vec![Piece::Text(text.to_owned())] }
}

#[test]
fn a_task_is_read_with_all_its_keys() {
    let (dir, task, warnings) = good(
        r#"
        name = "sendWelcomeEmail"
        description = "I will send a new user a welcome email"
        queue = "mail"
        frequency = 0
        plugins = ["QueueLock", "JobLock", "DelayQueueLock"]
        timeout = "5m"
        on_crash = "fail"
        max_redeliveries = 3
        [pluginOptions.JobLock]
        lockTimeout = 90
        enqueueTimeout = 500
        reEnqueue = false
        key = "mail"
        [pluginOptions.QueueLock]
        lock_timeout = "2m"
        [run]
        exec = ["./work", "--to", "{to}", "{job.id}"]
        cwd = "."
        env = { LANG = "C" }
        output = "discard"
        result = "last_line"
        allow_dash = true
        retry_later = "10s"
        retry_later_limit = 5
        "#,
    );
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(task.name.as_str(), "sendWelcomeEmail");
    assert_eq!(task.description, "I will send a new user a welcome email");
    assert_eq!((task.queue.as_str(), task.frequency()), ("mail", None));
    assert_eq!(task.timeout, Some(Duration::from_secs(300)));
    assert_eq!((task.on_crash, task.max_redeliveries), (Some(OnCrash::Fail), Some(3)));
    let key = Some("mail".to_owned());
    assert_eq!(
        task.plugins,
        [
            PluginSpec::QueueLock { lock_timeout_s: 120, key: None },
            PluginSpec::JobLock { lock_timeout_s: 90, enqueue_timeout_ms: 500, re_enqueue: false, key },
            PluginSpec::DelayQueueLock,
        ]
    );
    let to = Piece::Arg { index: 0, path: vec!["to".to_owned()], written: "to".to_owned() };
    let argv = vec![
        text(dir.path().join("work").to_str().unwrap()),
        text("--to"),
        Template { pieces: vec![to] },
        Template { pieces: vec![Piece::JobId] },
    ];
    assert_eq!(
        task.handler,
        HandlerSpec::Exec(ExecSpec {
            argv,
            process: ProcessSettings {
                cwd: dir.path().to_owned(),
                env: BTreeMap::from([("LANG".to_owned(), "C".to_owned())]),
                trusted: Some(Arc::new(Owners::with([]))),
                env_files: EnvFiles::new(Some(&Arc::new(Owners::with([]))), Some(&Arc::new(Owners::with([]))), None),
                ..ProcessSettings::default()
            },
            stdin: StdinMode::Job,
            output: OutputMode::Discard,
            result: ResultMode::LastLine,
            progress: false,
            options_end_from: Some(1),
            allow_dash: true,
            later: RetryLater { delay: Duration::from_secs(10), limit: 5 },
        })
    );
}

#[test]
fn what_a_task_does_not_say_has_its_default() {
    let (dir, task, _) = good("name = \"t\"\n[run]\nexec = [\"./work\"]");
    assert_eq!((task.description.as_str(), task.queue.as_str()), ("t", "default"));
    assert!(task.plugins.is_empty() && task.re_enqueue_after_failure);
    assert_eq!((task.timeout, task.on_crash, task.max_redeliveries), (None, None, None));
    let HandlerSpec::Exec(exec) = task.handler else { panic!("{task:?}") };
    assert_eq!(exec.process.cwd, dir.path());
    assert_eq!(exec.later, RetryLater { delay: Duration::from_secs(30), limit: 25 });
    assert_eq!((exec.output, exec.result, exec.allow_dash), (OutputMode::Log, ResultMode::Nothing, false));
    assert_eq!(task.source, dir.path().join("a.toml"));
}

#[test]
fn a_periodic_task_gets_its_locks_by_itself() {
    let job_lock =
        |re_enqueue| PluginSpec::JobLock { lock_timeout_s: 3600, enqueue_timeout_ms: 1001, re_enqueue, key: None };
    let queue_lock = PluginSpec::QueueLock { lock_timeout_s: 3600, key: None };
    let run = "\n[run]\nbuiltin = \"noop\"";
    let (_dir, task, _) = good(&format!("name = \"t\"\nfrequency = 60000{run}"));
    assert_eq!(task.frequency(), Some(Duration::from_secs(60)));
    assert_eq!(task.plugins, [job_lock(false), queue_lock.clone(), PluginSpec::DelayQueueLock]);
    assert_eq!(task.handler, HandlerSpec::Builtin(BuiltinSpec { name: "noop".to_owned() }));

    let (_dir, task, _) =
        good(&format!("name = \"t\"\nfrequency = \"1m\"\nplugins = [\"QueueLock\", \"JobLock\"]{run}"));
    assert_eq!(task.plugins, [queue_lock, job_lock(true), PluginSpec::DelayQueueLock]);

    let (_dir, task, _) =
        good(&format!("name = \"t\"\nfrequency = 1000\n[plugin_options.QueueLock]\nlock_timeout = 7{run}"));
    assert_eq!(task.plugins[1], PluginSpec::QueueLock { lock_timeout_s: 7, key: None });
}

#[test]
fn what_is_probably_not_meant_is_warned_about() {
    let run = "[run]\nbuiltin = \"noop\"";
    let (_dir, task, warnings) = good(&format!("name = \"t\"\nfrequency = 1500\n{run}"));
    assert_eq!(task.frequency(), Some(Duration::from_secs(2)));
    assert_eq!(warnings, ["a.toml:2:13: frequency: 1s 500ms is rounded up to 2s"]);

    let (_dir, task, warnings) =
        good(&format!("name = \"t\"\nfrequency = 2000\nreEnqueuePeriodicTaskIfException = false\n{run}"));
    assert!(!task.re_enqueue_after_failure && warnings.is_empty());
    let (_dir, _task, warnings) = good(&format!("name = \"t\"\nreEnqueuePeriodicTaskIfException = false\n{run}"));
    assert_eq!(
        warnings,
        ["a.toml:2:36: reEnqueuePeriodicTaskIfException: has no effect on a task that is not periodic"]
    );
}

#[test]
fn what_a_value_could_do_is_told_when_the_task_is_read() {
    for (exec, said) in [
        (r#"["sh", "-c", "echo {to}"]"#, "a.toml:3:21: run.exec: the placeholder would become part of code that runs"),
        (r#"["env", "{to}"]"#, "a placeholder names the program that runs"),
        (r#"["sh"]"#, "without a script this program runs its stdin, which is the job, as code"),
        (r#"["./work", "--{to}"]"#, "the value would decide which option this is"),
    ] {
        let problems = bad(&format!("name = \"t\"\n[run]\nexec = {exec}"));
        assert!(problems.len() == 1 && problems[0].contains(said), "{exec}: {problems:?}");
        let (_dir, _task, warnings) =
            good(&format!("name = \"t\"\n[run]\nexec = {exec}\nallow_code = true\nallow_dash = true"));
        assert!(warnings.is_empty(), "{warnings:?}");
    }
    for (exec, count) in [
        (r#"["./work", "{to}"]"#, 1),
        (r#"["./work", "{to}.png", "{to}{from}"]"#, 2),
        (r#"["./work", "--", "{to}"]"#, 0),
        (r#"["./work", "./{to}", "--to={to}", "{job.id}"]"#, 0),
        (r#"["env", "--", "./work", "{to}"]"#, 1),
    ] {
        let (_dir, _task, warnings) = good(&format!("name = \"t\"\n[run]\nexec = {exec}"));
        assert_eq!(warnings.len(), count, "{exec}: {warnings:?}");
        assert!(warnings.iter().all(|text| text.contains("put \"--\" before it") && text.contains("\"./\"")));
    }
}

#[test]
fn a_file_may_hold_several_tasks_and_a_bad_one_does_not_stop_the_others() {
    let dir = folder(&[
        (
            "a.toml",
            "[[task]]\nname = \"one\"\nrun = { builtin = \"noop\" }\n[[task]]\nname = \"two\"\nqueu = \"x\"\n\
                    [task.run]\nbuiltin = \"log\"\n[[task]]\nname = \"three\"\n[task.run]\nbuiltin = \"sleep\"\n",
        ),
        ("b.toml", "name = \"four\"\nrun = { builtin = \"noop\" }"),
        ("c.toml", "name = = 5"),
        ("d.toml", "name = \"five\"\nfrequency = \"often\"\n[run]\nbuiltin = \"nop\""),
        (".hidden.toml", "nonsense"),
        ("notes.txt", "nonsense"),
    ]);
    let tasks = load(dir.path(), &BUILTINS);
    let names: Vec<_> = tasks.registry.iter().map(|task| task.name.to_string()).collect();
    assert_eq!(names, ["four", "one", "three"]);
    let told = told(&dir, &tasks);
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!(told[0], "a.toml:6:1: queu: unknown key; did you mean \"queue\"?");
    assert!(told[1].starts_with("c.toml:1:8: "), "{told:?}");
    assert_eq!(
        told[2..],
        [
            "d.toml:2:13: frequency: expected a duration such as \"5s\", or a number of milliseconds (found \"often\")",
            "d.toml:4:11: run.builtin: expected a builtin: noop, log, sleep (found \"nop\"); did you mean \"noop\"?",
        ]
    );
}

#[test]
fn a_name_that_comes_twice_is_told_with_both_locations() {
    let task = "name = \"t\"\nrun = { builtin = \"noop\" }";
    let dir = folder(&[("a.toml", task), ("b.toml", &format!("# second\n{task}"))]);
    let tasks = load(dir.path(), &BUILTINS);
    assert_eq!(told(&dir, &tasks), ["b.toml:2:8: name: a task \"t\" is already defined at a.toml:1:8"]);
    assert_eq!(tasks.registry.get("t").unwrap().source, dir.path().join("a.toml"));
}

#[test]
fn a_missing_folder_is_a_problem_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let tasks = load(&dir.path().join("gone"), &BUILTINS);
    assert_eq!(
        told(&dir, &tasks),
        [
            "gone: the folder of the task files (tasks_dir) does not exist; create it with a first task: windlass generate task NAME"
        ]
    );
}

#[test]
fn each_mistake_is_told_with_its_place() {
    let run = "[run]\nbuiltin = \"noop\"";
    for (text, message) in [
        (run.to_owned(), "1:1: name: expected the task's name (missing)"),
        (format!("name = \" \"\n{run}"), "1:8: name: a name must not be empty"),
        (format!("name = 5\n{run}"), "1:8: name: expected a string (found 5)"),
        (format!("name = \"t\"\nqueue = \"\"\n{run}"), "2:9: queue: a name must not be empty"),
        ("name = \"t\"".to_owned(), "1:1: run: expected a table with the handler, [run] (missing)"),
        ("name = \"t\"\nrun = \"./work\"".to_owned(), "2:7: run: expected a table with the handler (found \"./work\")"),
        (
            "name = \"t\"\n[run]".to_owned(),
            "2:1: run: expected a handler: exec = [\"PROGRAM\", \"ARGUMENT\"], rpc = [\"PROGRAM\"], http = \"https://HOST/PATH\" or builtin = \"NAME\" (missing)",
        ),
        (
            format!("name = \"t\"\n{run}\nexec = [\"./work\"]"),
            "2:1: run: expected exactly one handler (found exec and builtin)",
        ),
        (format!("name = \"t\"\n{run}\ncwd = \".\""), "4:1: run.cwd: goes with exec and rpc only"),
        (format!("name = \"t\"\ntimeout = 0\n{run}"), "2:11: timeout: expected a duration of at least 1ms (found 0)"),
        (
            format!("name = \"t\"\non_crash = \"requeu\"\n{run}"),
            "2:12: on_crash: expected \"requeue\" or \"fail\" (found \"requeu\"); did you mean \"requeue\"?",
        ),
        (
            format!("name = \"t\"\ndescripton = \"x\"\n{run}"),
            "2:1: descripton: unknown key; did you mean \"description\"?",
        ),
        (
            format!("name = \"t\"\nplugin_options = {{}}\npluginOptions = {{}}\n{run}"),
            "3:1: pluginOptions: `plugin_options` and `pluginOptions` are two spellings of one key; keep one of them",
        ),
        (
            format!("name = \"t\"\nplugins = [\"QueueLok\"]\n{run}"),
            "2:12: plugins: expected a plugin: QueueLock, DelayQueueLock, JobLock, Retry or Noop (found \"QueueLok\"); \
             did you mean \"QueueLock\"?",
        ),
        (
            format!("name = \"t\"\nplugins = [\"JobLock\", \"JobLock\"]\n{run}"),
            "2:23: plugins: JobLock is listed twice",
        ),
        (
            format!("name = \"t\"\n[plugin_options.JobLock]\nkey = \"x\"\n{run}"),
            "2:1: plugin_options.JobLock: expected options of a plugin that is listed in plugins",
        ),
        (
            format!("name = \"t\"\nplugins = [\"QueueLock\"]\n[plugin_options.QueueLock]\nlock_timeot = 1\n{run}"),
            "4:1: plugin_options.QueueLock.lock_timeot: unknown key; did you mean \"lock_timeout\"?",
        ),
        (
            format!("name = \"t\"\nplugins = [\"QueueLock\"]\n[plugin_options.QueueLock]\nlock_timeout = 0\n{run}"),
            "4:16: plugin_options.QueueLock.lock_timeout: expected a duration of at least 1s (found 0)",
        ),
        (
            format!("name = \"t\"\nplugins = [\"JobLock\"]\n[plugin_options.Joblock]\nkey = \"x\"\n{run}"),
            "3:1: plugin_options.Joblock: expected options of a plugin that is listed in plugins; did you mean \"JobLock\"?",
        ),
        (format!("name = \"t\"\ncwd = \".\"\n{run}"), "2:1: cwd: belongs to the handler: write it below [run]"),
        (format!("name = \"t\"\n{run}\nqueue = \"x\""), "4:1: run.queue: belongs to the task: write it above [run]"),
        (
            format!("queue = \"x\"\n[[task]]\nname = \"t\"\n[task.{}", &run[1..]),
            "1:9: queue: stands beside [[task]] and belongs to none of them; write it below one",
        ),
        (
            format!("[[task]]\nname = \"t\"\nrun = {{ builtin = \"noop\" }}\n\n[[task]]\n[task.{}", &run[1..]),
            "5:1: name: expected the task's name (missing)",
        ),
        ("task = 5".to_owned(), "1:8: task: expected tasks, each under [[task]] (found 5)"),
    ] {
        assert_eq!(bad(&text), [format!("a.toml:{message}")], "{text}");
    }
}

#[test]
fn an_empty_folder_is_warned_about() {
    let dir = folder(&[]);
    let tasks = load(dir.path(), &BUILTINS);
    assert!(tasks.problems.is_empty());
    assert_eq!(tasks.warnings, [format!("{}: holds no task files, *.toml", dir.path().display())]);
}

#[test]
fn each_mistake_of_an_exec_handler_is_told_with_its_place() {
    for (lines, message) in [
        (
            "exec = \"./work\"",
            "3:8: run.exec: expected a list: the program and its arguments (no shell is asked) \
          (found \"./work\")",
        ),
        ("exec = []", "3:8: run.exec: expected a program (found an empty list)"),
        ("exec = [\"./work\", 5]", "3:19: run.exec: expected a string (found 5)"),
        ("exec = [\"./work\", \"{to\"]", "3:19: run.exec: a brace is never closed; write {{ for a brace"),
        (
            "exec = [\"./work\", \"{job.ids}\"]",
            "3:19: run.exec: {job.ids} is not known; {job.id} and {job.queue} are; \
          did you mean \"job.id\"?",
        ),
        ("exec = [\"./work\", \"a\\u0000\"]", "3:19: run.exec: must not hold NUL"),
        ("exec = [\"{to}\"]", "3:9: run.exec: the program itself must not hold placeholders"),
        ("exec = [\"\"]", "3:9: run.exec: expected a program (found nothing)"),
        (
            "exec = [\"./gone\"]",
            "3:9: run.exec: expected a program that exists (found gone: No such file or directory \
          (os error 2))",
        ),
        (
            "exec = [\"./a.toml\"]",
            "3:9: run.exec: expected an executable program (found a.toml, which is not; \
          chmod +x makes it so)",
        ),
        (
            "exec = [\"no-such-program-anywhere\"]",
            "3:9: run.exec: expected a program in PATH (found \
          \"no-such-program-anywhere\", which is in none of its folders)",
        ),
        ("exec = [\"./work\"]\ncwd = \"gone\"", "4:7: run.cwd: expected a folder that exists (found \"gone\")"),
        (
            "exec = [\"./work\"]\nenv = { A = 1 }",
            "4:13: run.env.A: expected a text, { file = \"PATH\" } or { credential = \"NAME\" } (found 1)",
        ),
        (
            "exec = [\"./work\"]\nenv = { WINDLASS_JOB_ID = \"1\" }",
            "4:27: run.env.WINDLASS_JOB_ID: variables that begin \
          with WINDLASS_ are set for each job; choose another name",
        ),
        (
            "exec = [\"./work\"]\nenv = { \"A=B\" = \"1\" }",
            "4:17: run.env.A=B: a variable's name must not be empty or contain = or NUL",
        ),
        (
            "exec = [\"./work\"]\noutput = \"logs\"",
            "4:10: run.output: expected \"log\", \"discard\" or \"file\" (found \"logs\"); \
          did you mean \"log\"?",
        ),
        ("exec = [\"./work\"]\nresult = \"all\"", "4:10: run.result: expected \"last_line\" (found \"all\")"),
        (
            "exec = [\"./work\"]\nretry_later_limit = -1",
            "4:21: run.retry_later_limit: expected a whole number from 0 to \
          1000000 (found -1)",
        ),
    ] {
        let text = format!("name = \"t\"\n[run]\n{lines}");
        assert_eq!(bad(&text), [format!("a.toml:{message}")], "{text}");
    }
    assert_eq!(
        bad("name = \"t\"\nfrequency = \"1m\"\n[run]\nexec = [\"./work\", \"{job.id}\", \"{to}\"]"),
        ["a.toml:4:31: run.exec: a periodic task takes no arguments: nothing could stand in for the placeholder"]
    );
}

#[test]
fn what_is_not_here_is_refused_by_name() {
    assert_eq!(
        bad("name = \"t\"\nmiddleware = []\n[run]\nbuiltin = \"noop\""),
        ["a.toml:2:1: middleware: is code of an ActionHero server; a plugin does that here, see docs/plugins.md"
            .to_owned()]
    );
}

#[test]
fn what_everybody_may_write_is_refused() {
    let task = "name = \"t\"\n[run]\nexec = [\"./work\"]";
    let dir = folder(&[("a.toml", task)]);
    let mode = |name: &str, mode| fs::set_permissions(dir.path().join(name), Permissions::from_mode(mode)).unwrap();
    let all = |mode: &str, path: &str| {
        format!(
            "may be written by everybody (mode {mode}), who could run anything with it: chmod o-w {path}; where modes \
             cannot be set, strict_modes = false under [security] in the configuration"
        )
    };
    mode("work", 0o777);
    let work = all("0777", "work");
    assert_eq!(told(&dir, &load(dir.path(), &BUILTINS)), [format!("a.toml:3:9: run.exec: work {work}")]);
    assert!(load(dir.path(), KnownNames::from(&BUILTINS).changed_by(None)).problems.is_empty());
    mode("work", 0o755);
    mode("a.toml", 0o666);
    assert_eq!(told(&dir, &load(dir.path(), &BUILTINS)), [format!("a.toml: {}", all("0666", "a.toml"))]);
    mode("a.toml", 0o644);
    let path = dir.path().display().to_string();
    // What stands in such a folder can be replaced by everybody, too. In one with the sticky bit nobody can replace a
    // program, but everybody can add a task.
    for (bits, problems) in [(0o777, 2), (0o1777, 1)] {
        mode("", bits);
        let told = told(&dir, &load(dir.path(), &BUILTINS));
        assert_eq!(
            (&told[0], told.len()),
            (&format!("{path}: {}", all(&format!("{bits:04o}"), &path)), problems),
            "{told:?}"
        );
    }
    mode("", 0o755);
    assert!(load(dir.path(), &BUILTINS).problems.is_empty());
}

#[test]
fn a_bare_program_is_found_in_the_path_of_the_task() {
    let dir = folder(&[]);
    let path = dir.path().display();
    write(
        &dir,
        "a.toml",
        &format!("name = \"t\"\n[run]\nexec = [\"work\"]\nenv = {{ PATH = \"/nowhere:{path}\" }}"),
        0o644,
    );
    let tasks = load(dir.path(), &BUILTINS);
    assert_eq!(told(&dir, &tasks), Vec::<String>::new());
    let HandlerSpec::Exec(exec) = &tasks.registry.get("t").unwrap().handler else { panic!("exec was written") };
    assert_eq!(exec.argv, [text(&format!("{path}/work"))]);
}
