//! The limit of open files: compared with what the processors need, and raised as far as that is allowed.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a daemon needs without jobs: log, store, sockets, runtimes.
const BASE: u64 = 48;
/// What a job needs: three pipes and the process, or one socket.
const EACH: u64 = 4;
/// What starting a process needs for a moment; several are started at once.
const STARTS: u64 = 24;

/// Raises the limit to what so many processors and connections of the HTTP server need. What is to be told if that is not
/// allowed.
pub(super) fn provide(processors: usize, connections: usize) -> Option<String> {
    let needed = needed(processors, connections);
    let limit = getrlimit(Resource::Nofile);
    let (Some(current), hard) = (limit.current, limit.maximum) else { return None };
    if current >= needed {
        return None;
    }
    // No more than that, because children inherit it and some look at each number below it.
    let possible = hard.map_or(needed, |hard| hard.min(needed));
    let raised = possible > current && setrlimit(Resource::Nofile, Rlimit { current: Some(possible), ..limit }).is_ok();
    let current = if raised { possible } else { current };
    (current < needed).then(|| {
        let possible = current.saturating_sub(self::needed(0, connections)) / EACH;
        let fewer = if possible > 0 {
            format!(", or set max_task_processors to at most {possible}")
        } else {
            String::new()
        };
        let server = if connections > 0 { format!(" and {connections} connections of [http]") } else { String::new() };
        format!(
            "{processors} processors{server} need up to {needed} open files, but only {current} are allowed (RLIMIT_NOFILE). Raise \
             the hard limit (`ulimit -Hn {needed}`, or LimitNOFILE={needed} in the unit){fewer}; until then jobs that find \
             none left are given back"
        )
    })
}

fn needed(processors: usize, connections: usize) -> u64 {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    count(processors).saturating_mul(EACH).saturating_add(BASE + STARTS).saturating_add(count(connections))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_grows_with_the_processors() {
        assert_eq!(needed(10, 0) - needed(0, 0), 10 * EACH);
        assert_eq!(needed(1, 256) - needed(1, 0), 256);
        assert!(needed(1, 0) <= 256, "the least limit of common systems is enough for a few");
    }
}
