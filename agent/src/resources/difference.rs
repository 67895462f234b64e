//! How a resource differs from what is desired.

use crate::protocol::{Action, Change};

/// The longest value that a change quotes, in characters.
const LONGEST: usize = 300;

/// What has to be done, and every property that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) action: Action,
    pub(crate) changes: Vec<Change>,
}

impl Difference {
    fn new(action: Action) -> Difference {
        Difference {
            action,
            changes: Vec::new(),
        }
    }

    pub(crate) fn create() -> Difference {
        Difference::new(Action::Create)
    }

    pub(crate) fn change() -> Difference {
        Difference::new(Action::Change)
    }

    pub(crate) fn remove() -> Difference {
        Difference::new(Action::Remove)
    }

    pub(crate) fn run() -> Difference {
        Difference::new(Action::Run)
    }

    pub(crate) fn with(mut self, change: Change) -> Difference {
        self.changes.push(change);
        self
    }

    /// A property that has one value, or none, and gets another.
    pub(crate) fn becomes(self, property: &str, from: Option<&str>, to: &str) -> Difference {
        self.with(Change {
            property: property.to_owned(),
            from: from.map(shortened),
            to: Some(shortened(to)),
            diff: None,
        })
    }

    /// A property that is there and shall not be.
    pub(crate) fn is(self, property: &str, from: &str) -> Difference {
        self.with(Change {
            property: property.to_owned(),
            from: Some(shortened(from)),
            ..Change::default()
        })
    }

    /// The difference, if there is one.
    pub(crate) fn if_any(self) -> Option<Difference> {
        (!self.changes.is_empty()).then_some(self)
    }

    /// Whether a property differs.
    pub(crate) fn is_about(&self, property: &str) -> bool {
        self.changes.iter().any(|change| change.property == property)
    }

    /// In words, for errors: "mode is 0600 and not 0644".
    pub(crate) fn described(&self) -> String {
        let one = |change: &Change| {
            let property = &change.property;
            match (&change.from, &change.to) {
                (Some(from), Some(to)) => format!("{property} is {from} and not {to}"),
                (Some(from), None) => format!("{property}: {from}"),
                (None, Some(to)) => format!("{property} is not {to}"),
                (None, None) => format!("{property} differs"),
            }
        };
        match self.changes.as_slice() {
            [] => "it still has to be done".to_owned(),
            changes => changes.iter().map(one).collect::<Vec<_>>().join(", "),
        }
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::host::{Host, Intent};
    use crate::layout::Layout;
    use crate::mask::Masker;
    use crate::resources::Manage;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::path::PathBuf;

    /// A host in a temporary directory, where whoever runs the tests is called root.
    pub(crate) struct Bench {
        root: tempfile::TempDir,
        pub(crate) secrets: Vec<String>,
    }

    impl Bench {
        pub(crate) fn new() -> Bench {
            let bench = Bench {
                root: tempfile::tempdir().expect("temporary directory"),
                secrets: Vec::new(),
            };
            let (uid, gid) = (
                rustix::process::geteuid().as_raw(),
                rustix::process::getegid().as_raw(),
            );
            bench.write(
                "/etc/passwd",
                &format!("root:x:{uid}:{gid}:root:/root:/bin/bash\n"),
            );
            bench.write("/etc/group", &format!("root:x:{gid}:\n"));
            bench
        }

        pub(crate) fn at(&self, path: &str) -> PathBuf {
            Layout::below(self.root.path()).at(path)
        }

        pub(crate) fn folder(&self, path: &str) {
            fs::create_dir_all(self.at(path)).expect("makes");
        }

        pub(crate) fn write(&self, path: &str, content: &str) {
            fs::create_dir_all(self.at(path).parent().expect("has one")).expect("makes");
            fs::write(self.at(path), content).expect("writes");
        }

        pub(crate) fn link(&self, path: &str, target: &str) {
            fs::create_dir_all(self.at(path).parent().expect("has one")).expect("makes");
            symlink(target, self.at(path)).expect("links");
        }

        pub(crate) fn read(&self, path: &str) -> String {
            fs::read_to_string(self.at(path)).expect("reads")
        }

        pub(crate) fn mode(&self, path: &str) -> u32 {
            fs::metadata(self.at(path)).expect("is there").mode() & 0o7777
        }

        pub(crate) fn inode(&self, path: &str) -> u64 {
            fs::metadata(self.at(path)).expect("is there").ino()
        }

        pub(crate) fn host(&self, intent: Intent) -> Host {
            let mut host = Host::new(Layout::below(self.root.path()), intent, Box::new(|_| ()));
            host.masker = Masker::new(&self.secrets);
            host
        }

        pub(crate) fn plans(&self, resource: &dyn Manage) -> Option<Difference> {
            resource.compare(&mut self.host(Intent::Plan)).expect("compares")
        }

        /// Applies and proves that nothing is left to do; gives what differed.
        pub(crate) fn settles(&self, resource: &dyn Manage) -> Option<Difference> {
            resource.check().expect("makes sense");
            let planned = self.plans(resource);
            let mut host = self.host(Intent::Apply);
            let difference = resource.compare(&mut host).expect("compares");
            assert_eq!(planned, difference, "a plan sees the same");
            if let Some(difference) = &difference {
                resource.change(&mut host, difference).expect("changes");
            }
            assert_eq!(resource.compare(&mut host).expect("compares again"), None);
            assert_eq!(self.plans(resource), None);
            difference
        }

        /// Applies and gives the error.
        pub(crate) fn fails(&self, resource: &dyn Manage) -> String {
            let mut host = self.host(Intent::Apply);
            let outcome = resource.compare(&mut host).and_then(|difference| {
                let difference = difference.expect("differs");
                resource.change(&mut host, &difference)
            });
            outcome.expect_err("fails").to_string()
        }
    }

    #[test]
    fn long_values_are_cut() {
        let difference = Difference::change().becomes("x", None, &"ä".repeat(5000));
        assert_eq!(
            difference
                .changes
                .first()
                .and_then(|change| change.to.as_ref())
                .map(|to| to.chars().count()),
            Some(301)
        );
    }
}
