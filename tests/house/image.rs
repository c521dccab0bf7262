//! The image can be built: what the sources include is copied before they are compiled.

use std::path::{Component, Path, PathBuf};

use super::source::sources;

/// The paths that a source includes, as they stand in it.
fn included(text: &str) -> impl Iterator<Item = &str> {
    let calls = ["include_str!(\"", "include_bytes!(\""];
    calls.into_iter().flat_map(move |call| text.split(call).skip(1).filter_map(|rest| rest.split('"').next()))
}

/// The folder beside `src` into which this path leads from a file below `src`, if it leads out.
fn outside(file: &Path, path: &str) -> Option<String> {
    let mut place = PathBuf::from("src").join(file.parent().unwrap_or(Path::new("")));
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => drop(place.pop()),
            other => place.push(other),
        }
    }
    let first = place.components().next()?.as_os_str().to_str()?.to_owned();
    (first != "src").then_some(first)
}

#[test]
fn what_the_sources_include_is_in_the_build_of_the_image() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(root.join(name)).expect("it is a part of the repository");
    let (dockerfile, ignored) = (read("Dockerfile"), read(".dockerignore"));
    let build = dockerfile.split("\nFROM ").nth(1).expect("the image is built in a stage of its own");
    let (mut wanted, mut missing) = (0, Vec::new());
    for file in sources() {
        for folder in included(&file.text).filter_map(|path| outside(&file.path, path)) {
            wanted += 1;
            let copy = format!("COPY {folder} ./{folder}");
            if !build.lines().any(|line| line == copy) || !ignored.lines().any(|line| line == format!("!{folder}")) {
                missing.push(format!("{} includes files of {folder}: the Dockerfile needs `{copy}`", file.name));
            }
        }
    }
    assert!(wanted > 0, "no included file was found: this test reads nothing");
    assert!(missing.is_empty(), "{missing:#?}");
}
