//! Tests of what a shell would fill in, and of units that were probably not meant.

use super::*;

#[test]
fn variables_in_arguments_and_values_are_told_and_may_be_meant() {
    let text = |more: &str| {
        format!(
            "name = \"a\"\n[run]\nexec = [\"echo\", \"$HOME\", \"${{USER}}\", \"~/x\", \"$5\"]\nenv = {{ PATH = \"$HOME/bin:/bin\" }}\n{more}"
        )
    };
    let (_dir, _, warnings) = good(&text(""));
    let about = |warnings: &[String], begin: &str| warnings.iter().filter(|line| line.contains(begin)).count();
    assert_eq!(about(&warnings, "run.exec: $HOME reaches the program as it stands"), 1, "{warnings:#?}");
    assert_eq!(about(&warnings, "run.exec: ${USER}, a dollar and a placeholder, reaches"), 1, "{warnings:#?}");
    assert_eq!(about(&warnings, "run.exec: ~ reaches"), 1, "{warnings:#?}");
    assert_eq!(about(&warnings, "run.env.PATH: $HOME stays as it is"), 1, "{warnings:#?}");
    assert!(!warnings.iter().any(|line| line.contains("$5")), "{warnings:#?}");
    let (_dir, _, warnings) = good(&text("allow_dollar = true\n"));
    assert!(!warnings.iter().any(|line| line.contains("allow_dollar")), "{warnings:#?}");
}

#[test]
fn variables_in_code_are_left_to_the_program_that_reads_it() {
    for argv in [
        r#"["sh", "-c", "echo $HOME"]"#,
        r#"["env", "-i", "sh", "-c", "echo ${HOME}{{}}"]"#,
        r#"["awk", "{{ print $NF }}"]"#,
        r#"["ssh", "host", "echo $HOME"]"#,
    ] {
        let argv = argv.replace("${HOME}{{}}", "$HOME");
        let dir = folder(&[("a.toml", &format!("name = \"a\"\n[run]\nexec = {argv}\n"))]);
        let tasks = load(dir.path(), &BUILTINS);
        assert!(!tasks.warnings.iter().any(|line| line.contains("as it stands")), "{argv}: {:#?}", tasks.warnings);
    }
    let (_dir, _, warnings) = good("name = \"a\"\n[run]\nrpc = [\"./work\", \"$CONFIG\"]\n");
    assert!(warnings[0].starts_with("a.toml:3:18: run.rpc: $CONFIG reaches"), "{warnings:#?}");
}

#[test]
fn paths_and_addresses_that_a_shell_would_fill_in_are_refused() {
    for (run, key) in [
        ("exec = [\"~/bin/work\"]", "run.exec"),
        ("exec = [\"./work\"]\ncwd = \"$HOME\"", "run.cwd"),
        ("exec = [\"./work\"]\nenv_file = \"${HOME}/env\"", "run.env_file"),
        ("exec = [\"./work\"]\nenv = { A = { file = \"~/a\" } }", "run.env.A.file"),
        ("http = \"http://${APP_HOST}/\"", "run.http"),
        ("http = \"http://x/\"\nsecret = { file = \"~/secret\" }", "run.secret.file"),
    ] {
        let problems = bad(&format!("name = \"a\"\n[run]\n{run}\n"));
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(
            problems[0].contains(&format!(": {key}: ")) && problems[0].contains("no shell fills in"),
            "{problems:#?}"
        );
    }
    let dir = folder(&[(
        "a.toml",
        "name = \"a\"\n[run]\nhttp = \"http://x/\"\nheaders = { authorization = \"Bearer $TOKEN\" }\n",
    )]);
    let warnings = load(dir.path(), &BUILTINS).warnings;
    assert!(
        warnings.iter().any(|line| line.contains("$TOKEN") && line.contains("{ env = \"NAME\" }")),
        "{warnings:#?}"
    );
}

#[test]
fn every_duration_of_a_task_says_which_unit_it_has() {
    let (_dir, _, warnings) = good(
        "name = \"a\"\ntimeout = \"5M\"\nplugins = [\"Retry\"]\n[plugin_options.Retry]\nretry_delay = 30\n[run]\nexec = [\"./work\"]\n\
         retry_later = 45\n",
    );
    let of = |key: &str| warnings.iter().find(|line| line.contains(&format!(" {key}: "))).cloned().unwrap_or_default();
    assert!(of("timeout").contains("5 months") && of("timeout").contains("\"5m\""), "{warnings:#?}");
    assert!(of("plugin_options.Retry.retry_delay").contains("\"30s\""), "{warnings:#?}");
    assert!(of("run.retry_later").contains("45 milliseconds"), "{warnings:#?}");
}

#[test]
fn task_files_in_folders_below_are_told_as_not_read() {
    let dir = folder(&[("a.toml", "name = \"a\"\n[run]\nbuiltin = \"noop\"\n")]);
    for (name, is_told) in [("mail", true), ("empty", false), (".git", false)] {
        fs::create_dir(dir.path().join(name)).unwrap();
        write(&dir, &format!("{name}/notes.txt"), "", 0o644);
        if name != "empty" {
            write(&dir, &format!("{name}/b.toml"), "name = \"b\"\n", 0o644);
        }
        let warnings = load(dir.path(), &BUILTINS).warnings;
        let told = warnings.iter().filter(|line| line.contains(&format!("/{name}: holds task files (b.toml)"))).count();
        assert_eq!(told, usize::from(is_told), "{warnings:#?}");
    }
}
