//! The wall clock of the daemons and of their Redis, which a storm sets. The test itself goes by the system's.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::now_ms;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/storm/clock.c");

/// A clock that steps.
pub(crate) struct SteppingClock {
    dir: tempfile::TempDir,
    offset_ms: i64,
    farthest_ms: i64,
    steps: Vec<Step>,
}

/// One step, by the clock that stepped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
}

impl SteppingClock {
    /// A clock that is right.
    ///
    /// # Panics
    /// Without a C compiler.
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("windlass-clock-").tempdir();
        let clock =
            Self { dir: dir.expect("a temporary folder must be had"), offset_ms: 0, farthest_ms: 0, steps: Vec::new() };
        fs::write(clock.file(), 0_i64.to_ne_bytes()).expect("the offset must be written");
        let built =
            Command::new("cc").args(["-O1", "-shared", "-fPIC", "-o"]).arg(clock.library()).arg(SOURCE).output();
        let built = built.expect("a C compiler must be installed");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        clock
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("offset")
    }

    fn library(&self) -> PathBuf {
        self.dir.path().join("clock.so")
    }

    /// What lets a program go by this clock.
    pub(crate) fn variables(&self) -> [(&'static str, PathBuf); 2] {
        [("LD_PRELOAD", self.library()), ("STORM_CLOCK", self.file())]
    }

    /// Sets it so far ahead of the system's, or back.
    pub(crate) fn set(&mut self, offset_ms: i64) {
        let now_ms = i64::try_from(now_ms()).expect("a time of this era");
        self.steps.push(Step { from_ms: now_ms + self.offset_ms, to_ms: now_ms + offset_ms });
        self.offset_ms = offset_ms;
        self.farthest_ms = self.farthest_ms.max(offset_ms);
        write(&self.file(), offset_ms);
    }

    /// Sets it so far ahead that all has come due that was put off while it was ahead.
    pub(crate) fn overtake(&mut self) {
        self.set(self.farthest_ms);
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl Step {
    /// Has the clock shown this second before and after?
    pub(crate) fn repeats(self, second: i64) -> bool {
        self.to_ms < self.from_ms && (self.to_ms / 1000..=self.from_ms / 1000).contains(&second)
    }
}

/// In place: the file is mapped by those who go by it.
fn write(path: &Path, offset_ms: i64) {
    let file = fs::File::options().write(true).open(path).expect("the offset must be there");
    file.write_all_at(&offset_ms.to_ne_bytes(), 0).expect("the offset must be written");
}

#[test]
fn a_program_goes_by_the_clock_that_is_set() {
    let mut clock = SteppingClock::new();
    let shown = |clock: &SteppingClock| {
        let output = Command::new("date").arg("+%s").envs(clock.variables()).output().expect("date must run");
        String::from_utf8_lossy(&output.stdout).trim().parse::<i64>().expect("a number")
    };
    for offset_s in [7200, -30, 0] {
        clock.set(offset_s * 1000);
        let right = i64::try_from(now_ms() / 1000).expect("a time of this era");
        let ahead = shown(&clock) - right;
        assert!((offset_s..offset_s + 60).contains(&ahead), "{ahead}");
    }
    assert_eq!(clock.steps().len(), 3);
}
