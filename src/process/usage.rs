//! What the processes of runs use, by one look at all processes.

use std::collections::HashMap;
use std::fs;

/// What processes use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// How many there are.
    pub processes: u64,
    /// Their resident memory.
    pub memory_bytes: u64,
    /// The processor time of those that live, and of their children that were waited for.
    pub cpu_ms: u64,
}

/// What each of these process groups uses, beside whose it is.
#[must_use]
pub fn of_groups<K>(groups: Vec<(K, u32)>) -> Vec<(K, Usage)> {
    let mut used: HashMap<u32, Usage> = groups.iter().map(|(_, group)| (*group, Usage::default())).collect();
    let (page, tick) = (rustix::param::page_size() as u64, 1000 / rustix::param::clock_ticks_per_second().max(1));
    for pid in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = pid.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Some(stat) = Stat::of(pid) else { continue };
        if let Some(sum) = used.get_mut(&stat.group) {
            sum.processes += 1;
            sum.memory_bytes = sum.memory_bytes.saturating_add(stat.pages.saturating_mul(page));
            sum.cpu_ms = sum.cpu_ms.saturating_add(stat.ticks.saturating_mul(tick));
        }
    }
    groups.into_iter().filter_map(|(key, group)| Some((key, used.get(&group).copied()?))).collect()
}

/// What is read of `/proc/<pid>/stat`.
struct Stat {
    group: u32,
    /// User and system time, with that of children that were waited for.
    ticks: u64,
    /// Resident pages.
    pages: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(&String::from_utf8_lossy(&stat))
    }

    /// The name in parentheses may hold anything, so that the fields are counted from its end: state is the third.
    fn parse(stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let ticks = [14, 15, 16, 17].into_iter().map(|number| field(number).unwrap_or(0)).sum();
        Some(Self { group: u32::try_from(field(5)?).ok()?, ticks, pages: field(24)? })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_group_is_found_with_its_memory() {
        let mut child = Command::new("/bin/sleep").arg("60").process_group(0).spawn().unwrap();
        // The kernel counts the pages of a process some at a time: right after its start it may have none.
        let look = || of_groups(vec![("a", child.id()), ("b", u32::MAX)]);
        let used = (0..100_000).map(|_| look()).find(|used| used[0].1.memory_bytes > 0).unwrap_or_else(look);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((used[0].0, used[0].1.processes), ("a", 1));
        assert!(used[0].1.memory_bytes > 0 && used[0].1.memory_bytes < 1 << 34, "{used:?}");
        assert_eq!(used[1], ("b", Usage::default()));
    }

    #[test]
    fn the_name_of_a_process_may_hold_anything() {
        let stat = "7 (a ) 3 4) S 1 42 42 0 -1 0 0 0 0 0 5 6 7 8 20 0 1 0 99 4096 33 18446744073709551615";
        let stat = Stat::parse(stat).unwrap();
        assert_eq!((stat.group, stat.ticks, stat.pages), (42, 26, 33));
    }
}
