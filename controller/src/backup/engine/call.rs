//! A call of restic on the controller: its arguments and its environment, with no secret in either.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::command::Command;
use super::place::{Credential, Place, progress};
use super::version::Version;
use crate::model::{JumpAddress, Secret};

/// A call of restic on the controller.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// The repository.
    pub place: &'a Place,
    /// How its place is reached.
    pub credential: &'a Credential,
    /// What opens the repository.
    pub password: &'a Secret,
    /// What is to be done.
    pub command: Command<'a>,
    /// For [`Command::Copy`]: where the snapshots are. For [`Command::Init`]: with which repository it shall cut files alike, so
    /// that what is copied is stored once. Its folder and its password.
    pub from: Option<(&'a Path, &'a Secret)>,
    /// For [`Command::AddKey`]: the password that opens the repository from then on, too.
    pub new_password: Option<&'a Secret>,
    /// For [`Command::Restore`]: where to.
    pub target: Option<&'a Path>,
}

/// Arguments and environment of a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Prepared {
    pub arguments: Vec<String>,
    pub environment: BTreeMap<String, String>,
}

impl<'a> Call<'a> {
    /// A call that needs nothing further.
    pub fn new(
        place: &'a Place,
        credential: &'a Credential,
        password: &'a Secret,
        command: Command<'a>,
    ) -> Self {
        Self {
            place,
            credential,
            password,
            command,
            from: None,
            new_password: None,
            target: None,
        }
    }

    /// The secrets that it carries, to be masked in what restic says.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &'a Secret> {
        let from = self.from.map(|(_, password)| password);
        [
            Some(self.password),
            self.credential.as_ref(),
            from,
            self.new_password,
        ]
        .into_iter()
        .flatten()
    }

    /// Arguments and environment. `hand` takes a secret text and gives the path of a file that holds it.
    pub(super) fn prepared(
        &self,
        version: Version,
        cache: &Path,
        hand: &mut dyn FnMut(&str) -> io::Result<String>,
    ) -> io::Result<Prepared> {
        let mut arguments = Vec::new();
        let mut environment = progress();
        let mut set = |name: &str, value: String| {
            environment.insert(name.to_owned(), value);
        };
        set("RESTIC_PASSWORD_FILE", hand(self.password.reveal())?);
        let credential = self.credential.as_ref().map(Secret::reveal).unwrap_or_default();
        match self.place {
            Place::Folder(_) => arguments.push("--no-cache".to_owned()),
            _ => set("RESTIC_CACHE_DIR", cache.display().to_string()),
        }
        match self.place {
            Place::Folder(folder) => set("RESTIC_REPOSITORY", folder.display().to_string()),
            Place::Sftp { at, host_key, folder } => {
                let JumpAddress { user, address, port } = at;
                let known = hand(&format!("allmende {}\n", host_key.0))?;
                let key = hand(&with_newline(credential))?;
                let ssh = format!(
                    "ssh -F none -p {port} -i {key} -o IdentitiesOnly=yes -o BatchMode=yes -o HostKeyAlias=allmende \
                     -o UserKnownHostsFile={known} -o GlobalKnownHostsFile=none -o StrictHostKeyChecking=yes \
                     -o ServerAliveInterval=30 -o ServerAliveCountMax=4 -l {user} {address} -s sftp"
                );
                arguments.extend(["-o".to_owned(), format!("sftp.command={ssh}")]);
                set("RESTIC_REPOSITORY", format!("sftp:{user}@allmende:{folder}"));
            }
            Place::S3 {
                url,
                access_key,
                region,
            } => {
                set("RESTIC_REPOSITORY", format!("s3:{url}"));
                let keys = format!(
                    "[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {credential}\n"
                );
                set("AWS_SHARED_CREDENTIALS_FILE", hand(&keys)?);
                if let Some(region) = region {
                    set("AWS_DEFAULT_REGION", region.clone());
                }
            }
            Place::Rest { url, user: None } => set("RESTIC_REPOSITORY", format!("rest:{url}/")),
            Place::Rest {
                url,
                user: Some(user),
            } => {
                let whole = with_account(url, user, credential).ok_or_else(|| {
                    io::Error::other(format!("{url} is no address to which an account can be added"))
                })?;
                set("RESTIC_REPOSITORY_FILE", hand(&format!("rest:{whole}/"))?);
            }
        }
        arguments.extend(self.command.arguments(version));
        if let Some((folder, password)) = self.from {
            if self.command == Command::Init {
                arguments.push("--copy-chunker-params".to_owned());
            }
            arguments.extend(["--from-repo".to_owned(), folder.display().to_string()]);
            set("RESTIC_FROM_PASSWORD_FILE", hand(password.reveal())?);
        }
        if let Some(password) = self.new_password {
            arguments.extend(["--new-password-file".to_owned(), hand(password.reveal())?]);
        }
        if let Some(folder) = self.target {
            arguments.extend(["--target".to_owned(), folder.display().to_string()]);
        }
        Ok(Prepared {
            arguments,
            environment,
        })
    }
}

/// The address with account and password in it, encoded as needed.
fn with_account(url: &str, user: &str, password: &str) -> Option<String> {
    let mut url = url::Url::parse(url).ok()?;
    url.set_username(user).ok()?;
    url.set_password(Some(password)).ok()?;
    Some(url.to_string().trim_end_matches('/').to_owned())
}

/// A key without a line's end is not taken for one.
fn with_newline(key: &str) -> String {
    format!("{}\n", key.trim_end())
}

/// Where restic keeps what it knows of repositories elsewhere.
pub(super) fn cache(data_dir: &Path) -> PathBuf {
    data_dir.join("cache/restic")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HostKey;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    /// The call's arguments and environment, line by line, and what was handed over.
    fn prepared(call: &Call<'_>) -> (String, Vec<String>) {
        let mut handed = Vec::new();
        let prepared = call
            .prepared(Version::OLDEST, Path::new("/cache"), &mut |text| {
                handed.push(text.to_owned());
                Ok(format!("/handed/{}", handed.len()))
            })
            .unwrap();
        let mut text = format!("restic {}\n", prepared.arguments.join(" "));
        for (name, value) in prepared.environment {
            text.push_str(&format!("{name}={value}\n"));
        }
        (text, handed)
    }

    #[test]
    fn a_copy_to_each_kind_of_place_has_no_secret_in_sight() {
        let ids = ["ab12".to_owned()];
        let password = secret("hunter2!");
        let credential = Some(secret("p@ss/w:rd"));
        let source = secret("hunter1!");
        let places = [
            Place::Folder("/backups/kita/cloud".into()),
            Place::Sftp {
                at: JumpAddress {
                    user: "backup".to_owned(),
                    address: "2001:db8::7".to_owned(),
                    port: 2222,
                },
                host_key: HostKey("ssh-ed25519 AAAA".to_owned()),
                folder: "/srv/kita/cloud".to_owned(),
            },
            Place::S3 {
                url: "https://s3.example.org/bucket/kita/cloud".to_owned(),
                access_key: "AKIA".to_owned(),
                region: Some("eu-central-1".to_owned()),
            },
            Place::Rest {
                url: "https://backup.example.org:8000/kita/cloud".to_owned(),
                user: Some("kita".to_owned()),
            },
        ];
        let mut all = String::new();
        for place in &places {
            let mut call = Call::new(place, &credential, &password, Command::Copy { ids: &ids });
            call.from = Some((Path::new("/disk/kita/cloud"), &source));
            let (text, handed) = prepared(&call);
            for hidden in ["hunter", "p@ss", "p%40ss"] {
                assert!(!text.contains(hidden), "{text}");
            }
            assert_eq!(handed.first().map(String::as_str), Some("hunter2!"));
            assert_eq!(handed.last().map(String::as_str), Some("hunter1!"));
            if let Place::Rest { .. } = place {
                assert_eq!(
                    handed[1],
                    "rest:https://kita:p%40ss%2Fw%3Ard@backup.example.org:8000/kita/cloud/"
                );
            }
            all.push_str(&text);
            all.push('\n');
        }
        insta::assert_snapshot!(all, @"
        restic --no-cache copy ab12 --from-repo /disk/kita/cloud
        RESTIC_FROM_PASSWORD_FILE=/handed/2
        RESTIC_PASSWORD_FILE=/handed/1
        RESTIC_PROGRESS_FPS=1
        RESTIC_REPOSITORY=/backups/kita/cloud

        restic -o sftp.command=ssh -F none -p 2222 -i /handed/3 -o IdentitiesOnly=yes -o BatchMode=yes -o HostKeyAlias=allmende -o UserKnownHostsFile=/handed/2 -o GlobalKnownHostsFile=none -o StrictHostKeyChecking=yes -o ServerAliveInterval=30 -o ServerAliveCountMax=4 -l backup 2001:db8::7 -s sftp copy ab12 --from-repo /disk/kita/cloud
        RESTIC_CACHE_DIR=/cache
        RESTIC_FROM_PASSWORD_FILE=/handed/4
        RESTIC_PASSWORD_FILE=/handed/1
        RESTIC_PROGRESS_FPS=1
        RESTIC_REPOSITORY=sftp:backup@allmende:/srv/kita/cloud

        restic copy ab12 --from-repo /disk/kita/cloud
        AWS_DEFAULT_REGION=eu-central-1
        AWS_SHARED_CREDENTIALS_FILE=/handed/2
        RESTIC_CACHE_DIR=/cache
        RESTIC_FROM_PASSWORD_FILE=/handed/3
        RESTIC_PASSWORD_FILE=/handed/1
        RESTIC_PROGRESS_FPS=1
        RESTIC_REPOSITORY=s3:https://s3.example.org/bucket/kita/cloud

        restic copy ab12 --from-repo /disk/kita/cloud
        RESTIC_CACHE_DIR=/cache
        RESTIC_FROM_PASSWORD_FILE=/handed/3
        RESTIC_PASSWORD_FILE=/handed/1
        RESTIC_PROGRESS_FPS=1
        RESTIC_REPOSITORY_FILE=/handed/2
        ");
    }

    #[test]
    fn a_second_repository_cuts_files_as_the_first_one_does() {
        let place = Place::Folder("/b".into());
        let (password, source) = (secret("x"), secret("y"));
        let mut call = Call::new(&place, &None, &password, Command::Init);
        call.from = Some((Path::new("/a"), &source));
        let (text, _) = prepared(&call);
        assert!(text.starts_with(
            "restic --no-cache init --json --repository-version 2 --copy-chunker-params --from-repo /a\n"
        ));
    }
}
