//! A Unix user.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::host::{Accounts, Host};
use crate::names;
use crate::process::Program;
use crate::resources::{Difference, Manage};

/// A Unix user without a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSpec {
    /// Name.
    pub name: String,
    /// Whether its id comes from the system range when it is made.
    #[serde(default = "super::yes")]
    pub system: bool,
    /// Id, if it has to be a certain one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Primary group; one of the same name, made with the user, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Further groups it is a member of; memberships beside these stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Home directory; when absent, `/nonexistent` for a new user, and an existing one keeps its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// Login shell.
    #[serde(default = "nologin")]
    pub shell: String,
    /// Whether the home directory is made with the user.
    #[serde(default)]
    pub create_home: bool,
}

fn nologin() -> String {
    "/usr/sbin/nologin".to_owned()
}

impl UserSpec {
    fn add(&self, accounts: &Accounts) -> Program {
        let mut program = Program::new(["useradd"]);
        if self.system {
            program = program.arg("--system");
        }
        if let Some(uid) = self.uid {
            program = program.args(["--uid", &uid.to_string()]);
        }
        program = match &self.group {
            Some(group) => program.args(["--gid", group]),
            None if accounts.group(&self.name).is_some() => program.args(["--gid", &self.name]),
            None => program.arg("--user-group"),
        };
        if !self.groups.is_empty() {
            program = program.args(["--groups", &self.groups.join(",")]);
        }
        program
            .args([
                "--home-dir",
                self.home.as_deref().unwrap_or("/nonexistent"),
                "--shell",
                &self.shell,
            ])
            .arg(if self.create_home {
                "--create-home"
            } else {
                "--no-create-home"
            })
            .args(["--", &self.name])
    }

    fn modify(&self, difference: &Difference) -> Program {
        let mut program = Program::new(["usermod"]);
        if let (true, Some(group)) = (difference.is_about("group"), &self.group) {
            program = program.args(["--gid", group]);
        }
        if difference.is_about("groups") {
            program = program.args(["--append", "--groups", &self.groups.join(",")]);
        }
        if let (true, Some(home)) = (difference.is_about("home"), &self.home) {
            program = program.args(["--home", home]);
        }
        if difference.is_about("shell") {
            program = program.args(["--shell", &self.shell]);
        }
        program.args(["--", &self.name])
    }
}

impl Manage for UserSpec {
    fn check(&self) -> names::Verdict {
        names::account(&self.name)?;
        if self.name == "root" {
            return Err("the user root is not changed".to_owned());
        }
        for group in self.group.iter().chain(&self.groups) {
            names::account(group)?;
        }
        for path in self.home.iter().chain([&self.shell]) {
            names::path(path)?;
            if path.contains([':', ',']) {
                return Err(format!("{path:?} cannot stand in /etc/passwd"));
            }
        }
        Ok(())
    }

    fn subject(&self) -> String {
        self.name.clone()
    }

    fn compare(&self, host: &mut Host) -> Result<Option<Difference>, Error> {
        let accounts = host.accounts()?;
        let Some(account) = accounts.user(&self.name) else {
            let mut difference = Difference::create().becomes("user", None, &self.name);
            if let Some(home) = &self.home {
                difference = difference.becomes("home", None, home);
            }
            if !self.groups.is_empty() {
                difference = difference.becomes("groups", None, &self.groups.join(", "));
            }
            return Ok(Some(difference));
        };
        if let Some(uid) = self.uid.filter(|uid| *uid != account.uid) {
            return Err(Error::obstacle(
                format!("the user {} has the id {} and not {uid}", self.name, account.uid),
                "its files would be lost to it with another id: change it by hand, or leave `uid` out",
            ));
        }
        let mut difference = Difference::change();
        if let Some(group) = &self.group {
            let is = accounts.group_name(account.gid, group);
            if is != *group {
                difference = difference.becomes("group", Some(&is), group);
            }
        }
        let missing: Vec<&str> = self
            .groups
            .iter()
            .filter(|name| {
                accounts
                    .group(name)
                    .is_none_or(|group| group.gid != account.gid && !group.members.contains(&self.name))
            })
            .map(String::as_str)
            .collect();
        if !missing.is_empty() {
            difference = difference.becomes("groups", None, &missing.join(", "));
        }
        if let Some(home) = self.home.as_ref().filter(|home| **home != account.home) {
            difference = difference.becomes("home", Some(&account.home), home);
        }
        if self.shell != account.shell {
            difference = difference.becomes("shell", Some(&account.shell), &self.shell);
        }
        Ok(difference.if_any())
    }

    fn change(&self, host: &mut Host, difference: &Difference) -> Result<(), Error> {
        let accounts = host.accounts()?;
        let program = if accounts.user(&self.name).is_some() {
            self.modify(difference)
        } else {
            self.add(accounts)
        };
        host.succeed(&program)?;
        host.accounts_changed();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Intent;
    use crate::resources::difference::tests::Bench;

    fn spec() -> UserSpec {
        UserSpec {
            name: "cloud".to_owned(),
            system: true,
            uid: None,
            group: None,
            groups: vec!["redis".to_owned()],
            home: Some("/srv/cloud".to_owned()),
            shell: "/usr/sbin/nologin".to_owned(),
            create_home: false,
        }
    }

    fn bench() -> Bench {
        let bench = Bench::new();
        bench.write(
            "/etc/passwd",
            "root:x:0:0::/root:/bin/bash\ncloud:x:990:990::/old:/bin/sh\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n",
        );
        bench.write("/etc/group", "cloud:x:990:\nredis:x:120:other\nwww-data:x:33:\n");
        bench
    }

    #[test]
    fn all_that_differs_is_named_and_changed_in_one_go() {
        let difference = bench().plans(&spec()).expect("differs");
        assert_eq!(
            difference.described(),
            "groups is not redis, home is /old and not /srv/cloud, shell is /bin/sh and not /usr/sbin/nologin"
        );
        assert_eq!(
            spec().modify(&difference).argv,
            [
                "usermod",
                "--append",
                "--groups",
                "redis",
                "--home",
                "/srv/cloud",
                "--shell",
                "/usr/sbin/nologin",
                "--",
                "cloud"
            ]
        );
    }

    #[test]
    fn a_package_s_user_keeps_its_home() {
        let spec = UserSpec {
            name: "www-data".to_owned(),
            home: None,
            groups: vec![],
            ..spec()
        };
        assert_eq!(bench().plans(&spec), None);
    }

    #[test]
    fn a_group_of_the_same_name_is_taken() {
        let bench = bench();
        let mut host = bench.host(Intent::Apply);
        let accounts = host.accounts().expect("reads");
        assert!(spec().add(accounts).argv.join(" ").contains("--gid cloud "));
        let other = UserSpec {
            name: "other".to_owned(),
            ..spec()
        };
        assert!(other.add(accounts).argv.join(" ").contains("--user-group "));
    }

    #[test]
    fn root_and_strange_homes_are_refused() {
        assert!(
            UserSpec {
                name: "root".to_owned(),
                ..spec()
            }
            .check()
            .is_err()
        );
        assert!(
            UserSpec {
                home: Some("/a:b".to_owned()),
                ..spec()
            }
            .check()
            .is_err()
        );
        assert!(
            UserSpec {
                groups: vec!["a,b".to_owned()],
                ..spec()
            }
            .check()
            .is_err()
        );
        assert!(
            bench()
                .fails(&UserSpec {
                    uid: Some(1),
                    ..spec()
                })
                .contains("has the id 990 and not 1")
        );
    }
}
