//! The image can be built: what the sources include and what Cargo.toml names is there before cargo runs.

use std::path::{Component, Path, PathBuf};
use std::process::Command;

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

/// cargo compiles nothing while a target that Cargo.toml names has no file, whatever it is asked to build.
#[test]
fn what_the_manifest_names_is_in_the_build_of_the_image() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(root.join(name)).expect("it is a part of the repository");
    let dockerfile = read("Dockerfile");
    let step = dockerfile.split("\nRUN ").nth(1).expect("the dependencies are built in a step of their own");
    let (prepare, _) = step.split_once("&& cargo build").expect("the step builds them");
    let place = tempfile::tempdir().expect("a folder must be had");
    std::fs::copy(root.join("Cargo.toml"), place.path().join("Cargo.toml")).expect("it must be copied");
    let prepare = prepare.trim_end().trim_end_matches('\\');
    let done = Command::new("sh").args(["-ec", prepare]).current_dir(place.path()).status().expect("sh must run");
    assert!(done.success(), "{prepare}");
    let manifest = read("Cargo.toml");
    // A target with a path is looked for only when it is compiled.
    let has_path = |target: &str| target.split("\n\n").next().is_some_and(|keys| keys.contains("\npath = "));
    for kind in ["[[test]]", "[[bench]]"] {
        assert!(manifest.split(kind).skip(1).all(has_path), "the image needs the files of {kind} that have no path");
    }
    let examples: Vec<_> =
        manifest.split("[[example]]\nname = \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(examples.len() > 1, "no example was found: this test reads nothing");
    for example in examples {
        assert!(place.path().join(format!("examples/{example}.rs")).exists(), "{example} has no file in the image");
    }
}
