//! Where a repository is, as restic is told.

use std::collections::BTreeMap;
use std::path::PathBuf;

use allmende_agent::protocol::EngineCall;

use super::command::Command;
use super::version::Version;
use crate::model::{HostKey, JumpAddress, Location, Secret};

/// Where the agent is on hosts.
const AGENT: &str = "/usr/local/lib/allmende/allmende-agent";

/// A repository, as the controller reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A folder on a server with SFTP.
    Sftp {
        /// The account, the server and its port.
        at: JumpAddress,
        /// The key that it must show.
        host_key: HostKey,
        /// The folder there, absolute.
        folder: String,
    },
    /// A folder in a bucket of a store that speaks S3: its address with both, and the region where the store asks for one.
    S3 {
        /// `https://s3.example.org/bucket/folder`.
        url: String,
        /// The public half of the access key.
        access_key: String,
        /// Where the store asks for one.
        region: Option<String>,
    },
    /// A folder of a server of restic's own kind.
    Rest {
        /// `https://backup.example.org:8000/folder`.
        url: String,
        /// The account; none where it asks for no password.
        user: Option<String>,
    },
}

/// The password or key with which a place is reached; none for a folder.
pub type Credential = Option<Secret>;

impl Place {
    /// A repository's folder at a target's location.
    pub fn at(location: &Location, folder: &str) -> Self {
        let below = |url: &str| format!("{}/{folder}", url.trim_end_matches('/'));
        match location {
            Location::Disk { folder: base, .. } => Self::Folder(base.join(folder)),
            Location::Sftp {
                at,
                host_key,
                folder: base,
            } => Self::Sftp {
                at: at.clone(),
                host_key: host_key.clone(),
                folder: below(base),
            },
            Location::S3 {
                url,
                access_key,
                region,
            } => Self::S3 {
                url: below(url),
                access_key: access_key.clone(),
                region: region.clone(),
            },
            Location::Rest { url, user } => Self::Rest {
                url: below(url),
                user: user.clone(),
            },
        }
    }
}

/// A call on a host, which reaches its repository through the connection on which it was asked: by the bridge of this name.
pub fn on_host(version: Version, bridge: &str, command: &Command<'_>, password: &Secret) -> EngineCall {
    let mut argv: Vec<String> = [
        "restic",
        "-r",
        "rclone:repository",
        "-o",
        &format!("rclone.program={AGENT}"),
        "-o",
        &format!("rclone.args=connect {bridge}"),
    ]
    .map(str::to_owned)
    .into();
    argv.extend(command.arguments(version));
    EngineCall {
        argv,
        env: progress(),
        password: password.reveal().to_owned(),
        bridge: bridge.to_owned(),
    }
}

/// Lets restic tell how far it is once a second, and not sixty times.
pub(super) fn progress() -> BTreeMap<String, String> {
    BTreeMap::from([("RESTIC_PROGRESS_FPS".to_owned(), "1".to_owned())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_knows_its_repository_only_as_the_end_of_a_bridge() {
        let password = Secret::new("hunter2!".to_owned());
        let call = on_host(
            Version::OLDEST,
            "part-1",
            &Command::Dump {
                snapshot: "ab12",
                path: "/dump-db",
            },
            &password,
        );
        assert_eq!(
            call.argv,
            [
                "restic",
                "-r",
                "rclone:repository",
                "-o",
                "rclone.program=/usr/local/lib/allmende/allmende-agent",
                "-o",
                "rclone.args=connect part-1",
                "dump",
                "ab12",
                "/dump-db",
            ]
        );
        assert!(!format!("{call:?}").contains("hunter2!"));
    }

    #[test]
    fn a_repository_lies_below_its_target() {
        let rest = Location::Rest {
            url: "https://backup.example.org/all/".to_owned(),
            user: None,
        };
        assert_eq!(
            Place::at(&rest, "kita/cloud-1"),
            Place::Rest {
                url: "https://backup.example.org/all/kita/cloud-1".to_owned(),
                user: None
            }
        );
    }
}
