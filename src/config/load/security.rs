//! `[security]`: who may change what runs.

use std::path::Path;

use nix::unistd;

use crate::config::error::Problem;
use crate::config::model::{Config, Group, SecurityConfig, User};
use crate::config::reader::{Table, Value};
use crate::file::absolute;
use crate::file::trust::{Owners, Untrusted};

/// What a refusal ends with.
pub(crate) const OR_NOT_STRICT: &str =
    "; where modes cannot be set, strict_modes = false under [security] in the configuration";

pub(super) fn read(table: Option<Table<'_>>) -> SecurityConfig {
    let mut security = SecurityConfig { strict_modes: true, owners: Vec::new(), groups: Vec::new() };
    let Some(mut table) = table else { return security };
    if let Some(strict) = table.take("strict_modes").and_then(|value| value.boolean()) {
        security.strict_modes = strict;
    }
    if let Some(items) = table.take("owners").and_then(|value| value.list("a list of users")) {
        let user = |item: &Value<'_>| account(item, &USERS).map(|(name, uid)| User { name, uid });
        security.owners = items.iter().filter_map(user).collect();
    }
    if let Some(items) = table.take("groups").and_then(|value| value.list("a list of groups")) {
        let group = |item: &Value<'_>| account(item, &GROUPS).map(|(name, gid)| Group { name, gid });
        security.groups = items.iter().filter_map(group).collect();
    }
    table.finish();
    security
}

/// A kind of accounts of this system.
struct Accounts {
    expected: &'static str,
    by_name: fn(&str) -> nix::Result<Option<u32>>,
    /// Of those that have no name there is nothing but the number.
    name_of: fn(u32) -> Option<String>,
}

const USERS: Accounts = Accounts {
    expected: "the name of a user of this system, or a number such as 1001",
    by_name: |name| Ok(unistd::User::from_name(name)?.map(|user| user.uid.as_raw())),
    name_of: |uid| Some(unistd::User::from_uid(unistd::Uid::from_raw(uid)).ok()??.name),
};

const GROUPS: Accounts = Accounts {
    expected: "the name of a group of this system, or a number such as 1001",
    by_name: |name| Ok(unistd::Group::from_name(name)?.map(|group| group.gid.as_raw())),
    name_of: |gid| Some(unistd::Group::from_gid(unistd::Gid::from_raw(gid)).ok()??.name),
};

/// A name, or a number as a number or as a text. Who has a number for a name is found by the name first.
fn account(value: &Value<'_>, accounts: &Accounts) -> Option<(String, u32)> {
    let text = match (value.raw().as_str(), value.raw().as_integer()) {
        (Some(name), _) => {
            match (accounts.by_name)(name) {
                Ok(Some(id)) => return Some((name.to_owned(), id)),
                Ok(None) => {}
                Err(error) => {
                    value.report(format!("the users and groups of this system cannot be asked: {error}"));
                    return None;
                }
            }
            name
        }
        (None, Some(number)) if number.radix() == 10 => number.as_str(),
        _ => "",
    };
    // The highest number stands for none. A sign is no part of a number here.
    let is_number = text.bytes().all(|digit| digit.is_ascii_digit());
    let Some(id) = text.parse().ok().filter(|id| is_number && *id != u32::MAX) else {
        value.expected(accounts.expected);
        return None;
    };
    Some(((accounts.name_of)(id).unwrap_or_else(|| id.to_string()), id))
}

/// A configuration that nobody named, of the working directory. It is none if somebody else put it there: who stands in a
/// stranger's folder does not mean to run the stranger's programs. Says why it is passed over.
pub(super) fn found_here(path: &Path) -> Result<(), String> {
    match Owners::with([]).judge(path) {
        Err(error @ Untrusted::Owner { .. }) => {
            let path = path.display();
            Err(format!(
                "{path} is passed over: {error}; or name it, --config {path}, if its [security] trusts that user"
            ))
        }
        _ => Ok(()),
    }
}

/// Judges a configuration that was read, and the files that say with it where jobs come from: the address of the store, the
/// authorities by which its server is recognised, and the tokens of those who may send jobs. It may itself switch the judgement off: who named it trusts it.
pub(super) fn judge(config: &Config) -> Option<Problem> {
    let Config { source, security, store, http, .. } = config;
    let owners = security.trusted()?;
    let tokens = http.iter().flat_map(|http| &http.token_files);
    let files = source.iter().chain(&store.address).chain(&store.tls.ca).chain(tokens);
    let error = files.filter_map(|path| owners.judge(&absolute(path)).err()).next()?;
    Some(problem(&error))
}

/// What is told where it is not allowed.
pub(crate) fn problem(error: &Untrusted) -> Problem {
    Problem::of_source(error.path().display(), format!("{}{OR_NOT_STRICT}", error.message()))
}

/// The same of this file, which is named if links lead from it to what is not allowed.
pub(crate) fn problem_of(path: &Path, error: &Untrusted) -> Problem {
    let is_above =
        path.parent().and_then(|folder| folder.canonicalize().ok()).is_none_or(|it| it.starts_with(error.path()));
    if is_above || !path.is_symlink() {
        return problem(error);
    }
    let (at, path) = (error.path().display(), path.display());
    Problem::of_source(path, format!("links lead from here to {at}, which {}{OR_NOT_STRICT}", error.message()))
}

/// The warning where everybody may change what runs.
pub(super) fn note(security: &SecurityConfig) -> Option<String> {
    (!security.strict_modes).then(|| {
        "security.strict_modes = false: who may change configuration, task files and programs is not checked".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{Loaded, Sources, load};

    fn read(text: &str) -> Result<SecurityConfig, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tasks.toml");
        std::fs::write(&file, format!("[security]\n{text}\n")).unwrap();
        let loaded = load(&Sources::new(dir.path()).file(file));
        let said = |problems: crate::config::error::Problems| {
            problems.to_string().replace(&format!("{}/", dir.path().display()), "")
        };
        loaded.map(|Loaded { config, .. }| config.security).map_err(said)
    }

    #[test]
    fn users_and_groups_are_named_or_numbered() {
        let security =
            read("owners = [\"root\", 3000000001, \"3000000002\"]\ngroups = [\"root\", 3000000003]").unwrap();
        let owners: Vec<_> = security.owners.iter().map(|user| (user.name.as_str(), user.uid)).collect();
        assert_eq!(owners, [("root", 0), ("3000000001", 3_000_000_001), ("3000000002", 3_000_000_002)]);
        let groups: Vec<_> = security.groups.iter().map(|group| (group.name.as_str(), group.gid)).collect();
        assert_eq!(groups, [("root", 0), ("3000000003", 3_000_000_003)]);
        assert_eq!(read("owners = [0]").unwrap().owners[0].name, "root", "the number of one with a name");
    }

    #[test]
    fn what_is_no_user_and_no_group_is_told_with_its_place() {
        for (text, found) in [
            ("nobody-of-us", "\"nobody-of-us\""),
            ("-1", "-1"),
            ("4294967295", "4294967295"),
            ("", "\"\""),
            ("+5", "\"+5\""),
            ("true", "true"),
        ] {
            let written =
                if ["-1", "4294967295", "true"].contains(&text) { text.to_owned() } else { format!("{text:?}") };
            for (key, what) in [("owners", "user"), ("groups", "group")] {
                let said = format!(
                    "tasks.toml:2:11: security.{key}: expected the name of a {what} of this system, or a number such as \
                     1001 (found {found})"
                );
                assert_eq!(read(&format!("{key} = [{written}]")), Err(said));
            }
        }
    }
}
