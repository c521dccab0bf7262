//! Who is in a group.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::io;
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

use super::bounded::{self, FileError};
use super::shortage::{self, is_shortage};

/// Are these users the only members of a group, as far as this machine can tell?
///
/// # Errors
/// If that cannot be found out now, because descriptors or memory ran out.
pub(super) fn are_all(gid: u32, users: &BTreeSet<u32>) -> io::Result<bool> {
    // On some systems accounts without a login have the group of root, which stands for root. Images for OpenShift count on it.
    if gid == 0 && users.contains(&0) {
        return Ok(true);
    }
    let Ok(Some(group)) = Group::from_gid(Gid::from_raw(gid)) else {
        // In a container groups often have no names. Then nobody but this process is known to be in it.
        return unless_short(gid == rustix::process::getegid().as_raw());
    };
    let is_one =
        |name: &str| User::from_name(name).ok().flatten().is_some_and(|user| users.contains(&user.uid.as_raw()));
    if !group.mem.iter().all(|name| is_one(name)) {
        return unless_short(false);
    }
    // The members of a group by their own entries are in no list. Those of a network cannot all be asked for, so of its
    // groups only the private ones are known, which are called like their user.
    let is_local = lines("/etc/group")?.iter().any(|line| line.split(':').nth(2) == Some(&gid.to_string()));
    let others = lines("/etc/passwd")?.into_iter().any(|line| {
        let mut fields = line.split(':').skip(2).map(|field| field.parse::<u32>().ok());
        let (uid, primary) = (fields.next().flatten(), fields.next().flatten());
        primary == Some(gid) && !uid.is_some_and(|uid| users.contains(&uid))
    });
    unless_short(!others && (is_local || is_one(&group.name)))
}

/// Is this user a member of one of these groups?
///
/// # Errors
/// As [`are_all`].
pub(super) fn is_in_one(uid: u32, groups: &BTreeSet<u32>) -> io::Result<bool> {
    // Who has no name is in no list of members.
    let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) else { return unless_short(false) };
    let all = CString::new(user.name).ok().and_then(|name| getgrouplist(&name, user.gid).ok());
    unless_short(all.unwrap_or_default().iter().any(|gid| groups.contains(&gid.as_raw())))
}

/// The system's lists say nothing when they cannot be read. So an answer counts only if they could be.
fn unless_short(answer: bool) -> io::Result<bool> {
    shortage::now().map_or(Ok(answer), Err)
}

fn lines(path: &str) -> io::Result<Vec<String>> {
    let text = match bounded::read(Path::new(path), bounded::CONFIGURATION) {
        Err(FileError::Io(error)) if is_shortage(&error) => return Err(error),
        text => text.unwrap_or_default(),
    };
    Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn are_all(gid: u32, users: &BTreeSet<u32>) -> bool {
        super::are_all(gid, users).unwrap()
    }

    fn is_in_one(uid: u32, groups: &BTreeSet<u32>) -> bool {
        super::is_in_one(uid, groups).unwrap()
    }

    #[test]
    fn a_group_is_ones_own_if_nobody_else_is_in_it() {
        let root = BTreeSet::from([0]);
        assert!(!are_all(3_999_999_999, &root), "nobody knows this group, and we are not in it");
        // On every system there are users of whom the group is named in their own entry only.
        let entry = |line: &String| {
            let mut fields = line.split(':').skip(2).map(|field| field.parse::<u32>().ok());
            Some((fields.next()??, fields.next()??))
        };
        let is_known = |gid: u32| Group::from_gid(Gid::from_raw(gid)).is_ok_and(|group| group.is_some());
        let passwd = lines("/etc/passwd").unwrap();
        let mut users = passwd.iter().filter_map(entry);
        let (uid, gid) = users.find(|&(uid, gid)| uid > 0 && gid > 0 && is_known(gid)).unwrap();
        assert!(!are_all(gid, &root));
        assert!(are_all(0, &root));
        let everybody = passwd.iter().filter_map(entry).map(|(uid, _)| uid).collect();
        assert!(are_all(gid, &everybody), "{uid} is one of them");
        assert!(is_in_one(uid, &BTreeSet::from([gid])), "by its own entry");
        assert!(!is_in_one(uid, &BTreeSet::new()) && !is_in_one(3_999_999_999, &BTreeSet::from([gid])));
    }
}
