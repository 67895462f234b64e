//! What restic is asked to do.

use super::HOST;
use super::version::{Ability, Version};
use crate::model::{BackupId, Part, ServiceRef};

/// What restic is asked to do with one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command<'a> {
    /// Makes the repository.
    Init,
    /// Backs up files. Their paths are added behind it.
    BackUpFiles {
        /// What the snapshot belongs to.
        tags: Tags<'a>,
        /// The snapshot of the same part before this one: what has not changed since then is not read again. It has to be there.
        parent: Option<&'a str>,
        /// What is left out: absolute, `*` stands for any name.
        exclude: &'a [String],
    },
    /// Backs up what it reads on standard input.
    BackUpInput {
        /// What the snapshot belongs to.
        tags: Tags<'a>,
        /// The path that it gets in the snapshot: see [`super::dump_path`].
        path: &'a str,
    },
    /// Names snapshots, as JSON.
    Snapshots,
    /// Forgets these snapshots, and no others. What is in them stays until [`Command::Prune`].
    Forget {
        /// Their ids, at least one; 64 digits each.
        ids: &'a [String],
    },
    /// Removes what no snapshot needs any more.
    Prune,
    /// Looks whether the repository is whole.
    Check {
        /// Which of its data are read for it.
        data: CheckedData,
    },
    /// Restores a snapshot, to a folder that is added behind it: `--target`, and the folder.
    Restore {
        /// Which.
        snapshot: &'a str,
        /// Only these paths, absolute; empty for all.
        paths: &'a [String],
    },
    /// Writes one file of a snapshot to standard output.
    Dump {
        /// Which snapshot.
        snapshot: &'a str,
        /// Which file, absolute.
        path: &'a str,
    },
    /// Names what is in a snapshot, as JSON, one line each.
    List {
        /// Which.
        snapshot: &'a str,
        /// Only what is in this folder, absolute.
        folder: Option<&'a str>,
        /// Also what is in its folders.
        recursive: bool,
    },
    /// Tells in what two snapshots differ, as JSON, one line each.
    Diff {
        /// The one.
        from: &'a str,
        /// The other.
        to: &'a str,
    },
    /// Finds files in snapshots, as JSON.
    Find {
        /// A name, or a pattern with `*`.
        pattern: &'a str,
        /// In which.
        snapshots: &'a [String],
    },
    /// Counts how much the repository holds, as JSON.
    Stats,
    /// Copies these snapshots here from another repository.
    Copy {
        /// Their ids there, at least one.
        ids: &'a [String],
    },
    /// Removes locks whose holder is provably gone: of a process of this machine that has ended, or not renewed for half an hour.
    Unlock,
    /// Adds the password with which the call comes as a second one.
    AddKey,
}

/// What a snapshot belongs to; the marks by which it is found again, by this program or without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tags<'a> {
    /// The backup.
    pub backup: BackupId,
    /// The service, with its organisation.
    pub service: &'a ServiceRef,
    /// The part of the backup.
    pub part: &'a Part,
}

/// Which data of a repository are read to see whether they are whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckedData {
    /// None: only whether everything that is needed is there.
    None,
    /// One of several parts of them, the first being 1.
    Part {
        /// Which.
        part: u32,
        /// Of how many; at most 256.
        parts: u32,
    },
    /// All.
    All,
}

impl Command<'_> {
    /// The arguments, as this version wants them.
    pub fn arguments(&self, version: Version) -> Vec<String> {
        let mut arguments = Arguments::default();
        match self {
            Self::Init => arguments.words(&["init", "--json", "--repository-version", "2"]),
            Self::BackUpFiles {
                tags,
                parent,
                exclude,
            } => {
                arguments.words(&["backup", "--json", "--host", HOST]);
                arguments.tags(tags);
                if let Some(parent) = parent {
                    arguments.words(&["--parent", parent]);
                }
                for path in *exclude {
                    arguments.words(&["--exclude", &literal(path, "*")]);
                }
            }
            Self::BackUpInput { tags, path } => {
                arguments.words(&["backup", "--json", "--host", HOST]);
                arguments.tags(tags);
                arguments.words(&["--stdin", "--stdin-filename", path]);
            }
            Self::Snapshots => arguments.words(&["snapshots", "--json"]),
            Self::Forget { ids } => {
                arguments.words(&["forget"]);
                arguments.several(ids);
            }
            Self::Prune => arguments.words(&["prune"]),
            Self::Check { data } => {
                arguments.words(&["check"]);
                if version.can(Ability::CheckJson) {
                    arguments.words(&["--json"]);
                }
                match data {
                    CheckedData::None => {}
                    CheckedData::Part { part, parts } => {
                        arguments.words(&[&format!("--read-data-subset={part}/{parts}")]);
                    }
                    CheckedData::All => arguments.words(&["--read-data"]),
                }
            }
            Self::Restore { snapshot, paths } => {
                arguments.words(&["restore", snapshot]);
                if version.can(Ability::RestoreJson) {
                    arguments.words(&["--json"]);
                }
                for path in *paths {
                    arguments.words(&["--include", &literal(path, "")]);
                }
                if version.can(Ability::OwnershipByName) {
                    arguments.words(&["--ownership-by-name"]);
                }
            }
            Self::Dump { snapshot, path } => arguments.words(&["dump", snapshot, path]),
            Self::List {
                snapshot,
                folder,
                recursive,
            } => {
                arguments.words(&["ls", "--json", snapshot]);
                if let Some(folder) = folder {
                    arguments.words(&[folder]);
                    if *recursive {
                        arguments.words(&["--recursive"]);
                    }
                }
            }
            Self::Diff { from, to } => arguments.words(&["diff", "--json", from, to]),
            Self::Find { pattern, snapshots } => {
                arguments.words(&["find", "--json"]);
                for snapshot in *snapshots {
                    arguments.words(&["--snapshot", snapshot]);
                }
                arguments.words(&["--", pattern]);
            }
            Self::Stats => arguments.words(&["stats", "--json", "--mode", "raw-data"]),
            Self::Copy { ids } => {
                arguments.words(&["copy"]);
                arguments.several(ids);
            }
            Self::Unlock => arguments.words(&["unlock"]),
            Self::AddKey => arguments.words(&["key", "add"]),
        }
        arguments.0
    }

    /// Whether several may do this at the same time, as far as restic goes.
    pub fn is_exclusive(&self) -> bool {
        matches!(self, Self::Forget { .. } | Self::Prune | Self::Check { .. })
    }
}

#[derive(Default)]
struct Arguments(Vec<String>);

impl Arguments {
    fn words(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(|word| (*word).to_owned()));
    }

    fn several(&mut self, words: &[String]) {
        self.0.extend(words.iter().cloned());
    }

    fn tags(&mut self, tags: &Tags<'_>) {
        for tag in [
            format!("backup:{}", tags.backup),
            format!("service:{}", tags.service),
            format!("part:{}", tags.part),
        ] {
            self.words(&["--tag", &tag]);
        }
    }
}

/// A path as a pattern that matches it alone, but for the characters in `patterns`.
fn literal(path: &str, patterns: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    for character in path.chars() {
        if "*?[]\\".contains(character) && !patterns.contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(command: &Command<'_>, version: &str) -> String {
        command.arguments(version.parse().unwrap()).join(" ")
    }

    const OLD: &str = "0.14.0";
    const NEW: &str = "0.19.1";

    #[test]
    fn files_are_backed_up_under_names_that_never_change() {
        let service = "kita/cloud".parse().unwrap();
        let command = Command::BackUpFiles {
            tags: Tags {
                backup: 7,
                service: &service,
                part: &Part::Files,
            },
            parent: Some("ab12"),
            exclude: &["/srv/cloud/*/cache[1]".to_owned()],
        };
        let expected = r"backup --json --host allmende --tag backup:7 --tag service:kita/cloud --tag part:files --parent ab12 --exclude /srv/cloud/*/cache\[1\]";
        assert_eq!(line(&command, OLD), expected);
        assert_eq!(line(&command, NEW), expected);
    }

    #[test]
    fn dumps_are_read_from_standard_input() {
        let service = "kita/cloud".parse().unwrap();
        let command = Command::BackUpInput {
            tags: Tags {
                backup: 7,
                service: &service,
                part: &Part::Dump("db".to_owned()),
            },
            path: &super::super::dump_path("db"),
        };
        assert_eq!(
            line(&command, OLD),
            "backup --json --host allmende --tag backup:7 --tag service:kita/cloud --tag part:dump:db --stdin --stdin-filename /dump-db"
        );
    }

    #[test]
    fn what_a_version_does_not_know_is_not_asked_of_it() {
        let check = Command::Check {
            data: CheckedData::Part { part: 3, parts: 30 },
        };
        assert_eq!(line(&check, OLD), "check --read-data-subset=3/30");
        assert_eq!(line(&check, NEW), "check --json --read-data-subset=3/30");
        let paths = ["/srv/what?*".to_owned()];
        let restore = Command::Restore {
            snapshot: "ab12",
            paths: &paths,
        };
        assert_eq!(line(&restore, OLD), r"restore ab12 --include /srv/what\?\*");
        assert_eq!(
            line(&restore, NEW),
            r"restore ab12 --json --include /srv/what\?\* --ownership-by-name"
        );
    }

    #[test]
    fn only_snapshots_that_are_named_are_forgotten() {
        let ids = ["aa".to_owned(), "bb".to_owned()];
        assert_eq!(line(&Command::Forget { ids: &ids }, NEW), "forget aa bb");
        assert_eq!(line(&Command::Copy { ids: &ids }, NEW), "copy aa bb");
    }
}
