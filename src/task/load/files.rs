//! Which files of the folder are task files.

use std::path::{Path, PathBuf};

/// The task files in order; hidden files are the half-written ones of editors.
pub(crate) fn task_files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.extension().is_some_and(|extension| extension == "toml") && !hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A warning for each file whose name ends with `.toml` in other letters, and for each folder that holds task files: they are
/// not read.
pub(super) fn passed_over(dir: &Path) -> Vec<String> {
    let mut odd: Vec<PathBuf> =
        std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    odd.retain(|path| path.extension().is_some_and(|end| end != "toml" && end.eq_ignore_ascii_case("toml")));
    odd.sort();
    let told_odd = |path: &PathBuf| {
        format!("{}: is not read, because it does not end with .toml in small letters; rename it", path.display())
    };
    let mut told: Vec<String> = odd.iter().map(told_odd).collect();
    told.extend(folders_passed_over(dir));
    told
}

fn folders_passed_over(dir: &Path) -> Vec<String> {
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    folders.retain(|path| {
        path.is_dir() && !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
    });
    folders.sort();
    let told = |folder: &PathBuf| {
        let first = task_files(folder).ok()?.into_iter().next()?;
        let name = first.file_name()?.display().to_string();
        Some(format!(
            "{}: holds task files ({name}), which are not read: move them up into {}",
            folder.display(),
            dir.display()
        ))
    };
    folders.iter().filter_map(told).collect()
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
