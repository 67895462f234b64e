//! Keys that change: the one that a host shows, and the one that the controller has for it.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::controller::SSH_KEY;
use super::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::fleet::{self, ControllerKey, ControllerKeys, Destination, Session};
use crate::model::{Host, HostKey, JobEventKind, Name, Outcome};
use crate::vault::SecretScope;

/// The key that a rotation brings; from when it is made until it has proven itself.
const NEXT: &str = "ssh_key_next";
/// The key that a rotation replaces; from when the next one is in use until this one is off the host.
const PREVIOUS: &str = "ssh_key_previous";

/// Accepts that a host shows another key than before, after a person compared it
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct AcceptHostKey {
    /// The host
    pub name: Name,
    /// Fingerprint of its new host key, as its console or provider shows it; without one you are asked
    #[arg(long, value_name = "SHA256:…")]
    pub fingerprint: Option<String>,
}

impl AcceptHostKey {
    /// The fingerprints of the known key and of the one that the host shows now, which may be the same.
    ///
    /// # Errors
    /// An unknown host, or whatever stands in the way to it.
    pub async fn compare(&self, controller: &Controller) -> Result<(String, String), OperationError> {
        let host = controller.store.hosts().get(&self.name).await?;
        let known = fleet::fingerprint(&host.host_key)?;
        let destination = Destination::from(&host);
        let jump_key = controller.jump_key().await?;
        let shown = match &self.fingerprint {
            Some(fingerprint) => fleet::probe_for(&destination, fingerprint, &jump_key).await?,
            None => fleet::probe(&destination, &jump_key).await?,
        };
        let kind = |key: &HostKey| key.0.split(' ').next().map(str::to_owned);
        // A host has several keys: the known one may be of another kind than the first that it shows.
        if kind(&shown.key) != kind(&host.host_key)
            && self.fingerprint.is_none()
            && fleet::probe_for(&destination, &known, &jump_key).await.is_ok()
        {
            return Ok((known.clone(), known));
        }
        Ok((known, shown.fingerprint))
    }
}

impl Operation for AcceptHostKey {
    const NAME: &'static str = "host.accept-key";
    const RISK: Risk = Risk::Change;

    fn title(&self) -> String {
        format!("accept the key of host {}", self.name)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        let host = controller.store.hosts().get(&self.name).await?;
        Ok(Scope::organisations(host.organisation).locking([host.name]))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let (known, shown) = self.compare(controller).await?;
        Ok(Preview::of(if known == shown {
            vec![format!("{} shows the key that is known: {known}", self.name)]
        } else {
            vec![
                format!("the key of {} was  {known}", self.name),
                format!("it would be         {shown}"),
            ]
        }))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let Some(fingerprint) = &self.fingerprint else {
            return Err(OperationError::Refused(
                "accepting a key needs its fingerprint: --fingerprint SHA256:…".to_owned(),
            ));
        };
        let host = controller.store.hosts().get(&self.name).await?;
        let jump_key = controller.jump_key().await?;
        let seen = fleet::probe_for(&Destination::from(&host), fingerprint, &jump_key).await?;
        if seen.key == host.host_key {
            return Ok(Outcome {
                message: format!(
                    "{} shows the key that is known; nothing was to be accepted.",
                    self.name
                ),
                ..Outcome::default()
            });
        }
        let host = controller
            .store
            .hosts()
            .update(&self.name, |host| host.host_key = seen.key)
            .await?;
        let message = match controller.session(&host).await {
            Ok(session) => {
                session.close().await;
                format!("The new key of {} is accepted, and its agent answers.", self.name)
            }
            Err(error) => format!(
                "The new key of {name} is accepted, but its agent does not answer: {error}. If it was installed anew: allmende host repair {name}",
                name = self.name
            ),
        };
        Ok(Outcome {
            message,
            changed: true,
            ..Outcome::default()
        })
    }
}

/// Gives the controller a new key for a host, and takes the old one off it
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct RotateHostKey {
    /// The host
    pub name: Name,
}

impl RotateHostKey {
    fn scope_of_secrets(&self) -> SecretScope {
        SecretScope::Host(self.name.clone())
    }

    /// Brings the next key onto the host and into use. The old one works until the next one has proven itself.
    async fn bring(
        &self,
        controller: &Controller,
        host: &Host,
        current: &ControllerKeys,
        next: &ControllerKey,
    ) -> Result<(), OperationError> {
        let vault = &controller.vault;
        let session = controller.session(host).await?;
        session.authorize(next).await?;
        let keys = ControllerKeys {
            agent: next.clone(),
            jump: current.jump.clone(),
        };
        match Session::connect(host, &keys).await {
            Ok(tried) => tried.close().await,
            Err(error) => {
                session.withdraw(next).await?;
                vault.remove(&self.scope_of_secrets(), NEXT).await?;
                return Err(error.into());
            }
        }
        session.close().await;
        let previous = current.agent.to_openssh()?;
        vault.put(&self.scope_of_secrets(), PREVIOUS, &previous).await?;
        vault
            .put(&self.scope_of_secrets(), SSH_KEY, &next.to_openssh()?)
            .await?;
        Ok(())
    }
}

impl Operation for RotateHostKey {
    const NAME: &'static str = "host.rotate-key";
    const RISK: Risk = Risk::Change;

    fn title(&self) -> String {
        format!("rotate the key for host {}", self.name)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        let host = controller.store.hosts().get(&self.name).await?;
        Ok(Scope::organisations(host.organisation).locking([host.name]))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        self.scope(controller).await?;
        Ok(Preview::of([
            format!("a new key of Allmende's would be put on {}, and tried", self.name),
            "then the old one would be taken off".to_owned(),
        ]))
    }

    /// Each step leaves a key in the vault that the host accepts, and what the next run needs to finish: a rotation may end
    /// anywhere.
    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let (vault, secrets) = (&controller.vault, self.scope_of_secrets());
        let host = controller.store.hosts().get(&self.name).await?;
        let current = controller.ssh_keys(&self.name).await?;
        let make = || Ok::<_, OperationError>(ControllerKey::generate()?.to_openssh()?);
        let next = ControllerKey::from_openssh(&vault.get_or_create(&secrets, NEXT, make).await?)?;
        let step = |text: &str| {
            context.notify(JobEventKind::Step {
                text: text.to_owned(),
            })
        };
        if next.public_key() != current.agent.public_key() {
            step("putting the new key in place, and trying it");
            self.bring(controller, &host, &current, &next).await?;
        }
        step("taking the old key off");
        if let Some(previous) = vault.get(&secrets, PREVIOUS).await? {
            let session = controller.session(&host).await?;
            session.withdraw(&ControllerKey::from_openssh(&previous)?).await?;
            session.close().await;
            vault.remove(&secrets, PREVIOUS).await?;
        }
        vault.remove(&secrets, NEXT).await?;
        Ok(Outcome {
            message: format!("Allmende has a new key for {}; the old one is off it.", self.name),
            changed: true,
            ..Outcome::default()
        })
    }
}
