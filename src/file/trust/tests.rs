use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use super::*;

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// `folder/inner/file`, and what is said about it relative to the folder.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        fs::create_dir(tree.path("inner")).unwrap();
        fs::write(tree.path("inner/file"), "").unwrap();
        mode(&tree.path("inner"), 0o755);
        mode(&tree.path("inner/file"), 0o644);
        tree
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn judged(&self, name: &str) -> Result<(), String> {
        let folder = format!("{}/", self.0.path().display());
        Owners::with([]).judge(&self.path(name)).map_err(|error| error.to_string().replace(&folder, ""))
    }
}

#[test]
fn what_others_may_write_is_named_with_the_remedy() {
    let tree = Tree::new();
    assert_eq!(tree.judged("inner/file"), Ok(()));
    mode(&tree.path("inner/file"), 0o646);
    let file =
        "inner/file may be written by everybody (mode 0646), who could run anything with it: chmod o-w inner/file";
    assert_eq!(tree.judged("inner/file"), Err(file.to_owned()));
    mode(&tree.path("inner/file"), 0o644);
    mode(&tree.path("inner"), 0o777);
    assert!(tree.judged("inner/file").unwrap_err().starts_with("inner may be written by everybody (mode 0777)"));
    // Others can put files there, but cannot replace ours.
    mode(&tree.path("inner"), 0o1777);
    assert_eq!(tree.judged("inner/file"), Ok(()));
    let owners = Owners::with([]);
    assert!(matches!(Judge::new(&owners).listing(&tree.path("inner")), Err(Untrusted::Everybody { .. })));
    assert_eq!(Judge::new(&owners).listing(&tree.path("")), Ok(()));
}

#[test]
fn nobody_is_told_to_change_the_mode_of_a_device() {
    let tree = Tree::new();
    for device in ["/dev/null", "/dev/zero"] {
        symlink(device, tree.path("inner/link")).unwrap();
        let error = tree.judged("inner/link").unwrap_err();
        assert!(error.starts_with(&format!("{device} is not a regular file")) && !error.contains("chmod"), "{error}");
        fs::remove_file(tree.path("inner/link")).unwrap();
    }
}

#[test]
fn a_link_is_followed_and_every_folder_on_its_way_is_judged() {
    let tree = Tree::new();
    fs::create_dir(tree.path("open")).unwrap();
    symlink("../inner/../inner/file", tree.path("open/link")).unwrap();
    symlink(tree.path("open/link"), tree.path("far")).unwrap();
    symlink("loop", tree.path("loop")).unwrap();
    assert_eq!(tree.judged("far"), Ok(()));
    assert_eq!(tree.judged("loop"), Ok(()), "anyone who opens it will meet the error");
    mode(&tree.path("open"), 0o777);
    assert!(tree.judged("far").unwrap_err().starts_with("open may be written"));
    mode(&tree.path("open"), 0o755);
    mode(&tree.path("inner/file"), 0o666);
    assert!(tree.judged("far").unwrap_err().starts_with("inner/file may be written"));
}

#[test]
fn a_group_may_write_if_it_has_no_other_members() {
    let tree = Tree::new();
    mode(&tree.path("inner/file"), 0o664);
    chown(tree.path("inner/file"), None, Some(rustix::process::getegid().as_raw())).unwrap();
    let owners = Owners::with([]);
    owners.groups.lock().unwrap().insert(rustix::process::getegid().as_raw(), true);
    assert_eq!(owners.judge(&tree.path("inner/file")), Ok(()));
    owners.groups.lock().unwrap().insert(rustix::process::getegid().as_raw(), false);
    let error = owners.judge(&tree.path("inner/file")).unwrap_err();
    assert!(matches!(error, Untrusted::Group { .. }) && error.to_string().contains("(mode 0664)"), "{error}");
}

#[test]
fn a_group_that_is_trusted_may_write_and_its_members_may_own() {
    // Only root can give a file away.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let tree = Tree::new();
    // A user with a group of its own: all systems have some.
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let mut entries = passwd.lines().filter_map(|line| {
        let mut fields = line.split(':').skip(2).map(|field| field.parse::<u32>().ok());
        Some((fields.next()??, fields.next()??))
    });
    let (uid, gid) = entries.find(|&(uid, gid)| uid > 0 && gid > 0).unwrap();
    let judged = |owners: &Owners| owners.judge(&tree.path("inner/file")).map_err(|error| error.to_string());
    chown(tree.path("inner"), None, Some(gid)).unwrap();
    mode(&tree.path("inner"), 0o2775);
    let error = judged(&Owners::with([])).unwrap_err();
    let name = group(gid);
    assert!(error.contains(&format!("groups = [\"{name}\"] under [security]")), "{error}");
    let trusting = Owners::with([]).and_groups([gid]);
    assert_eq!(judged(&trusting), Ok(()));
    assert_eq!(judged(&trusting.and(1)), Ok(()), "also with one more user");
    // What a member puts there.
    chown(tree.path("inner/file"), Some(uid), None).unwrap();
    assert_eq!(judged(&trusting), Ok(()));
    assert!(judged(&Owners::with([])).is_err());
    // A stranger's file stays one, also if it has the group.
    chown(tree.path("inner/file"), Some(54_321), Some(gid)).unwrap();
    assert!(judged(&trusting).unwrap_err().contains("belongs to 54321"));
    // A group without a name.
    chown(tree.path("inner/file"), Some(0), Some(3_999_999_998)).unwrap();
    mode(&tree.path("inner/file"), 0o664);
    assert!(judged(&trusting).unwrap_err().contains("groups = [\"3999999998\"]"));
    assert_eq!(judged(&Owners::with([]).and_groups([gid, 3_999_999_998])), Ok(()));
}

#[test]
fn what_belongs_to_somebody_else_is_named_with_the_remedy() {
    // Only root can give a file away.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let tree = Tree::new();
    chown(tree.path("inner/file"), Some(54_321), None).unwrap();
    let said =
        "inner/file belongs to 54321, who could run anything with it; it must belong to root: chown root inner/file";
    assert_eq!(tree.judged("inner/file"), Err(said.to_owned()));
    assert_eq!(Owners::with([54_321]).judge(&tree.path("inner/file")), Ok(()));
    assert_eq!(Owners::with([]).and(54_321).judge(&tree.path("inner/file")), Ok(()));
    chown(tree.path("inner/file"), Some(0), None).unwrap();
    symlink("inner/file", tree.path("link")).unwrap();
    std::os::unix::fs::lchown(tree.path("link"), Some(54_321), None).unwrap();
    assert!(tree.judged("link").unwrap_err().starts_with("link belongs to 54321"));
    // Nobody is told to take a folder from its owner.
    chown(tree.path("inner"), Some(54_321), None).unwrap();
    let error = tree.judged("inner/file").unwrap_err();
    assert!(error.starts_with("inner belongs to 54321") && error.contains("owners = [\"54321\"]"), "{error}");
    assert!(!error.contains("chown"), "{error}");
    chown(tree.path("inner"), Some(0), None).unwrap();
}

#[test]
fn what_could_not_be_found_out_is_asked_again() {
    let groups = Mutex::default();
    let short = || Err(rustix::io::Errno::MFILE.into());
    assert!(known(&groups, 7, short).is_err(), "descriptors ran out");
    assert!(known(&groups, 7, || Ok(true)).unwrap(), "the answer of before is no answer");
    assert!(known(&groups, 7, short).unwrap(), "what is known is known");
}
