//! Files of one folder do not use each other in a circle: in a room, and in each folder inside it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::source::{sources, tokens};

/// Circles that are known and wait to be undone: the folder, and the files that one of them ties.
const KNOWN: &[(&str, &[&str])] = &[];

/// The arrows between the modules of one parent, by their names.
type Arrows = BTreeMap<String, BTreeSet<String>>;

#[test]
fn files_of_a_room_do_not_use_each_other_in_a_circle() {
    let files: Vec<(Vec<String>, String)> = sources()
        .into_iter()
        .map(|file| (module_of(&file.path), file.text))
        .filter(|(module, _)| module.len() > 1)
        .collect();
    let modules: BTreeSet<&[String]> = files.iter().map(|(module, _)| module.as_slice()).collect();
    let mut houses: BTreeMap<&[String], Arrows> = BTreeMap::new();
    for (module, text) in &files {
        for used in used(text, module) {
            let shared = module.iter().zip(&used).take_while(|(own, other)| own == other).count();
            // A door hands on what its files define; it is not one of them.
            let (Some(from), Some(to)) = (module.get(shared), used.get(shared)) else { continue };
            if shared > 0
                && (modules.contains(&used[..=shared]) || modules.iter().any(|m| m.starts_with(&used[..=shared])))
            {
                houses.entry(&module[..shared]).or_default().entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
    assert!(houses.len() > 5, "no arrows inside rooms were found: this test reads nothing");
    let mut found: Vec<String> = Vec::new();
    let mut known: Vec<&(&str, &[&str])> = KNOWN.iter().collect();
    for (house, arrows) in &houses {
        for circle in circles(arrows) {
            let name = house.join("/");
            let is_this = |(folder, files): &&(&str, &[&str])| {
                *folder == name && circle.iter().map(String::as_str).eq(files.iter().copied())
            };
            match known.iter().position(is_this) {
                Some(at) => drop(known.remove(at)),
                None => found.push(format!("src/{name}: {}", ties(arrows, &circle))),
            }
        }
    }
    assert!(found.is_empty(), "these files use each other in a circle:\n{}", found.join("\n"));
    assert!(known.is_empty(), "these circles are gone; take them off the list: {known:?}");
}

#[test]
fn every_way_to_use_a_neighbour_is_seen() {
    let seen = |text: &str| {
        let module = ["pool", "run"].map(str::to_owned);
        used(text, &module).into_iter().map(|path| path.join("/")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        seen("use super::core::Core; use crate::pool::lane::{self, LaneTask};"),
        "pool/core pool/lane pool/lane"
    );
    assert_eq!(seen("use super::{core::{Core, x}, lane};"), "pool/core pool/core/x pool/lane");
    assert_eq!(seen("fn f() { super::lane::go() } use crate::{pool::core, job::X};"), "pool/lane/go pool/core job");
    assert_eq!(seen("mod a { use super::*; use super::super::lane::x; }"), "pool/run pool/lane/x");
    assert_eq!(seen("mod tests { use super::*; use crate::pool::lane; }"), "");
    assert_eq!(circles(&arrows(&[("a", "b"), ("b", "c")])), Vec::<Vec<String>>::new());
    let two = circles(&arrows(&[("a", "b"), ("b", "a"), ("b", "c"), ("c", "d"), ("d", "c")]));
    assert_eq!(two, [["a", "b"], ["c", "d"]]);
}

fn arrows(pairs: &[(&str, &str)]) -> Arrows {
    let mut arrows = Arrows::new();
    for (from, to) in pairs {
        arrows.entry((*from).to_owned()).or_default().insert((*to).to_owned());
    }
    arrows
}

/// The module of a file, as a path from the root of the crate.
fn module_of(path: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        path.iter().filter_map(|part| part.to_str()).map(|part| part.trim_end_matches(".rs").to_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// The modules that a file of this module names, as paths from the root: without the types and constants behind them,
/// and without what its tests use, for that ties nothing.
fn used(text: &str, module: &[String]) -> Vec<Vec<String>> {
    let tokens: Vec<String> = tokens(text).into_iter().map(|(_, token)| token).collect();
    let word = |at: usize| tokens.get(at).map_or("", String::as_str);
    let (mut found, mut inner, mut at) = (Vec::new(), Vec::<Option<String>>::new(), 0);
    while at < tokens.len() && !module.iter().any(|part| part == "tests") {
        let in_tests = inner.iter().flatten().any(|name| name == "tests");
        match word(at) {
            "{" => inner.push((at >= 2 && word(at - 2) == "mod").then(|| word(at - 1).to_owned())),
            "}" => drop(inner.pop()),
            "crate" | "super" if in_tests => {}
            "crate" if word(at + 1) == "::" => at = path(&tokens, at + 2, Vec::new(), &mut found),
            "super" if word(at + 1) == "::" => {
                let mut base: Vec<String> = module.to_vec();
                base.extend(inner.iter().flatten().cloned());
                base.pop();
                at += 2;
                while word(at) == "super" && word(at + 1) == "::" {
                    base.pop();
                    at += 2;
                }
                at = path(&tokens, at, base, &mut found);
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Follows a path, and every branch of a group; returns where its last word stands.
fn path(tokens: &[String], mut at: usize, mut base: Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    let word = |at: usize| tokens.get(at).map_or("", String::as_str);
    loop {
        match word(at) {
            "{" => {
                at += 1;
                while !matches!(word(at), "}" | "") {
                    at = path(tokens, at, base.clone(), found) + 1;
                    if word(at) == "as" {
                        at += 2;
                    }
                    if word(at) == "," {
                        at += 1;
                    }
                }
                return at;
            }
            name if name.starts_with(char::is_lowercase) && name != "self" => base.push(name.to_owned()),
            _ => {
                found.push(base);
                return at;
            }
        }
        if word(at + 1) != "::" {
            found.push(base);
            return at;
        }
        at += 2;
    }
}

/// What ties a circle.
fn ties(arrows: &Arrows, circle: &[String]) -> String {
    let inside = |from: &String| {
        let to = arrows.get(from).into_iter().flatten().filter(|to| *to != from && circle.contains(to));
        format!("{from} -> {}", to.cloned().collect::<Vec<_>>().join(" "))
    };
    circle.iter().map(inside).collect::<Vec<_>>().join(", ")
}

/// The circles: the largest sets of modules each of which leads to all others.
fn circles(arrows: &Arrows) -> Vec<Vec<String>> {
    let reached = |from: &String| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(module) = next.pop() {
            for to in arrows.get(module).into_iter().flatten() {
                if seen.insert(to.clone()) {
                    next.push(to);
                }
            }
        }
        seen
    };
    let reach: BTreeMap<&String, BTreeSet<String>> = arrows.keys().map(|module| (module, reached(module))).collect();
    let in_circle = |module: &&&String| reach[**module].contains(**module);
    let mut circles: BTreeSet<Vec<String>> = BTreeSet::new();
    for (module, reached) in reach.iter().filter(|(module, _)| in_circle(module)) {
        let both = |other: &&String| reach.get(other).is_some_and(|back| back.contains(*module));
        circles.insert(reached.iter().filter(both).cloned().collect());
    }
    circles.into_iter().collect()
}
