//! Which release of the tz database times are computed by.
//!
//! The rules of all zones are built into the program, so that it needs no files and every machine computes alike. A release of
//! the system that is newer is not used, but told.

use std::path::Path;

use serde::Serialize;

use super::zone::RELEASE;
use crate::file::bounded;

/// Where systems have their database. Its first line is `# version 2025b`.
const SYSTEM: &str = "/usr/share/zoneinfo/tzdata.zi";
/// The most that it may hold: it has 100 KiB.
const MOST: u64 = 4 << 20;

/// The release of the tz database that is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct ZoneRelease {
    /// The release that times are computed by.
    pub built_in: &'static str,
    /// The release of this system, if it has one and says which.
    pub system: Option<String>,
}

impl ZoneRelease {
    /// What is used on this machine.
    #[must_use]
    pub fn here() -> Self {
        Self { built_in: RELEASE, system: system(Path::new(SYSTEM)) }
    }

    /// The same in words.
    #[must_use]
    pub fn text(&self) -> String {
        let built_in = self.built_in;
        match &self.system {
            // Releases are a year and a letter, so that they compare as text.
            Some(system) if system.as_str() > built_in => format!(
                "tz database {built_in}, built in; this system has {system}: a newer windlass is needed where zones have \
                 changed since"
            ),
            _ => format!("tz database {built_in}, built in"),
        }
    }
}

fn system(path: &Path) -> Option<String> {
    let text = bounded::read_text(path, MOST).ok()?;
    let release = text.lines().next()?.strip_prefix("# version ")?.trim();
    let is_one = release.len() <= 16 && release.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_one.then(|| release.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_release_of_the_system_is_told() {
        let text = |system: Option<&str>| ZoneRelease { built_in: "2025b", system: system.map(str::to_owned) }.text();
        assert_eq!(text(None), "tz database 2025b, built in");
        assert_eq!(text(Some("2024a")), text(None));
        assert_eq!(text(Some("2025b")), text(None));
        assert!(text(Some("2025c")).contains("this system has 2025c"));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tzdata.zi");
        for (found, expected) in
            [("# version 2026a\nR A", Some("2026a")), ("# version \u{1b}[2J\n", None), ("R A", None), ("", None)]
        {
            std::fs::write(&file, found).unwrap();
            assert_eq!(system(&file).as_deref(), expected);
        }
        assert!(ZoneRelease::here().built_in.starts_with("20"));
    }
}
