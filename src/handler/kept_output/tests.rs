use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;

use super::folder::{KeptRun, OutputFolder, older};
use super::*;
use crate::config::model::OutputConfig;

fn config(folder: &std::path::Path) -> OutputConfig {
    OutputConfig { folder: folder.to_owned(), run: 1000, total: 3000, age: Duration::from_secs(3600), trusted: None }
}

fn run(outputs: &KeptOutputs, n: usize) -> RunOutput {
    let claim = ClaimToken::new("00ff", 0, 1, n);
    outputs.of_run(&TaskName::as_stored("resize"), &Identity::first(&claim), &claim)
}

fn line(text: &str, source: Source, continued: bool) -> OutputLine<'_> {
    OutputLine { source, text, continued, overwritten: "" }
}

fn text(folder: &OutputFolder, run: &KeptRun) -> String {
    let mut text = String::new();
    for name in &run.files {
        folder.read(name).unwrap().read_to_string(&mut text).unwrap();
    }
    text
}

#[tokio::test]
async fn a_run_has_all_its_lines_in_a_file_of_its_own_that_others_cannot_read() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("new/output");
    let outputs = KeptOutputs::new(config(&path), Bus::silent());
    let mut one = run(&outputs, 1);
    for (text, source, continued) in [
        ("hello", Source::Stdout, false),
        ("oops", Source::Stderr, false),
        ("half", Source::Stdout, false),
        (" and half", Source::Stdout, true),
    ] {
        one.take(&line(text, source, continued));
        one.flush();
    }
    let said = one.end().await.unwrap();
    let folder = OutputFolder::open(&path).unwrap().unwrap();
    let runs = folder.runs().unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!(text(&folder, &runs[0]), "hello\noops\nhalf and half\n");
    assert!(said.contains(&format!("{}/{}", path.display(), runs[0].files[0])), "{said}");
    assert!(said.contains(&format!("windlass jobs output {}", runs[0].id)), "{said}");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&path.join(&runs[0].files[0]))), (0o700, 0o600));
    assert_eq!(run(&outputs, 2).end().await, None, "a run without output has no file");
    assert_eq!(folder.runs().unwrap().len(), 1);
}

#[tokio::test]
async fn of_a_run_that_writes_too_much_the_end_is_kept_and_of_many_runs_the_last() {
    let place = tempfile::tempdir().unwrap();
    let outputs = KeptOutputs::new(config(place.path()), Bus::silent());
    for n in 0..8 {
        let mut long = run(&outputs, n);
        for number in 0..200 {
            long.take(&line(&format!("{n} {number:08}"), Source::Stdout, false));
            long.flush();
        }
        assert!(long.end().await.is_some());
    }
    // The thread tidies after it has answered: what it does before the next answer is done.
    let mut last = run(&outputs, 9);
    last.take(&line("x", Source::Stdout, false));
    last.end().await.unwrap();
    let folder = OutputFolder::open(place.path()).unwrap().unwrap();
    let runs = folder.runs().unwrap();
    let total: u64 = runs.iter().map(|run| run.bytes).sum();
    assert!(total <= 3000 + 1000 && runs.len() >= 3, "{total} {runs:?}");
    let long = runs.iter().find(|run| run.is_cut()).expect("one was cut");
    assert!(long.bytes <= 1000 && text(&folder, long).ends_with("00000199\n"), "{long:?}");
}

#[test]
fn what_another_daemon_writes_to_is_not_tidied_away() {
    let place = tempfile::tempdir().unwrap();
    let (one, other) =
        (OutputFolder::make(place.path(), None).unwrap(), OutputFolder::make(place.path(), None).unwrap());
    let write = |id: &str| {
        let mut file = one.create(&folder::name(id, "claim", "t")).unwrap();
        std::io::Write::write_all(&mut file, &[b'x'; 100]).unwrap();
        file
    };
    let ids = || other.runs().unwrap().into_iter().map(|run| run.id).collect::<Vec<_>>();
    let goes_on = write("goes-on");
    drop(write("over"));
    // A run that was cut is one run, whichever of its halves is written to.
    drop(write("cut"));
    one.set_aside(&folder::name("cut", "claim", "t")).unwrap();
    let cut = write("cut");
    assert_eq!(other.tidy(i64::MAX, 0, |_| false).unwrap(), 300);
    assert_eq!(
        ids().into_iter().collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>(),
        ["cut", "goes-on"]
    );
    drop((goes_on, cut));
    assert_eq!(other.tidy(i64::MAX, 0, |_| false).unwrap(), 0);
    assert!(ids().is_empty());
}

#[tokio::test]
async fn nothing_is_written_through_a_link_or_into_a_folder_of_others() {
    let place = tempfile::tempdir().unwrap();
    let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
    let told = || std::iter::from_fn(|| listeners[0].try_next()).map(|event| format!("{event:?}")).collect::<Vec<_>>();
    let write = async |outputs: &KeptOutputs, n| {
        let mut one = run(outputs, n);
        one.take(&line("secret", Source::Stdout, false));
        (Arc::clone(&one.name), one.end().await)
    };
    let (real, link) = (place.path().join("real"), place.path().join("link"));
    std::fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let outputs = KeptOutputs::new(config(&link), bus.clone());
    for n in 0..3 {
        assert_eq!(write(&outputs, n).await.1, None);
    }
    let said = told();
    assert!(said.len() == 1 && said[0].contains("the output of jobs is not kept"), "{said:?}");
    std::fs::remove_file(&link).unwrap();
    assert!(write(&outputs, 3).await.1.is_some());
    assert!(told()[0].contains("kept again"));
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o777)).unwrap();
    let outputs = KeptOutputs::new(config(&real), bus.clone());
    assert_eq!(write(&outputs, 0).await.1, None);
    assert!(told()[0].contains("others may write it"));
    // A link in the place of a file.
    let outputs = KeptOutputs::new(config(&place.path().join("own")), bus);
    let (name, _) = write(&outputs, 0).await;
    let (target, at) = (place.path().join("target"), place.path().join("own").join(&*name));
    std::fs::remove_file(&at).unwrap();
    std::os::unix::fs::symlink(&target, &at).unwrap();
    assert_eq!(write(&outputs, 0).await.1, None);
    assert!(!target.exists());
}

#[test]
fn a_name_holds_nothing_that_leads_elsewhere() {
    assert_eq!(name("854a3ab873f5a70a-0-26-0", "f-0-31-0", "resize"), "854a3ab873f5a70a-0-26-0.f-0-31-0.resize.log");
    assert_eq!(name("../../etc/passwd", "\u{1b}[2J", "a.b"), "______etc_passwd.__2J.a_b.log");
    assert_eq!(name("", ".", "é"), "_._._.log");
    assert_eq!(older("a.b.c.log"), "a.b.c.log-older");
    assert!(name(&"x".repeat(5000), &"y".repeat(5000), &"z".repeat(5000)).len() < 249);
}

#[test]
fn who_can_change_a_folder_above_does_not_lead_the_output_elsewhere() {
    use std::os::unix::fs::symlink;

    use crate::file::trust::Owners;

    let place = tempfile::tempdir().unwrap();
    let owners = Owners::with([]);
    let make =
        |name: &str| OutputFolder::make(&place.path().join(name), Some(&owners)).map_err(|error| error.to_string());
    let set = |name: &str, mode| {
        std::fs::set_permissions(place.path().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let folder = make("a/b/output").unwrap();
    folder.create("x").unwrap();
    assert!(place.path().join("a/b/output/x").exists());
    set("a", 0o777);
    let told = make("a/b/output").unwrap_err();
    assert!(told.contains("may be written by everybody") && told.contains("chmod o-w"), "{told}");
    set("a", 0o1777);
    make("a/b/output").unwrap();
    set("a", 0o755);
    // A link of ours above it is followed, also by `..`; one in its own place is not.
    symlink("a/../a/b", place.path().join("link")).unwrap();
    make("link/output").unwrap().create("y").unwrap();
    assert!(place.path().join("a/b/output/y").exists());
    symlink("a/b/output", place.path().join("last")).unwrap();
    assert!(make("last").is_err());
    symlink("round", place.path().join("round")).unwrap();
    assert!(make("round/output").is_err(), "links without end");
    std::fs::write(place.path().join("file"), "").unwrap();
    assert!(make("file/output").is_err());
    // Where it leads through, is judged, too.
    set("a", 0o777);
    assert!(make("link/output").unwrap_err().contains("may be written by everybody"));
    set("a", 0o755);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::lchown(place.path().join("link"), Some(12_345), None).unwrap();
        let told = make("link/output").unwrap_err();
        assert!(told.contains("belongs to 12345"), "{told}");
    }
}
