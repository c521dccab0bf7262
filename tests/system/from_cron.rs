//! The chapter on crontabs: its task files are right, and run.

use std::os::unix::fs::PermissionsExt as _;

use crate::place::Place;

const DOCUMENT: &str = include_str!("../../docs/coming-from.md");

#[test]
fn the_task_files_of_the_chapter_on_crontabs_are_right_and_run() {
    let place = Place::new();
    let chapter = DOCUMENT.split("\n## From cron\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let files: Vec<&str> = chapter.split("```toml\n").skip(1).map(|part| part.split("```").next().unwrap()).collect();
    assert_eq!(files.len(), 3);
    let bin = place.path().join("bin");
    place.write("bin/backup", "#!/bin/sh\necho \"backs up $*\"\n");
    std::fs::set_permissions(bin.join("backup"), std::fs::Permissions::from_mode(0o755)).unwrap();
    for (number, file) in files.iter().enumerate() {
        let file = file.replace("/usr/local/bin", bin.to_str().unwrap());
        let file = file.replace("/tmp/report.lock", place.path().join("lock").to_str().unwrap());
        place.write(&format!("tasks.d/of_cron_{number}.toml"), &file);
    }
    let checked = place.run(&["check"]);
    let is_of_these = |line: &str| line.starts_with("warning") && line.contains("of_cron_");
    assert!(checked.code == 0 && !checked.stdout.lines().any(is_of_these), "{checked:?}");
    for (task, said) in [("backup", "backs up --to /srv/20"), ("poll", ""), ("report", "")] {
        let run = place.run(&["perform", task]);
        assert!(run.code == 0 && run.stderr.contains(said), "{run:?}");
    }
    // While somebody else holds the lock, the run is put off.
    let program = place.path().join("lock");
    let held = std::process::Command::new("flock")
        .arg(&program)
        .arg(env!("CARGO_BIN_EXE_windlass"))
        .args(["perform", "report", "--json"])
        .current_dir(place.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&held.stdout);
    assert!(said.contains("\"later\""), "{said}");
}
