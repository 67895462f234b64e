//! What shall be gone once its service is removed.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Stat, fstat, unlinkat};
use serde::{Deserialize, Serialize};

use super::firewall::FirewallSpec;
use super::line::LineSpec;
use crate::error::{Attempt, Error};
use crate::host::{Asked, Host, identifier, mariadb, psql};
use crate::names;
use crate::place::{Place, kind, kind_shown};
use crate::process::Program;
use crate::resources::{Difference, Manage};

/// One thing of a service that shall be gone. Only the controller writes these: it turns the resources of a service that is
/// removed around.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "thing", rename_all = "snake_case", deny_unknown_fields)]
pub enum RemovalSpec {
    /// A directory with all that is in it.
    Tree {
        /// Absolute path.
        path: String,
        /// Absolute paths in it that stay, with the directories on the way to them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        keep: Vec<String>,
    },
    /// A line in a file that is somebody else's.
    Line {
        /// Absolute path of the file.
        path: String,
        /// The line, without its end.
        line: String,
    },
    /// Open ports.
    Firewall {
        /// Name of the drop-in.
        name: String,
    },
    /// A Unix user, with its own group; its files stay.
    User {
        /// Name.
        name: String,
    },
    /// A Unix group.
    Group {
        /// Name.
        name: String,
    },
    /// A PostgreSQL database, with its content.
    PostgresDatabase {
        /// Name.
        name: String,
    },
    /// A PostgreSQL role.
    PostgresRole {
        /// Name.
        name: String,
    },
    /// A MariaDB database, with its content.
    MariadbDatabase {
        /// Name.
        name: String,
    },
    /// A MariaDB user.
    MariadbUser {
        /// Name.
        name: String,
    },
}

impl Manage for RemovalSpec {
    fn check(&self) -> names::Verdict {
        match self {
            Self::Tree { path, keep } => keep.iter().chain([path]).try_for_each(|path| names::path(path)),
            Self::Line { path, .. } => names::path(path),
            Self::Firewall { name } => names::file_name(name),
            Self::User { name } | Self::Group { name } if name == "root" => {
                Err("root is not removed".to_owned())
            }
            Self::User { name } | Self::Group { name } => names::account(name),
            Self::PostgresDatabase { name } | Self::PostgresRole { name } => names::postgres(name),
            Self::MariadbDatabase { name } | Self::MariadbUser { name } => names::mariadb(name),
        }
    }

    fn subject(&self) -> String {
        match self {
            Self::Tree { path, keep } => {
                let inside: Vec<&str> = keep
                    .iter()
                    .filter(|kept| Path::new(kept).starts_with(path))
                    .map(String::as_str)
                    .collect();
                match inside.as_slice() {
                    [] => path.clone(),
                    inside => format!("{path} but for {}", inside.join(", ")),
                }
            }
            Self::Line { path, line } => format!("line {line:?} in {path}"),
            Self::Firewall { name } => format!("ports of {name}"),
            Self::User { name } => format!("user {name}"),
            Self::Group { name } => format!("group {name}"),
            Self::PostgresDatabase { name } => format!("PostgreSQL database {name}"),
            Self::PostgresRole { name } => format!("PostgreSQL role {name}"),
            Self::MariadbDatabase { name } => format!("MariaDB database {name}"),
            Self::MariadbUser { name } => format!("MariaDB user {name}"),
        }
    }

    fn compare(&self, host: &mut Host) -> Result<Option<Difference>, Error> {
        let found = match self {
            Self::Tree { path, keep } => match host.place(path)? {
                Some(place) => tree(&place, keep)?,
                None => None,
            },
            Self::Line { path, line } => {
                let place = host.place(path)?;
                line_spec(path, line).holds(place.as_ref())?.then_some("there")
            }
            Self::Firewall { name } => match host.place(&FirewallSpec::drop_in(name))? {
                Some(place) => place.stat()?.map(|_| "open"),
                None => None,
            },
            Self::User { name } => host.accounts()?.user(name).map(|_| "exists"),
            Self::Group { name } => host.accounts()?.group(name).map(|_| "exists"),
            Self::PostgresDatabase { name } => match host.cluster()? {
                Asked::Absent => None,
                Asked::Silent => Some(super::postgres_role::SILENT),
                Asked::Known(cluster) => cluster.databases.get(name).map(|_| "exists"),
            },
            Self::PostgresRole { name } => match host.cluster()? {
                Asked::Absent => None,
                Asked::Silent => Some(super::postgres_role::SILENT),
                Asked::Known(cluster) => cluster.roles.get(name).map(|_| "exists"),
            },
            Self::MariadbDatabase { name } => match host.mariadb()? {
                Asked::Absent => None,
                Asked::Silent => Some(super::mariadb_user::SILENT),
                Asked::Known(known) => known.databases.get(name).map(|_| "exists"),
            },
            Self::MariadbUser { name } => match host.mariadb()? {
                Asked::Absent => None,
                Asked::Silent => Some(super::mariadb_user::SILENT),
                Asked::Known(known) => known.users.get(name).map(|_| "exists"),
            },
        };
        Ok(found.map(|found| Difference::remove().is("is", found)))
    }

    fn change(&self, host: &mut Host, _: &Difference) -> Result<(), Error> {
        match self {
            Self::Tree { path, keep } => {
                let Some(place) = host.place(path)? else {
                    return Ok(());
                };
                let Some(found) = place.stat()? else {
                    return Ok(());
                };
                remove(&place, &found, keep)?;
                host.path_changed(path);
                place.sync_directory()
            }
            Self::Line { path, line } => line_spec(path, line).take_out(host),
            Self::Firewall { name } => FirewallSpec::close(host, name),
            Self::User { name } => {
                host.succeed(&Program::new(["userdel", "--", name]))?;
                host.accounts_changed();
                Ok(())
            }
            Self::Group { name } => {
                host.succeed(&Program::new(["groupdel", "--", name]))?;
                host.accounts_changed();
                Ok(())
            }
            Self::PostgresDatabase { name } => in_postgres(
                host,
                &format!("DROP DATABASE {} WITH (FORCE);\n", identifier(name)),
            ),
            Self::PostgresRole { name } => in_postgres(host, &format!("DROP ROLE {};\n", identifier(name))),
            Self::MariadbDatabase { name } => in_mariadb(host, &format!("DROP DATABASE `{name}`;\n")),
            Self::MariadbUser { name } => in_mariadb(host, &format!("DROP USER '{name}'@'localhost';\n")),
        }
    }
}

fn line_spec(path: &str, line: &str) -> LineSpec {
    LineSpec {
        path: path.to_owned(),
        line: line.to_owned(),
        matches: None,
    }
}

fn in_postgres(host: &mut Host, sql: &str) -> Result<(), Error> {
    let account = host.account("postgres")?;
    let done = host.succeed(&psql(&account, sql));
    host.postgres_changed();
    done?;
    Ok(())
}

fn in_mariadb(host: &mut Host, sql: &str) -> Result<(), Error> {
    let done = host.succeed(&mariadb(sql));
    host.mariadb_changed();
    done?;
    Ok(())
}

/// What is there beside what stays; nothing when there is no more than that.
fn tree(place: &Place, keep: &[String]) -> Result<Option<&'static str>, Error> {
    Ok(match place.stat()? {
        Some(found) if holds_more(place, &found, keep)? => Some(kind_shown(&found)),
        _ => None,
    })
}

fn stays(path: &Path, keep: &[String]) -> bool {
    keep.iter().any(|kept| path.starts_with(kept))
}

fn leads_to_what_stays(path: &Path, keep: &[String]) -> bool {
    keep.iter().any(|kept| Path::new(kept).starts_with(path))
}

fn holds_more(place: &Place, found: &Stat, keep: &[String]) -> Result<bool, Error> {
    if stays(&place.path, keep) {
        return Ok(false);
    }
    if kind(found) != FileType::Directory || !leads_to_what_stays(&place.path, keep) {
        return Ok(true);
    }
    for inner in entries(place)? {
        if let Some(found) = inner.stat()?
            && holds_more(&inner, &found, keep)?
        {
            return Ok(true);
        }
    }
    // A way to something that stays, and is not there, leads nowhere.
    Ok(entries(place)?.is_empty())
}

/// Removes a file, link or directory with its content, but neither what stays nor the way to it.
fn remove(place: &Place, found: &Stat, keep: &[String]) -> Result<(), Error> {
    if stays(&place.path, keep) {
        return Ok(());
    }
    if kind(found) != FileType::Directory {
        return unlinkat(&place.dir, &place.name, AtFlags::empty()).attempt("removing", &place.path);
    }
    let around = fstat(&place.dir).attempt("looking at the directory of", &place.path)?;
    if around.st_dev != found.st_dev {
        return Err(Error::obstacle(
            format!(
                "{} is a file system of its own, mounted there",
                place.path.display()
            ),
            "unmount it, and remove its line from /etc/fstab, if it shall go",
        ));
    }
    for inner in entries(place)? {
        if let Some(found) = inner.stat()? {
            remove(&inner, &found, keep)?;
        }
    }
    if leads_to_what_stays(&place.path, keep) && !entries(place)?.is_empty() {
        return Ok(());
    }
    unlinkat(&place.dir, &place.name, AtFlags::REMOVEDIR).attempt("removing", &place.path)
}

/// What is in a directory, each with its place.
fn entries(place: &Place) -> Result<Vec<Place>, Error> {
    let directory: OwnedFd = place.open_directory()?;
    let mut inside = Vec::new();
    for entry in Dir::read_from(&directory).attempt("reading", &place.path)? {
        let entry = entry.attempt("reading", &place.path)?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            inside.push(Place {
                dir: directory.try_clone().attempt("opening", &place.path)?,
                name: name.to_owned(),
                path: place.path.join(name),
            });
        }
    }
    Ok(inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::difference::tests::Bench;

    #[test]
    fn a_tree_goes_but_for_what_stays() {
        let bench = Bench::new();
        for path in [
            "/srv/a/data/x",
            "/srv/a/data/deep/y",
            "/srv/a/cache/z",
            "/srv/a/file",
        ] {
            bench.write(path, "x");
        }
        bench.link("/srv/a/way", "/srv/a/data");
        bench.settles(&RemovalSpec::Tree {
            path: "/srv/a".to_owned(),
            keep: vec!["/srv/a/data".to_owned()],
        });
        assert!(bench.at("/srv/a/data/deep/y").exists());
        for gone in ["/srv/a/cache", "/srv/a/file", "/srv/a/way"] {
            assert!(!bench.at(gone).exists(), "{gone}");
        }
        bench.settles(&RemovalSpec::Tree {
            path: "/srv/a".to_owned(),
            keep: Vec::new(),
        });
        assert!(!bench.at("/srv/a").exists() && bench.at("/srv").exists());
    }

    #[test]
    fn a_tree_inside_of_what_stays_stays() {
        let bench = Bench::new();
        bench.write("/srv/a/data/pages/x", "x");
        bench.settles(&RemovalSpec::Tree {
            path: "/srv/a/data/pages".to_owned(),
            keep: vec!["/srv/a/data".to_owned()],
        });
        assert!(bench.at("/srv/a/data/pages/x").exists());
    }

    #[test]
    fn a_link_goes_and_not_what_it_points_to() {
        let bench = Bench::new();
        bench.write("/home/photo", "x");
        bench.folder("/srv/a");
        bench.link("/srv/a/home", "/home");
        bench.settles(&RemovalSpec::Tree {
            path: "/srv/a".to_owned(),
            keep: Vec::new(),
        });
        assert!(bench.at("/home/photo").exists());
    }

    #[test]
    fn one_line_goes_and_the_others_stay() {
        let bench = Bench::new();
        bench.write(
            "/etc/hosts",
            "127.0.0.1 localhost\n127.0.0.1 cloud.test\n::1 localhost\n",
        );
        bench.settles(&RemovalSpec::Line {
            path: "/etc/hosts".to_owned(),
            line: "127.0.0.1 cloud.test".to_owned(),
        });
        let left = std::fs::read_to_string(bench.at("/etc/hosts")).expect("read");
        assert_eq!(left, "127.0.0.1 localhost\n::1 localhost\n");
    }

    #[test]
    fn root_stays() {
        let name = || "root".to_owned();
        assert!(RemovalSpec::User { name: name() }.check().is_err());
        assert!(RemovalSpec::Group { name: name() }.check().is_err());
    }
}
