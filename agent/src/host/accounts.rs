//! Users and groups, as `/etc/passwd` and `/etc/group` have them.

use std::collections::HashMap;
use std::fs;

use crate::error::{Attempt, Error};
use crate::layout::Layout;
use crate::protocol::Owners;

/// A Unix user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: String,
    pub(crate) shell: String,
}

/// A Unix group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) gid: u32,
    pub(crate) members: Vec<String>,
}

/// All users and groups of the host.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    users: HashMap<String, Account>,
    groups: HashMap<String, Group>,
    user_names: HashMap<u32, String>,
    group_names: HashMap<u32, String>,
}

impl Accounts {
    pub(crate) fn read(layout: &Layout) -> Result<Accounts, Error> {
        let read = |path: &str| {
            let path = layout.at(path);
            fs::read(&path)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .attempt("reading", &path)
        };
        Ok(Accounts::parse(&read("/etc/passwd")?, &read("/etc/group")?))
    }

    fn parse(passwd: &str, group: &str) -> Accounts {
        let mut accounts = Accounts::default();
        for account in passwd.lines().filter_map(user) {
            accounts
                .user_names
                .entry(account.uid)
                .or_insert_with(|| account.name.clone());
            accounts.users.entry(account.name.clone()).or_insert(account);
        }
        for group in group.lines().filter_map(group_of) {
            accounts
                .group_names
                .entry(group.gid)
                .or_insert_with(|| group.name.clone());
            accounts.groups.entry(group.name.clone()).or_insert(group);
        }
        accounts
    }

    pub(crate) fn user(&self, name: &str) -> Option<&Account> {
        self.users.get(name)
    }

    pub(crate) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(name)
    }

    /// The names of all users and groups, by their numbers.
    pub(crate) fn owners(&self) -> Owners {
        let names =
            |all: &HashMap<u32, String>| all.iter().map(|(&number, name)| (number, name.clone())).collect();
        Owners {
            users: names(&self.user_names),
            groups: names(&self.group_names),
        }
    }

    /// The name of the user with this id, or the id; `wanted` if it has that id too.
    pub(crate) fn user_name(&self, uid: u32, wanted: &str) -> String {
        match self.users.get(wanted) {
            Some(account) if account.uid == uid => wanted.to_owned(),
            _ => self
                .user_names
                .get(&uid)
                .cloned()
                .unwrap_or_else(|| uid.to_string()),
        }
    }

    /// The name of the group with this id, or the id; `wanted` if it has that id too.
    pub(crate) fn group_name(&self, gid: u32, wanted: &str) -> String {
        match self.groups.get(wanted) {
            Some(group) if group.gid == gid => wanted.to_owned(),
            _ => self
                .group_names
                .get(&gid)
                .cloned()
                .unwrap_or_else(|| gid.to_string()),
        }
    }
}

fn user(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let (name, _password, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let (_comment, home, shell) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Account {
        name: name.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: home.to_owned(),
        shell: shell.to_owned(),
    })
}

fn group_of(line: &str) -> Option<Group> {
    let mut fields = line.split(':');
    let (name, _password, gid, members) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    Some(Group {
        name: name.to_owned(),
        gid: gid.parse().ok()?,
        members: members
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_that_are_no_accounts_are_passed_over() {
        let accounts = Accounts::parse(
            "root:x:0:0:root:/root:/bin/bash\n\n# x\n+::::::\nbroken:x:zero:0::/:\nwww:x:33:33::/var/www:/usr/sbin/nologin\n",
            "root:x:0:\nssl:x:101:www,postgres\nalias:x:0:\nshort:x\n",
        );
        assert_eq!(
            accounts.user("www").map(|user| user.home.as_str()),
            Some("/var/www")
        );
        assert!(accounts.user("broken").is_none() && accounts.group("short").is_none());
        assert_eq!(accounts.group("ssl").map(|group| group.members.len()), Some(2));
        assert_eq!(accounts.group_name(0, "alias"), "alias");
        assert_eq!(accounts.group_name(0, "www"), "root");
        assert_eq!(accounts.user_name(7, "www"), "7");
    }

    proptest! {
        #[test]
        fn nothing_panics(passwd in "\\PC*", group in "[a-z:0-9,\n]*") {
            let _ = Accounts::parse(&passwd, &group);
        }
    }
}
