//! What the kernel tells of this process, without its children.

use super::families::{PROCESS_CPU, PROCESS_MAX_FDS, PROCESS_OPEN_FDS, PROCESS_RESIDENT, PROCESS_THREADS};
use super::page::Page;

/// Adds what can be read.
pub(super) fn add(page: &mut Page) {
    if let Some(stat) = std::fs::read("/proc/self/stat").ok().as_deref().and_then(Stat::parse) {
        page.number(&PROCESS_CPU, &[], ticks_to_seconds(stat.ticks));
        page.count(&PROCESS_THREADS, &[], stat.threads);
        let page_size = u64::try_from(rustix::param::page_size()).unwrap_or(0);
        page.count(&PROCESS_RESIDENT, &[], stat.resident_pages.saturating_mul(page_size));
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // One of them reads this directory.
        page.count(&PROCESS_OPEN_FDS, &[], u64::try_from(open.count()).unwrap_or(u64::MAX).saturating_sub(1));
    }
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    // Without a limit there is no number.
    if let Some(most) = most {
        page.count(&PROCESS_MAX_FDS, &[], most);
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// Of user and system.
    ticks: u64,
    threads: u64,
    resident_pages: u64,
}

impl Stat {
    /// Reads `/proc/PID/stat`. The name, in parentheses, may hold anything.
    fn parse(stat: &[u8]) -> Option<Self> {
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let fields: Vec<&str> = std::str::from_utf8(stat.get(end + 1..)?).ok()?.split_whitespace().collect();
        // The third field of the file is the first here.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self { ticks: field(14)?.saturating_add(field(15)?), threads: field(20)?, resident_pages: field(24)? })
    }
}

fn ticks_to_seconds(ticks: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a float counts ticks exactly for a million years")]
    let (ticks, per_second) = (ticks as f64, rustix::param::clock_ticks_per_second() as f64);
    ticks / per_second
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_behind_any_name() {
        let stat = b"7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 130 20 13 14 15 16 5 18 19 20 777 22";
        assert_eq!(Stat::parse(stat), Some(Stat { ticks: 150, threads: 5, resident_pages: 777 }));
        assert_eq!(Stat::parse(b"7 (a"), None);
        assert_eq!(Stat::parse(b"7 (a) S 1"), None);
    }
}
