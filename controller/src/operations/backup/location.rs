//! Where a target is, as a person says it.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::model::{HostKey, JumpAddress, Location, TargetKind};
use crate::operations::OperationError;
use crate::operations::address::check_url;

/// A folder on a server with SFTP: `backup@nas.example.org:2222/srv/backups`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SftpFolder {
    /// The account, the server and its port.
    pub at: JumpAddress,
    /// The folder there, absolute.
    pub folder: String,
}

impl FromStr for SftpFolder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || {
            format!(
                "{text:?} is no folder on a server: write it like backup@nas.example.org/srv/backups or backup@nas.example.org:2222/srv/backups"
            )
        };
        let (at, folder) = text
            .find('/')
            .and_then(|place| text.split_at_checked(place))
            .ok_or_else(refuse)?;
        let folder = folder.trim_end_matches('/');
        let plain = folder.len() > 1 && !folder.split('/').any(|part| part == "..");
        if !plain || folder.contains(|c: char| c.is_control()) {
            return Err(refuse());
        }
        Ok(Self {
            at: at.parse().map_err(|_| refuse())?,
            folder: folder.to_owned(),
        })
    }
}

/// Where a target is; which of these are needed depends on its kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
pub struct LocationSettings {
    /// A folder on this machine; hosts write to the first target of this kind, all others get copies
    #[arg(long, value_name = "FOLDER")]
    pub disk: Option<PathBuf>,
    /// A folder on a server with SFTP
    #[arg(long, value_name = "USER@HOST[:PORT]/FOLDER")]
    pub sftp: Option<SftpFolder>,
    /// A bucket of a store that speaks S3: https://s3.example.org/bucket/folder
    #[arg(long, value_name = "URL")]
    pub s3: Option<String>,
    /// A restic REST server: https://backup.example.org:8000/folder
    #[arg(long, value_name = "URL")]
    pub rest: Option<String>,
    /// Disk: it must be mounted at the folder or above it; an unmounted disk is then noticed at once
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    pub mounted: Option<bool>,
    /// SFTP: fingerprint of the server's key; without one you are asked
    #[arg(long, value_name = "SHA256:…")]
    pub fingerprint: Option<String>,
    /// S3: the access key; the secret that belongs to it is asked for
    #[arg(long, value_name = "KEY")]
    pub access_key: Option<String>,
    /// S3: the region, where the store asks for one
    #[arg(long)]
    pub region: Option<String>,
    /// REST: the account; its password is asked for
    #[arg(long)]
    pub user: Option<String>,
    /// Takes an address without TLS elsewhere than on this machine: everybody on the way can read the password
    #[arg(long)]
    #[serde(default)]
    pub plain: bool,
}

fn refused(text: impl Into<String>) -> OperationError {
    OperationError::Refused(text.into())
}

impl LocationSettings {
    /// What kind of target is meant, if that is said.
    pub fn kind(&self) -> Option<TargetKind> {
        match self {
            Self { disk: Some(_), .. } => Some(TargetKind::Disk),
            Self { sftp: Some(_), .. } => Some(TargetKind::Sftp),
            Self { s3: Some(_), .. } => Some(TargetKind::S3),
            Self { rest: Some(_), .. } => Some(TargetKind::Rest),
            _ => None,
        }
    }

    /// The location that is meant, where `old` is the one until now and `host_key` the key of a server that was just seen.
    ///
    /// # Errors
    /// What is missing, or does not belong to this kind of target.
    pub(super) fn location(
        &self,
        old: Option<&Location>,
        host_key: Option<HostKey>,
    ) -> Result<Location, OperationError> {
        let kind = match (self.kind(), old.map(Location::kind)) {
            (Some(kind), Some(before)) if kind != before => {
                return Err(refused(format!(
                    "it is a target of the kind {before}, which cannot become {kind}: add another target, and it gets copies of everything"
                )));
            }
            (Some(kind), _) | (None, Some(kind)) => kind,
            (None, None) => return Err(refused("say where it is: --disk, --sftp, --s3 or --rest")),
        };
        self.refuse_strange(kind)?;
        match old {
            None => self.fresh(host_key),
            Some(old) => self.changed(old.clone(), host_key),
        }
    }

    fn refuse_strange(&self, kind: TargetKind) -> Result<(), OperationError> {
        let options = [
            ("--mounted", self.mounted.is_some(), TargetKind::Disk),
            ("--fingerprint", self.fingerprint.is_some(), TargetKind::Sftp),
            ("--access-key", self.access_key.is_some(), TargetKind::S3),
            ("--region", self.region.is_some(), TargetKind::S3),
            ("--user", self.user.is_some(), TargetKind::Rest),
        ];
        match options.iter().find(|(_, given, of)| *given && *of != kind) {
            Some((option, _, of)) => Err(refused(format!(
                "{option} is for targets of the kind {of}, and this one is of the kind {kind}"
            ))),
            None => Ok(()),
        }
    }

    fn fresh(&self, host_key: Option<HostKey>) -> Result<Location, OperationError> {
        if let Some(folder) = &self.disk {
            return Ok(Location::Disk {
                folder: folder.clone(),
                mounted: self.mounted.unwrap_or(false),
            });
        }
        if let Some(SftpFolder { at, folder }) = &self.sftp {
            return Ok(Location::Sftp {
                at: at.clone(),
                host_key: host_key.unwrap_or_else(|| HostKey(String::new())),
                folder: folder.clone(),
            });
        }
        if let Some(url) = &self.s3 {
            return Ok(Location::S3 {
                url: self.bucket(url)?,
                access_key: self
                    .access_key
                    .clone()
                    .ok_or_else(|| refused("a target of the kind s3 needs --access-key"))?,
                region: self.region.clone(),
            });
        }
        Ok(Location::Rest {
            url: self.server(self.rest.as_deref().unwrap_or_default())?,
            user: self.user.clone(),
        })
    }

    fn changed(&self, mut location: Location, seen: Option<HostKey>) -> Result<Location, OperationError> {
        match &mut location {
            Location::Disk { folder, mounted } => {
                if let Some(new) = &self.disk {
                    folder.clone_from(new);
                }
                *mounted = self.mounted.unwrap_or(*mounted);
            }
            Location::Sftp { at, host_key, folder } => {
                if let Some(new) = &self.sftp {
                    at.clone_from(&new.at);
                    folder.clone_from(&new.folder);
                }
                if let Some(seen) = seen {
                    *host_key = seen;
                }
            }
            Location::S3 {
                url,
                access_key,
                region,
            } => {
                if let Some(new) = &self.s3 {
                    *url = self.bucket(new)?;
                }
                if let Some(new) = &self.access_key {
                    access_key.clone_from(new);
                }
                if self.region.is_some() {
                    region.clone_from(&self.region);
                }
            }
            Location::Rest { url, user } => {
                if let Some(new) = &self.rest {
                    *url = self.server(new)?;
                }
                if self.user.is_some() {
                    user.clone_from(&self.user);
                }
            }
        }
        Ok(location)
    }

    /// Which server's key must be looked at: that of a new server, or one that a person expects to have changed.
    pub(super) fn unseen_server(&self, old: Option<&Location>) -> Option<JumpAddress> {
        let before = match old {
            Some(Location::Sftp { at, .. }) => Some(at),
            _ => None,
        };
        let wanted = self.sftp.as_ref().map(|sftp| &sftp.at).or(before)?;
        (Some(wanted) != before || self.fingerprint.is_some()).then(|| wanted.clone())
    }

    fn server(&self, url: &str) -> Result<String, OperationError> {
        Ok(check_url(url, self.plain)?.trim_end_matches('/').to_owned())
    }

    fn bucket(&self, url: &str) -> Result<String, OperationError> {
        let url = self.server(url)?;
        let (_, rest) = url.split_once("://").unwrap_or_default();
        match rest.split_once('/') {
            Some((_, bucket)) if !bucket.is_empty() => Ok(url),
            _ => Err(refused(
                "the address has no bucket: write it like https://s3.example.org/bucket",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_on_a_server_is_read() {
        let folder: SftpFolder = "backup@nas.example.org:2222/srv/backups/"
            .parse()
            .expect("parses");
        assert_eq!((folder.at.port, folder.folder.as_str()), (2222, "/srv/backups"));
        let folder: SftpFolder = "b@[2001:db8::7]/a".parse().expect("parses");
        assert_eq!(folder.at.address, "2001:db8::7");
        for bad in [
            "",
            "nas",
            "b@nas",
            "b@nas/",
            "nas/srv",
            "b@nas:0/srv",
            "b@nas/srv/../etc",
            "b@nas/a\nb",
        ] {
            assert!(bad.parse::<SftpFolder>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_does_not_belong_to_a_kind_is_refused() {
        let disk = LocationSettings {
            disk: Some("/srv/backups".into()),
            ..LocationSettings::default()
        };
        let location = disk.location(None, None).expect("a location");
        assert!(LocationSettings::default().location(None, None).is_err());
        let strange = LocationSettings {
            region: Some("eu".to_owned()),
            ..disk
        };
        let error = strange.location(None, None).expect_err("refused").to_string();
        assert!(
            error.contains("--region is for targets of the kind s3"),
            "{error}"
        );
        let other = LocationSettings {
            rest: Some("https://backup.example.org".to_owned()),
            ..LocationSettings::default()
        };
        let error = other
            .location(Some(&location), None)
            .expect_err("refused")
            .to_string();
        assert!(error.contains("add another target"), "{error}");
    }

    #[test]
    fn a_bucket_has_a_key_and_an_address_without_a_password() {
        let s3 = |url: &str| {
            let settings = LocationSettings {
                s3: Some(url.to_owned()),
                access_key: Some("AKIA".to_owned()),
                ..LocationSettings::default()
            };
            settings.location(None, None)
        };
        assert!(s3("https://s3.example.org/bucket/folder").is_ok());
        assert!(s3("http://127.0.0.1:9000/bucket").is_ok());
        for bad in [
            "https://s3.example.org",
            "https://s3.example.org/",
            "http://s3.example.org/bucket",
            "https://a:b@s3.example.org/bucket",
            "bucket",
        ] {
            assert!(s3(bad).is_err(), "{bad}");
        }
        let without = LocationSettings {
            s3: Some("https://s3.example.org/bucket".to_owned()),
            ..LocationSettings::default()
        };
        assert!(without.location(None, None).is_err());
    }

    #[test]
    fn a_servers_key_is_looked_at_when_the_server_is_new() {
        let settings = |text: &str| LocationSettings {
            sftp: Some(text.parse().expect(text)),
            ..LocationSettings::default()
        };
        let first = settings("b@nas/srv");
        assert!(first.unseen_server(None).is_some());
        let known = first
            .location(None, Some(HostKey("ssh-ed25519 AAAA".to_owned())))
            .expect("a location");
        let moved = settings("b@nas/other");
        assert_eq!(moved.unseen_server(Some(&known)), None);
        let location = moved.location(Some(&known), None).expect("a location");
        assert_eq!(location.to_string(), "b@nas/other");
        assert!(matches!(location, Location::Sftp { host_key, .. } if host_key.0 == "ssh-ed25519 AAAA"));
        assert!(settings("b@nas2/srv").unseen_server(Some(&known)).is_some());
        let expected = LocationSettings {
            fingerprint: Some("SHA256:x".to_owned()),
            ..LocationSettings::default()
        };
        assert!(expected.unseen_server(Some(&known)).is_some());
    }
}
