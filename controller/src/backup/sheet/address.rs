//! Where a repository is, in the words of restic.

use serde::Serialize;

use super::quoted;
use crate::model::{Location, Name, Repository, Secret, Target, TargetKind};

/// Where backups of a service are.
#[derive(Serialize)]
pub struct SheetTarget {
    name: Name,
    kind: TargetKind,
    place: Option<String>,
    location: String,
    repository: String,
    asks: String,
    variables: Vec<String>,
}

impl SheetTarget {
    /// A repository of a target. Its password or key is only on the sheet where no other organisation uses the target.
    pub fn new(target: &Target, repository: &Repository, credential: Option<&Secret>) -> Self {
        let own = target.organisations == [repository.organisation.clone()];
        let secret = credential.filter(|_| own);
        let below = |place: &str| format!("{}/{}", place.trim_end_matches('/'), repository.folder);
        let mut variables = Vec::new();
        let mut set = |name: &str, value: &str| variables.push(format!("{name}={}", quoted(value)));
        let (address, asks) = match &target.location {
            Location::Disk { folder, .. } => (below(&folder.display().to_string()), String::new()),
            Location::Sftp { at, folder, .. } => {
                (format!("sftp://{at}/{}", below(folder)), format!("SSH, {at}"))
            }
            Location::S3 {
                url,
                access_key,
                region,
            } => {
                if let Some(secret) = secret {
                    set("AWS_ACCESS_KEY_ID", access_key);
                    set("AWS_SECRET_ACCESS_KEY", secret.reveal());
                    if let Some(region) = region {
                        set("AWS_DEFAULT_REGION", region);
                    }
                }
                (
                    format!("s3:{}", below(url)),
                    format!("AWS_SECRET_ACCESS_KEY, {access_key}"),
                )
            }
            Location::Rest { url, user } => {
                let address = match (user, secret) {
                    (Some(user), Some(secret)) => {
                        set("RESTIC_REST_USERNAME", user);
                        set("RESTIC_REST_PASSWORD", secret.reveal());
                        below(url)
                    }
                    _ => below(url),
                };
                let asks = user.as_ref().map(|user| format!("RESTIC_REST_PASSWORD, {user}"));
                (format!("rest:{address}/"), asks.unwrap_or_default())
            }
        };
        Self {
            name: target.name.clone(),
            kind: target.location.kind(),
            place: target.place.clone(),
            location: target.location.to_string(),
            repository: quoted(&address),
            asks,
            variables,
        }
    }
}
