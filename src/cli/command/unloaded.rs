//! Warnings about jobs that are enqueued and cannot begin now: their program is missing, or no daemon has their task.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use crate::cli::context::CommandContext;
use crate::cli::output::warn;
use crate::config::model::ReloadMode;
use crate::job::TaskName;
use crate::store::handle::Store;
use crate::store::instance::{InstanceRecord, Instances};
use crate::store::role::Whole;
use crate::task::load::Tasks;
use crate::text::shell::word;

/// How long the look for daemons may take.
const LOOK: Duration = Duration::from_secs(2);
/// How many tasks, and how many daemons, a warning names.
const MOST_NAMED: usize = 5;

/// Warns of jobs that cannot begin at the moment, because a program is missing.
pub(super) fn warn_of_missing(tasks: &Tasks, is_meant: impl Fn(&TaskName) -> bool) {
    for (task, problem) in tasks.missing.iter().filter(|(task, _)| is_meant(task)) {
        warn(&format!("no job of task {:?} can begin at the moment: {problem}", task.as_str()));
    }
}

/// Warns of tasks that no daemon of this store has loaded: their jobs wait there for a while, and then fail.
pub(super) async fn warn_of_unloaded<'a>(
    context: &CommandContext,
    store: &Store<Whole>,
    tasks: impl IntoIterator<Item = &'a str>,
) {
    // The jobs are in the store; who runs them is only a word beside that.
    let Ok(Ok(instances)) = tokio::time::timeout(LOOK, store.run(Instances)).await else { return };
    let daemons: Vec<_> = instances.iter().map(|state| &state.record).filter(|record| record.processors > 0).collect();
    // One with more tasks than it tells may have any.
    if daemons.is_empty() || daemons.iter().any(|daemon| daemon.tasks.is_none()) {
        return;
    }
    let loaded: HashSet<&str> =
        daemons.iter().flat_map(|daemon| daemon.tasks.iter().flatten()).map(String::as_str).collect();
    let unloaded: BTreeSet<&str> = tasks.into_iter().filter(|task| !loaded.contains(task)).collect();
    if unloaded.is_empty() {
        return;
    }
    let by_itself = context.config().is_ok_and(|loaded| loaded.config.reload == ReloadMode::Auto);
    for task in unloaded.into_iter().take(MOST_NAMED) {
        let skips = |daemon: &&&InstanceRecord| daemon.skipped.iter().any(|skipped| skipped == task);
        let skipping: Vec<_> = daemons.iter().filter(skips).copied().collect();
        if skipping.is_empty() {
            let again = reload(&daemons, by_itself);
            let text = format!(
                "no daemon of this store has loaded task {task:?}, and its jobs wait ({}): {again}",
                told(&daemons)
            );
            warn(&text);
        } else {
            let again = reload(&skipping, by_itself);
            warn(&format!(
                "task {task:?} is skipped because its file has mistakes, and its jobs wait ({}): windlass check shows the \
                 mistakes; when they are corrected, {again}",
                told(&skipping)
            ));
        }
    }
}

/// The first of these daemons.
fn told(daemons: &[&InstanceRecord]) -> String {
    let pids =
        daemons.iter().take(MOST_NAMED).map(|daemon| format!("{} on {}", daemon.host.pid, word(&daemon.host.hostname)));
    pids.collect::<Vec<_>>().join(", ")
}

/// How a daemon reads its files again.
fn reload(daemons: &[&InstanceRecord], by_itself: bool) -> String {
    if by_itself {
        return "a daemon reads its files again by itself when they have changed and are right (reload = \"auto\")"
            .to_owned();
    }
    let first = daemons.first().map_or(0, |daemon| daemon.host.pid);
    format!("kill -HUP {first} or systemctl reload windlass makes one read its files again")
}
