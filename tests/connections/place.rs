//! A folder whose configuration says how to reach the store.

use std::fs;

use crate::daemon::Folder;
use crate::node::eventually;

/// A folder with these lines in `[store]` (and after it), and two tasks: `note` writes its argument down, `gated` does
/// when the file `gate` is there.
pub(crate) fn folder(store: &str) -> Folder {
    let folder = Folder::new("sqlite:unused.db", "");
    configure(&folder, store);
    folder.script("note", "echo \"$1\" >>done");
    folder.script("gated", "echo begun >>begun; until [ -e gate ]; do sleep 0.05; done; echo gated >>done");
    let tasks = ["note", "gated"].map(|name| folder.path(&format!("tasks.d/{name}.toml")));
    for task in tasks {
        let text = fs::read_to_string(&task).unwrap().replace("\"sh\"]\n", "\"sh\", \"{0}\"]\n");
        let text = if text.contains("gated") { text.replace(", \"{0}\"]", "]") } else { text };
        fs::write(task, text).unwrap();
    }
    folder
}

/// Writes the configuration. The lease outlasts a failover.
pub(crate) fn configure(folder: &Folder, store: &str) {
    let config = format!(
        "queues = [\"default\"]\nmin_task_processors = 2\nmax_task_processors = 2\ntimeout = \"1s\"\n\
         tasks_dir = \"tasks.d\"\n[shutdown]\ntimeout = \"4s\"\nkill_grace = \"1s\"\n\
         [store]\nlease = \"20s\"\n{store}\n"
    );
    fs::write(folder.path("tasks.toml"), config).unwrap();
}

/// Enqueues `note` with this word, as often as it takes.
#[track_caller]
pub(crate) fn enqueue(folder: &Folder, word: &str) {
    eventually("a job is enqueued", || {
        folder.windlass(&["enqueue", "note", "--arg", &format!("\"{word}\"")]).0 == Some(0)
    });
}

/// What the jobs wrote down.
pub(crate) fn done(folder: &Folder) -> Vec<String> {
    let text = fs::read_to_string(folder.path("done")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// A job comes all the way: enqueued, run by a daemon, settled.
#[track_caller]
pub(crate) fn works(folder: &Folder) {
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    let (code, said) = folder.windlass(&["enqueue", "note", "--arg", "\"hello\""]);
    assert_eq!(code, Some(0), "{said}");
    eventually("the job is run", || done(folder) == ["hello"]);
    eventually("it is settled", || folder.windlass(&["--json", "stats"]).1.contains("\"processed\":1"));
    // The delayed ones take another way.
    let (code, said) = folder.windlass(&["enqueue", "note", "--arg", "\"later\"", "--in", "1s"]);
    assert_eq!(code, Some(0), "{said}");
    eventually("the delayed job is run", || done(folder) == ["hello", "later"]);
    daemon.stop();
}

/// It cannot be: a command and a daemon both say why in one line, without the secret, and exit with this code.
#[track_caller]
pub(crate) fn refused(folder: &Folder, code: i32, why: &str) {
    for command in ["stats", "run"] {
        let (ended, said) = folder.windlass(&[command]);
        assert_eq!(ended, Some(code), "{command}: {said}");
        assert!(said.contains(why), "{command}: expected {why:?} in {said:?}");
        let complaints = said.lines().filter(|line| line.contains(why)).count();
        assert_eq!(complaints, 1, "{command}: {said}");
        assert!(!said.contains("s3cret"), "{command}: {said}");
    }
}
