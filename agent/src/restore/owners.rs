//! Owners by name: the same user has another number on another host.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

use crate::error::{Attempt, Error};
use crate::host::Accounts;
use crate::protocol::Owners;

/// Which numbers of the host that was backed up are other ones here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Renumbering {
    users: BTreeMap<u32, u32>,
    groups: BTreeMap<u32, u32>,
    /// Numbers whose names nobody has here.
    strangers: BTreeMap<u32, String>,
}

impl Renumbering {
    /// From the names that the backup recorded to the accounts of this host.
    pub(super) fn new(recorded: &Owners, accounts: &Accounts) -> Renumbering {
        let mut renumbering = Renumbering::default();
        for (&number, name) in &recorded.users {
            match accounts.user(name) {
                Some(account) if account.uid == number => {}
                Some(account) => drop(renumbering.users.insert(number, account.uid)),
                None => drop(renumbering.strangers.insert(number, name.clone())),
            }
        }
        for (&number, name) in &recorded.groups {
            if let Some(group) = accounts.group(name)
                && group.gid != number
            {
                renumbering.groups.insert(number, group.gid);
            }
        }
        renumbering
    }

    /// Gives what is at `path` and below it to the users of this host; returns the names of owners whom nobody has here.
    pub(super) fn apply(&self, path: &Path) -> Result<BTreeSet<String>, Error> {
        let mut unknown = BTreeSet::new();
        if *self != Renumbering::default() {
            self.one(path, &mut unknown)?;
        }
        Ok(unknown)
    }

    fn one(&self, path: &Path, unknown: &mut BTreeSet<String>) -> Result<(), Error> {
        let found = fs::symlink_metadata(path).attempt("looking at", path)?;
        let user = self.users.get(&found.uid()).copied();
        let group = self.groups.get(&found.gid()).copied();
        if let Some(name) = self.strangers.get(&found.uid()) {
            unknown.insert(name.clone());
        }
        if user.is_some() || group.is_some() {
            lchown(path, user, group).attempt("giving an owner to", path)?;
            // A change of owner clears set-user-id bits.
            if !found.is_symlink() && found.mode() & 0o6000 != 0 {
                let mode = fs::Permissions::from_mode(found.mode() & 0o7777);
                fs::set_permissions(path, mode).attempt("giving a mode to", path)?;
            }
        }
        if found.is_dir() {
            for entry in fs::read_dir(path).attempt("reading", path)? {
                self.one(&entry.attempt("reading", path)?.path(), unknown)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;
    use std::os::unix::fs::symlink;

    fn accounts() -> Accounts {
        let root = tempfile::tempdir().expect("temporary directory");
        fs::create_dir(root.path().join("etc")).expect("makes");
        fs::write(
            root.path().join("etc/passwd"),
            "wiki:x:997:997::/:/bin/false\nsame:x:5:5::/:/bin/false\n",
        )
        .expect("writes");
        fs::write(root.path().join("etc/group"), "wiki:x:996:\nsame:x:5:\n").expect("writes");
        Accounts::read(&Layout::below(root.path())).expect("reads")
    }

    fn owners(users: &[(u32, &str)], groups: &[(u32, &str)]) -> Owners {
        let map = |all: &[(u32, &str)]| {
            all.iter()
                .map(|&(number, name)| (number, name.to_owned()))
                .collect()
        };
        Owners {
            users: map(users),
            groups: map(groups),
        }
    }

    #[test]
    fn the_same_numbers_leave_nothing_to_do() {
        let same = owners(&[(997, "wiki"), (5, "same")], &[(996, "wiki")]);
        assert_eq!(Renumbering::new(&same, &accounts()), Renumbering::default());
    }

    /// Needs root, which the tests of a host's agent have.
    #[test]
    fn files_go_to_whoever_has_the_name_here() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let root = tempfile::tempdir().expect("temporary directory");
        let tool = root.path().join("folder/tool");
        fs::create_dir(root.path().join("folder")).expect("makes");
        fs::write(&tool, "").expect("writes");
        symlink("nowhere", root.path().join("folder/link")).expect("links");
        fs::write(root.path().join("folder/strange"), "").expect("writes");
        lchown(&tool, Some(990), Some(991)).expect("gives");
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o4755)).expect("gives");
        lchown(root.path().join("folder/link"), Some(990), Some(0)).expect("gives");
        lchown(root.path().join("folder/strange"), Some(123), Some(0)).expect("gives");
        let recorded = owners(&[(990, "wiki"), (123, "anna")], &[(991, "wiki")]);
        let unknown = Renumbering::new(&recorded, &accounts())
            .apply(root.path())
            .expect("gives");
        assert_eq!(unknown, BTreeSet::from(["anna".to_owned()]));
        let found = fs::symlink_metadata(&tool).expect("is there");
        assert_eq!(
            (found.uid(), found.gid(), found.mode() & 0o7777),
            (997, 996, 0o4755)
        );
        let link = fs::symlink_metadata(root.path().join("folder/link")).expect("is there");
        assert_eq!((link.uid(), link.gid()), (997, 0));
        let strange = fs::symlink_metadata(root.path().join("folder/strange")).expect("is there");
        assert_eq!(strange.uid(), 123);
    }
}
