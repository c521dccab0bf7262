//! Ends a process together with its group, and with what it started outside of its group.
//!
//! TERM comes first, so that the process can clean up, and KILL when the grace is over. Signals go to the group, and
//! only until its leader is reaped, because the group id cannot be reused before. What left the group gets them one by one.

use std::io;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use tokio::time::{Instant, sleep, timeout};

use super::child::Child;
use super::groups;
use super::mark;
use super::sweep::{ProcStat, all_processes};

/// The first pause between two checks for living members of a group.
const FIRST_LOOK: Duration = Duration::from_millis(2);
/// The longest pause between two checks.
const SLOWEST_LOOK: Duration = Duration::from_millis(50);
/// How many looks in a row must find nobody before nobody is believed to be left.
const CALM_LOOKS: u32 = 2;
/// How long to wait for killed processes to end.
pub const DYING: Duration = Duration::from_secs(2);

/// Asks the group to end. CONT wakes stopped processes, which would not receive TERM otherwise.
pub fn term(child: &Child) {
    child.signal_group(Signal::TERM);
    child.signal_group(Signal::CONT);
}

/// Ends the group now.
pub fn kill(child: &Child) {
    child.signal_group(Signal::KILL);
}

/// Asks the group, and what left it, to end.
pub async fn term_all(child: &mut Child) {
    let any = child.strays.look().await;
    term(child);
    if any {
        child.strays.signal(Signal::TERM);
        child.strays.signal(Signal::CONT);
    }
}

/// Ends the group, and what left it, now. They may take a moment to be gone.
pub async fn kill_all(child: &mut Child) {
    let any = child.strays.look().await;
    kill(child);
    if any {
        child.strays.signal(Signal::KILL);
    }
}

/// The same as [`end_remaining`], also for what left the group. False if something is left that does not die.
///
/// Nobody can be seen to be left by one look: a process may start another one and end while the others are looked at. So all
/// are killed at the end even if none was seen, and looked for again until nobody new comes.
pub async fn end_all(child: &mut Child, grace: Duration, urgent: impl Future<Output = ()>) -> bool {
    let polite = async {
        gone(child).await;
        let mut pause = FIRST_LOOK;
        while child.strays.look().await {
            sleep(pause).await;
            pause = SLOWEST_LOOK.min(pause * 2);
        }
    };
    tokio::select! {
        () = polite => {}
        () = sleep(grace) => {}
        () = urgent => {}
    }
    kill(child);
    let dying = async {
        chase(child).await;
        let mut pause = FIRST_LOOK;
        while child.strays.any_lives() {
            sleep(pause).await;
            pause = SLOWEST_LOOK.min(pause * 2);
        }
        gone(child).await;
    };
    tokio::select! {
        () = dying => true,
        () = sleep(DYING) => false,
    }
}

/// Kills what left the group until nobody new is found.
async fn chase(child: &mut Child) {
    let mut calm = 0;
    while calm < CALM_LOOKS {
        calm = if child.strays.chase().await { 0 } else { calm + 1 };
    }
}

/// The living processes of a run that this process may not signal, because they run as another user: `sudo`, or another
/// setuid program.
pub async fn untouchable(child: &mut Child) -> Vec<u32> {
    child.strays.look().await;
    let leader = child.pid();
    let is_of_group =
        move |stat: &ProcStat| stat.group == leader.as_raw_pid() || stat.pid == leader.as_raw_pid().unsigned_abs();
    let scan = move || -> io::Result<Vec<u32>> {
        Ok(all_processes()?.iter().filter(|stat| stat.lives() && is_of_group(stat)).map(|stat| stat.pid).collect())
    };
    let mut living = loop {
        match tokio::task::spawn_blocking(scan).await {
            Ok(Ok(living)) => break living,
            // Descriptors or memory ran out.
            Ok(Err(_)) => sleep(SLOWEST_LOOK).await,
            // The runtime shuts down.
            Err(_) => break Vec::new(),
        }
    };
    living.extend(child.strays.known());
    living.retain(|&pid| may_not_signal(pid));
    living
}

/// Waits until none of a run's processes lives that this process may not signal, and until it starts no others any more.
/// Tells of them once.
pub async fn outlast(child: &mut Child, tell: impl FnOnce(&str)) {
    let mut tell = Some(tell);
    loop {
        let is_calm = timeout(DYING, chase(child)).await.is_ok();
        let left = untouchable(child).await;
        if left.is_empty() && is_calm {
            return;
        }
        if let Some(tell) = tell.take() {
            tell(&if left.is_empty() { restless_text(&child.strays.run()) } else { untouchable_text(&left) });
        }
        sleep(SLOWEST_LOOK * 10).await;
    }
}

/// What is to be told of processes that cannot be caught.
fn restless_text(run: &str) -> String {
    format!(
        "it was told to end, but its processes start others faster than they can be killed: its processor and its locks are \
         kept until they end; look for them: grep -lz {name}={run} /proc/[0-9]*/environ",
        name = mark::RUN
    )
}

/// What is to be told of such processes.
#[must_use]
pub fn untouchable_text(left: &[u32]) -> String {
    let pids = left.iter().map(u32::to_string).collect::<Vec<_>>();
    format!(
        "it was told to end, but its processes {} run as another user (sudo, a setuid program), whom this daemon may not \
         signal: its processor and its locks are kept until they end; type sudo kill {}",
        pids.join(", "),
        pids.join(" ")
    )
}

fn may_not_signal(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) == Err(Errno::PERM))
}

/// Ends the rest of a group that was asked to end and whose leader has ended and is not yet reaped. Its members get
/// `grace`, or until `urgent` returns, and are then killed. They are gone when this returns.
pub async fn end_remaining(child: &Child, grace: Duration, urgent: impl Future<Output = ()>) {
    tokio::select! {
        () = gone(child) => {}
        () = sleep(grace) => {}
        () = urgent => {}
    }
    kill(child);
    tokio::select! {
        () = gone(child) => {}
        () = sleep(DYING) => {}
    }
}

/// Waits until no member of the group lives. No event reports the end of processes that are not our children, so this
/// checks with growing pauses; callers share each scan.
async fn gone(child: &Child) {
    let mut pause = FIRST_LOOK;
    while groups::is_alive(child.pid()).await {
        sleep(pause).await;
        pause = SLOWEST_LOOK.min(pause * 2);
    }
}

/// Ends a process that runs, its group, and what left the group: TERM, `grace`, KILL. The process is not reaped.
pub async fn end(child: &mut Child, grace: Duration) {
    let deadline = Instant::now() + grace;
    term_all(child).await;
    tokio::select! {
        () = child.exited() => {}
        () = tokio::time::sleep_until(deadline) => kill(child),
    }
    child.exited().await;
    let _ = end_all(child, deadline.saturating_duration_since(Instant::now()), std::future::pending()).await;
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::super::child::Running;
    use super::super::command::Command;
    use super::super::sweep;
    use super::*;

    /// Starts a script and waits for its first line.
    async fn started(script: &str) -> (Running, String) {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        let mut running = Running::spawn(&command, Vec::new()).unwrap();
        let mut text = String::new();
        while text.is_empty() {
            assert!(running.output.pump(&mut |line| text.push_str(line.text)).await);
        }
        (running, text)
    }

    #[tokio::test]
    async fn who_listens_to_term_ends_by_itself() {
        let (mut running, _) = started("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done").await;
        end(&mut running.child, Duration::from_secs(30)).await;
        assert_eq!(running.child.reap().unwrap().code(), Some(7));
    }

    #[tokio::test]
    async fn who_ignores_term_is_killed_when_the_grace_is_over() {
        let (mut running, _) = started("trap '' TERM; echo ready; while :; do sleep 0.01; done").await;
        let begun = Instant::now();
        end(&mut running.child, Duration::from_millis(100)).await;
        assert!(begun.elapsed() >= Duration::from_millis(100));
        assert_eq!(running.child.reap().unwrap().signal(), Some(9));
    }

    #[tokio::test]
    async fn a_stopped_process_hears_term_too() {
        let (mut running, _) = started("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done").await;
        running.child.signal_group(Signal::STOP);
        end(&mut running.child, Duration::from_secs(30)).await;
        assert_eq!(running.child.reap().unwrap().code(), Some(7));
    }

    #[tokio::test]
    async fn who_starts_another_and_ends_all_the_time_is_caught() {
        let folder = tempfile::tempdir().unwrap();
        let beat = folder.path().join("beat");
        for pause in ["0.0003", "0.005", "0.04"] {
            // In a session of its own, with a parent that is gone, and never the same process for long.
            let script = format!(
                "exec perl -e 'use POSIX; $SIG{{TERM}} = \"IGNORE\"; $| = 1; print \"ready\\n\"; fork or do {{ setsid(); \
                 close STDOUT; close STDERR; while (1) {{ fork and POSIX::_exit(0); open(F, \">>\", \"{}\"); print F \"x\"; \
                 close F; select(undef, undef, undef, {pause}) }} }}; sleep 60'",
                beat.display()
            );
            let (mut running, _) = started(&script).await;
            let beats = || std::fs::metadata(&beat).map_or(0, |file| file.len());
            while beats() < 20 {
                sleep(FIRST_LOOK).await;
            }
            end(&mut running.child, Duration::from_millis(100)).await;
            let then = beats();
            // Longer than the longest pause: what is tested is that nothing happens any more.
            sleep(Duration::from_millis(200)).await;
            assert_eq!(beats(), then, "with a pause of {pause} s");
            std::fs::remove_file(&beat).unwrap();
        }
    }

    #[tokio::test]
    async fn members_that_outlive_their_leader_get_the_same_grace() {
        // The member needs a moment to clean up; the leader ends at once.
        let polite = "(trap 'sleep 0.1; echo orderly; exit' TERM; echo ready; while :; do sleep 0.01; done) & wait";
        let (mut running, _) = started(polite).await;
        end(&mut running.child, Duration::from_secs(30)).await;
        let mut text = String::new();
        running.output.rest(&mut |line| text.push_str(line.text)).await;
        // The shell also reports the signal on stderr.
        assert!(text.contains("orderly"), "{text}");
        // This one ignores TERM.
        let deaf = "(trap '' TERM; sh -c 'echo $PPID'; while :; do sleep 0.01; done) & wait";
        let (mut running, text) = started(deaf).await;
        let member: u32 = text.trim().parse().unwrap();
        let ticks = sweep::start_ticks(member).unwrap();
        end(&mut running.child, Duration::from_millis(50)).await;
        assert!(!sweep::is_alive(member, ticks));
        assert!(!sweep::living_groups().unwrap().contains(&running.child.pid().as_raw_pid()));
    }
}
