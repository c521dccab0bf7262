//! Reads where and with what environment a program runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::reader::{Table, Value};
use crate::task::handler_spec::Place;

/// Reads every key of it; what is wrong is reported, and stands as if it were absent.
pub(super) fn read(run: &mut Table<'_>, folder: &Path) -> Place {
    Place {
        cwd: run.take("cwd").and_then(|value| read_cwd(&value, folder)).unwrap_or_else(|| folder.to_owned()),
        env: run.take("env").map(|value| read_env(&value)).unwrap_or_default(),
    }
}

fn read_cwd(value: &Value<'_>, folder: &Path) -> Option<PathBuf> {
    let path: PathBuf = folder.join(value.string()?).components().collect();
    if !path.is_dir() {
        value.expected("a folder that exists");
        return None;
    }
    Some(path)
}

fn read_env(value: &Value<'_>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let Some(mut table) = value.table("a table of strings") else { return env };
    for (name, value) in table.all() {
        let Some(text) = value.string() else { continue };
        if name.is_empty() || name.contains(['=', '\0']) || text.contains('\0') {
            value.report("a variable's name must hold neither = nor NUL, its value no NUL");
        } else if name.starts_with("WINDLASS_") {
            value.report("variables that begin with WINDLASS_ are set for each job; choose another name");
        } else {
            env.insert(name.to_owned(), text.to_owned());
        }
    }
    env
}
