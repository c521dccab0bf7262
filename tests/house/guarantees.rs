//! Each guarantee of docs/security.md is held by tests that exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// All tests and sources as one text.
fn code(root: &Path) -> String {
    let (mut folders, mut text): (Vec<PathBuf>, _) = (vec![root.join("src"), root.join("tests")], String::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the repository must be readable") {
            let path = entry.expect("the repository must be readable").path();
            if path.is_dir() && !path.ends_with("node_modules") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&std::fs::read_to_string(&path).expect("sources must be text"));
            }
        }
    }
    text
}

#[test]
fn the_tests_that_hold_the_guarantees_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join("docs/security.md")).expect("it is a part of the repository");
    let code = code(root);
    let is_name = |word: &&str| {
        word.matches('_').count() > 2 && word.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
    };
    let names: BTreeSet<&str> = document.split('`').filter(is_name).collect();
    let missing: Vec<_> = names.iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(names.len() > 50, "no tests are named: this test reads nothing");
    assert!(missing.is_empty(), "docs/security.md names tests that do not exist: {missing:#?}");
    let rows = document.lines().filter(|line| line.starts_with("| ") && line.ends_with(" |"));
    let guarantees = rows.skip_while(|line| *line != "| guarantee | held by |");
    let unheld: Vec<_> = guarantees
        .take_while(|line| *line != "| a job that needs | gets it by a later drop-in |")
        .filter(|line| *line != "| guarantee | held by |" && !line.split('`').any(|word| is_name(&word)))
        .collect();
    assert!(unheld.is_empty(), "guarantees without a test: {unheld:#?}");
}
