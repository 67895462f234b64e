//! What a request asks for: of its address nothing but known words and checked names gets any further.

use std::fmt;

/// What can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// That the repository be made.
    Repository,
    /// The repository's configuration.
    Config,
    /// The files of one kind.
    List(Kind),
    /// One file.
    File(Kind, Name),
}

impl Route {
    /// Reads the path and the query of an address; none for what does not exist.
    pub fn read(path: &str, query: Option<&str>) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        match (path, query) {
            ("", Some("create=true")) => return Some(Self::Repository),
            ("config", None) => return Some(Self::Config),
            (_, Some(_)) => return None,
            _ => {}
        }
        let (kind, name) = path.split_once('/')?;
        let kind = Kind::ALL.into_iter().find(|known| known.folder() == kind)?;
        if name.is_empty() {
            Some(Self::List(kind))
        } else {
            Name::read(name).map(|name| Self::File(kind, name))
        }
    }
}

/// The kinds of files that a repository consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Packs of contents.
    Data,
    /// Which content is in which pack.
    Index,
    /// What passwords open.
    Keys,
    /// Who works in the repository.
    Locks,
    /// What was backed up.
    Snapshots,
}

impl Kind {
    /// Each of them.
    pub const ALL: [Self; 5] = [Self::Data, Self::Index, Self::Keys, Self::Locks, Self::Snapshots];

    /// The folder of its files, and the word for it in addresses.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Index => "index",
            Self::Keys => "keys",
            Self::Locks => "locks",
            Self::Snapshots => "snapshots",
        }
    }

    /// The size in bytes that none of its files exceeds. A pack ends with the content that fills it, and the list of a folder with
    /// a million files is one content.
    pub fn limit(self) -> u64 {
        match self {
            Self::Data => 512 << 20,
            Self::Index => 256 << 20,
            Self::Keys | Self::Locks => 64 << 10,
            Self::Snapshots => 16 << 20,
        }
    }
}

/// The name of a file: the SHA-256 of its content in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// Takes 64 lower-case hex digits, and nothing else.
    pub fn read(text: &str) -> Option<Self> {
        let digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 64 && text.bytes().all(digit)).then(|| Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAME: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    #[test]
    fn what_the_protocol_knows_is_read() {
        let name = Name::read(NAME).unwrap();
        assert_eq!(Route::read("/", Some("create=true")), Some(Route::Repository));
        assert_eq!(Route::read("/config", None), Some(Route::Config));
        for kind in Kind::ALL {
            let folder = kind.folder();
            assert_eq!(Route::read(&format!("/{folder}/"), None), Some(Route::List(kind)));
            assert_eq!(
                Route::read(&format!("/{folder}/{NAME}"), None),
                Some(Route::File(kind, name.clone()))
            );
        }
    }

    #[test]
    fn whatever_leads_elsewhere_is_no_route() {
        for path in [
            "",
            "/",
            "config",
            "//config",
            "/data",
            "/data//",
            "/data/../config",
            "/data/../../other/config",
            "/data/%2e%2e/config",
            "/other/config",
            "/other/data/",
            "/locks/.",
            "/locks/..",
            "/tmp/",
            "/data/00/",
            "/data/0011",
            &format!("/data/{}", NAME.to_uppercase()),
            &format!("/data/{NAME}/"),
            &format!("/data/{NAME}0"),
            &format!("/data/00/{NAME}"),
            &format!("/data/{NAME}\0"),
        ] {
            assert_eq!(Route::read(path, None), None, "{path}");
        }
        assert_eq!(Route::read("/config", Some("x")), None);
        assert_eq!(Route::read("/", Some("create=true&x")), None);
    }

    proptest! {
        #[test]
        fn a_name_that_was_read_never_leaves_its_folder(text in "[./%a-f0-9\\PC]{0,80}") {
            if let Some(Route::File(_, name)) = Route::read(&format!("/data/{text}"), None) {
                prop_assert!(name.as_str().bytes().all(|byte| byte.is_ascii_hexdigit()));
            }
        }
    }
}
