//! Operations on channels.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::changed;
use crate::model::{Channel, ChannelKind, Encryption, Name, Outcome, Secret, Server, Way, is_loopback};
use crate::notify::{needs_secret, parse_mailbox, secret_name};
use crate::operations::address::check_url;
use crate::operations::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::store::StoreError;
use crate::vault::{SecretScope, generate_password};

/// How long the keys are with which web hooks are signed, in characters.
const KEY_LENGTH: usize = 40;

/// The ntfy server of those who have none of their own.
const PUBLIC_NTFY: &str = "https://ntfy.sh";

/// Where a channel goes; which of these are needed depends on its kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
pub struct ChannelSettings {
    /// Mail: the server, smtp.example.org or smtp.example.org:587
    #[arg(long, value_name = "SERVER")]
    pub smtp: Option<Server>,
    /// Mail: the sender, "Allmende <allmende@example.org>"
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<String>,
    /// Mail: the account at the server; its password is asked for
    #[arg(long)]
    pub user: Option<String>,
    /// Mail: how the connection is protected; starttls if nothing is said, tls for port 465
    #[arg(long)]
    pub encryption: Option<Encryption>,
    /// Mail: a file with certificates (PEM) that the server's may come from
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Web hook, ntfy, Matrix: the address; https://ntfy.sh if nothing is said for ntfy
    #[arg(long)]
    pub url: Option<String>,
    /// Takes an address without TLS elsewhere than on this machine: everybody on the way can read along
    #[arg(long)]
    #[serde(default)]
    pub plain: bool,
}

/// Adds a channel
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct AddChannel {
    /// What kind of channel it is
    pub kind: ChannelKind,
    /// Its short name; its kind if nothing is said
    #[arg(long = "name", value_name = "NAME")]
    pub short_name: Option<Name>,
    #[command(flatten)]
    #[serde(flatten)]
    pub settings: ChannelSettings,
    /// The password, token or key; never written down but in the vault.
    #[arg(skip)]
    #[serde(skip)]
    pub secret: Option<Secret>,
}

fn refused(text: impl Into<String>) -> OperationError {
    OperationError::Refused(text.into())
}

impl ChannelSettings {
    fn encryption(&self, server: &Server) -> Result<Encryption, OperationError> {
        let encryption = self.encryption.unwrap_or(match server.port {
            Some(465) => Encryption::Tls,
            _ => Encryption::Starttls,
        });
        if encryption == Encryption::Plain && !is_loopback(&server.host) && !self.plain {
            return Err(refused(format!(
                "{server} would be reached without TLS, and everybody on the way could read the mail and the password: use --encryption starttls, or add --plain if you mean it"
            )));
        }
        Ok(encryption)
    }

    fn read_ca(&self) -> Result<Option<String>, OperationError> {
        let Some(path) = &self.ca else { return Ok(None) };
        let text = std::fs::read_to_string(path)
            .map_err(|error| refused(format!("cannot read {}: {error}", path.display())))?;
        // The file may hold the key beside the certificate, and that is not ours to keep.
        if text.contains("PRIVATE KEY") || !text.contains("BEGIN CERTIFICATE") {
            return Err(refused(format!(
                "{} must hold certificates (PEM), and no private key",
                path.display()
            )));
        }
        Ok(Some(text))
    }

    /// The way of a new channel.
    fn way(&self, kind: ChannelKind) -> Result<Way, OperationError> {
        let url = |example: &str| {
            self.url
                .as_deref()
                .ok_or_else(|| refused(format!("a channel of the kind {kind} needs --url {example}")))
                .and_then(|url| check_url(url, self.plain))
        };
        let mail_only = [
            ("--smtp", self.smtp.is_some()),
            ("--from", self.from.is_some()),
            ("--user", self.user.is_some()),
            ("--encryption", self.encryption.is_some()),
            ("--ca", self.ca.is_some()),
        ];
        if kind != ChannelKind::Mail
            && let Some((option, _)) = mail_only.iter().find(|(_, given)| *given)
        {
            return Err(refused(format!("{option} is for mail, not for {kind}")));
        }
        Ok(match kind {
            ChannelKind::Mail => {
                if self.url.is_some() {
                    return Err(refused("--url is not for mail: give the server with --smtp"));
                }
                let (Some(server), Some(from)) = (&self.smtp, &self.from) else {
                    return Err(refused(
                        "mail needs a server and a sender: --smtp smtp.example.org:587 --from allmende@example.org",
                    ));
                };
                parse_mailbox(from).map_err(refused)?;
                Way::Mail {
                    encryption: self.encryption(server)?,
                    server: server.clone(),
                    from: from.clone(),
                    user: self.user.clone(),
                    ca: self.read_ca()?,
                }
            }
            ChannelKind::Webhook => Way::Webhook {
                url: url("https://example.org/hook")?,
            },
            ChannelKind::Ntfy => Way::Ntfy {
                url: check_url(self.url.as_deref().unwrap_or(PUBLIC_NTFY), self.plain)?,
            },
            ChannelKind::Matrix => Way::Matrix {
                url: url("https://matrix.example.org")?,
            },
        })
    }

    /// The way of a channel that is changed.
    fn change(&self, way: &Way) -> Result<Way, OperationError> {
        let mut all = self.clone();
        match way {
            Way::Mail {
                server,
                encryption,
                from,
                user,
                ..
            } => {
                all.encryption = all.encryption.or(if all.smtp.is_none() {
                    Some(*encryption)
                } else {
                    None
                });
                all.smtp = all.smtp.or_else(|| Some(server.clone()));
                all.from = all.from.or_else(|| Some(from.clone()));
                all.user = all.user.or_else(|| user.clone());
            }
            Way::Webhook { url } | Way::Ntfy { url } | Way::Matrix { url } => {
                // One that was taken without TLS may stay so.
                all.plain = all.plain || all.url.is_none();
                all.url = all.url.or_else(|| Some(url.clone()));
            }
        }
        let mut changed = all.way(way.kind())?;
        if let (Way::Mail { ca: new, .. }, Way::Mail { ca: old, .. }) = (&mut changed, way)
            && new.is_none()
        {
            new.clone_from(old);
        }
        Ok(changed)
    }
}

impl AddChannel {
    /// What it will be called.
    pub fn name(&self) -> Result<Name, OperationError> {
        match &self.short_name {
            Some(name) => Ok(name.clone()),
            None => self
                .kind
                .to_string()
                .parse()
                .map_err(|error| refused(format!("{error}"))),
        }
    }

    /// The channel that would be added.
    ///
    /// # Errors
    /// What is wrong with its settings.
    pub fn channel(&self) -> Result<Channel, OperationError> {
        Ok(Channel {
            name: self.name()?,
            way: self.settings.way(self.kind)?,
        })
    }

    async fn check(&self, controller: &Controller) -> Result<Channel, OperationError> {
        let channel = self.channel()?;
        if controller
            .store
            .notifications()
            .channel(&channel.name)
            .await
            .is_ok()
        {
            return Err(StoreError::Exists {
                noun: "channel",
                name: channel.name.to_string(),
            }
            .into());
        }
        Ok(channel)
    }
}

impl Operation for AddChannel {
    const NAME: &'static str = "notify.channel.add";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("add channel {}", self.kind)
    }

    async fn scope(&self, _controller: &Controller) -> Result<Scope, OperationError> {
        Ok(Scope::default())
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let channel = self.check(controller).await?;
        Ok(Preview::of([format!(
            "channel {} to {} would be added",
            channel.name,
            channel.way.other_side()
        )]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let channel = self.check(controller).await?;
        let (secret, shown) = match (&self.secret, &channel.way) {
            (Some(secret), _) => (Some(secret.clone()), None),
            (None, Way::Webhook { .. }) => {
                let key = generate_password(KEY_LENGTH)?;
                (Some(key.clone()), Some(key))
            }
            (None, _) => (None, None),
        };
        if secret.is_none() && needs_secret(&channel) {
            return Err(refused(format!(
                "a channel of the kind {} needs a password or token: it is asked for at a terminal, or read from standard input",
                self.kind
            )));
        }
        // The secret first: a channel without it could be used, a secret without its channel cannot.
        if let Some(secret) = &secret {
            controller
                .vault
                .put(&SecretScope::Controller, &secret_name(&channel.name), secret)
                .await?;
        }
        controller.store.notifications().add_channel(&channel).await?;
        Ok(Outcome {
            answer: shown.map_or(serde_json::Value::Null, |key| key.reveal().into()),
            ..changed(format!(
                "Added channel {0} to {1}. Try it with: allmende notify test {0} --to PERSON",
                channel.name,
                channel.way.other_side()
            ))
        })
    }
}

/// Changes a channel
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct EditChannel {
    /// Its short name
    #[arg(value_name = "NAME")]
    pub short_name: Name,
    #[command(flatten)]
    #[serde(flatten)]
    pub settings: ChannelSettings,
    /// The new password, token or key; never written down but in the vault.
    #[arg(skip)]
    #[serde(skip)]
    pub new_secret: Option<Secret>,
}

impl Operation for EditChannel {
    const NAME: &'static str = "notify.channel.edit";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("edit channel {}", self.short_name)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        controller.store.notifications().channel(&self.short_name).await?;
        Ok(Scope::default())
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let (old, _) = controller.store.notifications().channel(&self.short_name).await?;
        let way = self.settings.change(&old.way)?;
        Ok(Preview::of([if way == old.way && self.new_secret.is_none() {
            "nothing would change".to_owned()
        } else {
            format!("channel {} would be changed", self.short_name)
        }]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let notifications = controller.store.notifications();
        let (mut channel, _) = notifications.channel(&self.short_name).await?;
        let way = self.settings.change(&channel.way)?;
        if way == channel.way && self.new_secret.is_none() {
            return Ok(Outcome {
                message: format!("{} stays as it is.", channel.name),
                ..Outcome::default()
            });
        }
        channel.way = way;
        let name = secret_name(&channel.name);
        let there = controller.vault.get(&SecretScope::Controller, &name).await?;
        if self.new_secret.is_none() && there.is_none() && needs_secret(&channel) {
            return Err(refused(format!(
                "{} now needs a password: add --secret, and it is asked for",
                channel.name
            )));
        }
        if let Some(secret) = &self.new_secret {
            controller
                .vault
                .put(&SecretScope::Controller, &name, secret)
                .await?;
        }
        notifications.change_channel(&channel).await?;
        Ok(changed(format!("Changed channel {}.", channel.name)))
    }
}

/// Removes a channel that no rule needs any more
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct RemoveChannel {
    /// Its short name
    #[arg(value_name = "NAME")]
    pub short_name: Name,
}

impl Operation for RemoveChannel {
    const NAME: &'static str = "notify.channel.remove";
    const RISK: Risk = Risk::Destructive;

    fn title(&self) -> String {
        format!("remove channel {}", self.short_name)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        controller.store.notifications().channel(&self.short_name).await?;
        Ok(Scope::default())
    }

    async fn preview(&self, _controller: &Controller) -> Result<Preview, OperationError> {
        Ok(Preview::of([format!(
            "channel {} would be removed, with its secret and the log of what went out by it",
            self.short_name
        )]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        controller
            .store
            .notifications()
            .remove_channel(&self.short_name)
            .await?;
        controller
            .vault
            .remove(&SecretScope::Controller, &secret_name(&self.short_name))
            .await?;
        Ok(changed(format!("Removed channel {}.", self.short_name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(change: impl FnOnce(&mut ChannelSettings)) -> ChannelSettings {
        let mut settings = ChannelSettings::default();
        change(&mut settings);
        settings
    }

    #[test]
    fn messages_go_without_tls_only_within_this_machine_or_when_somebody_insists() {
        let hook = |url: &str, plain| {
            let settings = settings(|it| {
                it.url = Some(url.to_owned());
                it.plain = plain;
            });
            settings.way(ChannelKind::Webhook)
        };
        assert!(hook("https://example.org/hook", false).is_ok());
        assert!(hook("http://127.0.0.1:8080/hook", false).is_ok());
        assert!(hook("http://example.org/hook", true).is_ok());
        let error = hook("http://example.org/hook", false).expect_err("refused");
        assert!(error.to_string().contains("--plain"), "{error}");
        assert!(hook("https://me:password@example.org/", false).is_err());
        assert!(hook("ftp://example.org/", true).is_err());
        let mail = |server: &str, plain| {
            let settings = settings(|it| {
                it.smtp = Some(server.parse().expect("a server"));
                it.from = Some("a@example.org".to_owned());
                it.encryption = Some(Encryption::Plain);
                it.plain = plain;
            });
            settings.way(ChannelKind::Mail)
        };
        assert!(mail("127.0.0.1:25", false).is_ok());
        assert!(mail("smtp.example.org", false).is_err());
        assert!(mail("smtp.example.org", true).is_ok());
    }

    #[test]
    fn mail_is_protected_if_nothing_is_said() {
        let encryption = |server: &str| {
            let settings = settings(|it| {
                it.smtp = Some(server.parse().expect("a server"));
                it.from = Some("Allmende <a@example.org>".to_owned());
            });
            match settings.way(ChannelKind::Mail) {
                Ok(Way::Mail { encryption, .. }) => encryption,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(encryption("smtp.example.org"), Encryption::Starttls);
        assert_eq!(encryption("smtp.example.org:465"), Encryption::Tls);
        assert_eq!(encryption("localhost:25"), Encryption::Starttls);
    }

    #[test]
    fn what_does_not_belong_to_a_kind_is_refused() {
        let with_smtp = settings(|it| it.smtp = Some("smtp.example.org".parse().expect("a server")));
        assert!(with_smtp.way(ChannelKind::Ntfy).is_err());
        assert!(with_smtp.way(ChannelKind::Mail).is_err(), "no sender");
        assert!(ChannelSettings::default().way(ChannelKind::Matrix).is_err());
        assert!(ChannelSettings::default().way(ChannelKind::Ntfy).is_ok());
    }

    #[test]
    fn a_secret_is_never_among_the_parameters() {
        let add = AddChannel {
            kind: ChannelKind::Mail,
            short_name: None,
            settings: ChannelSettings::default(),
            secret: Some(Secret::new("hunter2-hunter2".to_owned())),
        };
        let kept = serde_json::to_string(&add).expect("serialises");
        assert!(!kept.contains("hunter2") && !kept.contains("secret"), "{kept}");
    }
}
