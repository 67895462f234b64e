//! Names of databases beside another one.

use sha2::{Digest, Sha256};

/// A database, the one that it is loaded into, and the one that keeps what was there. The same ones every time, so that
/// whoever undoes an interrupted restore finds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Beside {
    pub(super) live: String,
    pub(super) new: String,
    pub(super) old: String,
}

impl Beside {
    /// The names that belong to `database`. Database servers take 63 letters, so they are made of its hash.
    pub(super) fn of(database: &str) -> Beside {
        let hash: String = Sha256::digest(database.as_bytes())
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Beside {
            live: database.to_owned(),
            new: format!("allmende_new_{hash}"),
            old: format!("allmende_old_{hash}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_the_same_every_time_and_others_for_another_database() {
        let names = Beside::of("kita-sonne_cloud");
        assert_eq!(names, Beside::of("kita-sonne_cloud"));
        assert!(names.new != names.old && names.new != Beside::of("kita-sonne_wiki").new);
        assert!(names.new.len() <= 63);
    }
}
