//! Which files of the folder are task files.

use std::path::{Path, PathBuf};

/// The task files in order; hidden files are the half-written ones of editors.
pub(crate) fn task_files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = entries(dir)?;
    files.retain(|path| path.extension().is_some_and(|end| end == "toml") && !is_hidden(path));
    Ok(files)
}

/// All that is in a folder, in order.
fn entries(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        entries.push(entry?.path());
    }
    entries.sort();
    Ok(entries)
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// A warning for each file whose name ends with `.toml` in other letters, and for each folder that holds task files: they are
/// not read.
pub(super) fn passed_over(dir: &Path) -> Vec<String> {
    // That the folder cannot be read is told of the task files.
    let entries = entries(dir).unwrap_or_default();
    let is_odd =
        |path: &&PathBuf| path.extension().is_some_and(|end| end != "toml" && end.eq_ignore_ascii_case("toml"));
    let told_odd = |path: &PathBuf| {
        format!("{}: is not read, because it does not end with .toml in small letters; rename it", path.display())
    };
    let mut told: Vec<String> = entries.iter().filter(is_odd).map(told_odd).collect();
    let told_folder = |folder: &PathBuf| {
        let first = task_files(folder).ok()?.into_iter().next()?;
        let name = first.file_name()?.display().to_string();
        Some(format!(
            "{}: holds task files ({name}), which are not read: move them up into {}",
            folder.display(),
            dir.display()
        ))
    };
    told.extend(entries.iter().filter(|path| path.is_dir() && !is_hidden(path)).filter_map(told_folder));
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_task_file_and_is_not_read_is_told() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["up.TOML", "right.toml", "note.txt", ".hidden.toml"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        std::fs::create_dir(dir.path().join("more")).unwrap();
        std::fs::write(dir.path().join("more/deep.toml"), "").unwrap();
        let told = passed_over(dir.path());
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("up.TOML: is not read") && told[1].contains("move them up"), "{told:?}");
    }
}
