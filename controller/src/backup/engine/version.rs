//! What restic can do, by version.

use std::fmt;
use std::str::FromStr;

/// A version of restic: `0.18.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32, u32, u32);

/// Something that not every version can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// Tells the name of a new snapshot in full, not only its first eight digits.
    FullSnapshotId,
    /// Tells in JSON how far a restore is.
    RestoreJson,
    /// Ends with 10 where there is no repository, with 11 where it is locked.
    RepositoryCodes,
    /// Ends with 12 where the password is wrong.
    PasswordCode,
    /// Tells in JSON what `check` found.
    CheckJson,
    /// Takes the account and the password of a REST server apart from its address.
    RestCredentials,
    /// Gives files to the users of the same names, whatever their numbers are.
    OwnershipByName,
}

impl Version {
    /// The oldest with which backups are made: the first that compresses.
    pub const OLDEST: Self = Self(0, 14, 0);

    /// Whether this version can do it.
    pub fn can(self, ability: Ability) -> bool {
        let since = match ability {
            Ability::FullSnapshotId => Self(0, 15, 0),
            Ability::RestoreJson => Self(0, 16, 0),
            Ability::RestCredentials => Self(0, 16, 1),
            Ability::RepositoryCodes => Self(0, 17, 0),
            Ability::PasswordCode => Self(0, 17, 1),
            Ability::CheckJson => Self(0, 18, 0),
            Ability::OwnershipByName => Self(0, 19, 0),
        };
        self >= since
    }

    /// Reads what `restic version` prints: `restic 0.14.0 compiled with go1.19.8 on linux/amd64`.
    pub fn printed(text: &str) -> Option<Self> {
        text.strip_prefix("restic ")?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    }
}

impl FromStr for Version {
    type Err = String;

    /// Also reads versions of Debian's packages and of builds in between: `0.14.0-1+b5`, `0.18.0-dev`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is no version of restic: write it like 0.18.0");
        let number = text.split(['-', '+', '~']).next().unwrap_or(text);
        let numbers: Vec<u32> = number
            .split('.')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map_err(|_| wrong())?;
        match numbers[..] {
            [major, minor] => Ok(Self(major, minor, 0)),
            [major, minor, patch] => Ok(Self(major, minor, patch)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        let debian_12 = "0.14.0-1+b5".parse::<Version>().unwrap();
        let debian_13 = Version::printed("restic 0.18.0 compiled with go1.24.4 on linux/amd64\n").unwrap();
        assert!(debian_12 < debian_13 && debian_12 >= Version::OLDEST);
        assert_eq!(debian_13.to_string(), "0.18.0");
        assert_eq!("0.9".parse::<Version>().unwrap(), Version(0, 9, 0));
        for wrong in ["", "restic", "1", "1.2.3.4", "0.x.0", "v0.18.0"] {
            assert!(wrong.parse::<Version>().is_err(), "{wrong}");
        }
        assert_eq!(Version::printed("bash: restic: command not found"), None);
    }

    #[test]
    fn abilities_come_with_versions() {
        let can = |version: &str, ability| version.parse::<Version>().unwrap().can(ability);
        assert!(!can("0.14.0", Ability::FullSnapshotId) && can("0.15.0", Ability::FullSnapshotId));
        assert!(!can("0.17.0", Ability::PasswordCode) && can("0.17.1", Ability::PasswordCode));
        assert!(!can("0.18.1", Ability::OwnershipByName) && can("0.19.0", Ability::OwnershipByName));
    }
}
