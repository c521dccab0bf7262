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

/// A warning for each folder that holds task files: they are not read.
pub(super) fn passed_over(dir: &Path) -> Vec<String> {
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
