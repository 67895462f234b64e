//! A person's own access to a host: how the controller gets there before it has its own.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Controller, JobContext, OperationError};
use crate::fleet::{self, ControllerKey, Destination, Enrolled, PersonalAccess, Question, Step};
use crate::model::{HostKey, JobEventKind, Jump, JumpAddress, Name, Secret};

/// The person who asked for something, while it is done.
pub trait Person: Send + Sync {
    /// Answers a question, or gives no answer.
    fn answer(&self, question: &Question) -> Option<Secret>;

    /// Says whether a host that is met for the first time has this fingerprint; none when there is nobody to ask.
    fn recognises(&self, host: &Destination, fingerprint: &str) -> Option<bool>;
}

/// Who is asked; by default nobody is there.
#[derive(Clone, Default)]
pub struct Asker(pub Option<Arc<dyn Person>>);

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asker")
    }
}

/// Your own access to a host, used once and kept nowhere
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub struct OwnAccess {
    /// User to log in as with your own access: root (the default), or one who may use sudo
    #[arg(long)]
    pub user: Option<String>,
    /// Your own private key for it; without one, your ssh-agent or your password is used
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// The way to it leads through this host, as user@host or user@host:port; several in the order of the way
    #[arg(long = "jump", value_name = "USER@HOST")]
    #[serde(default)]
    pub jumps: Vec<JumpAddress>,
    /// Fingerprint of a jump host's key; several in the order of the way
    #[arg(long = "jump-fingerprint", value_name = "SHA256:…", requires = "jumps")]
    #[serde(default)]
    pub jump_fingerprints: Vec<String>,
    /// Your list of trusted host keys; usually ~/.ssh/known_hosts
    #[arg(long, value_name = "FILE")]
    pub known_hosts: Option<PathBuf>,
    /// Who answers questions meanwhile.
    #[arg(skip)]
    #[serde(skip)]
    pub asker: Asker,
}

impl OwnAccess {
    /// Makes the way through the jump hosts, each with its key pinned.
    pub(super) async fn open_way(
        &self,
        controller: &Controller,
        name: &Name,
        notify: &(dyn Fn(JobEventKind) + Sync),
    ) -> Result<Vec<Jump>, OperationError> {
        if self.jumps.is_empty() {
            return Ok(Vec::new());
        }
        let key = controller.jump_key().await?;
        let mut way = Vec::new();
        for (position, at) in self.jumps.iter().enumerate() {
            notify(JobEventKind::Step {
                text: format!("making the way to {name} through {at}"),
            });
            let host = Destination::of_jump(at, &way);
            let fingerprint = self.jump_fingerprints.get(position);
            let jump = Jump {
                host_key: self.pin(&host, fingerprint, "--jump-fingerprint", &key).await?,
                at: at.clone(),
            };
            let mut ask = |question: &Question| self.answer(question);
            let access = self.personal(&at.user, &mut ask);
            fleet::open_jump(&jump, &way, access, &key).await?;
            way.push(jump);
        }
        Ok(way)
    }

    /// The key that a host must show: the one with the expected fingerprint, one that the person trusts already, or one that
    /// they recognise when they are asked.
    pub(super) async fn pin(
        &self,
        host: &Destination,
        fingerprint: Option<&String>,
        option: &str,
        jump_key: &ControllerKey,
    ) -> Result<HostKey, OperationError> {
        if let Some(fingerprint) = fingerprint {
            return Ok(fleet::probe_for(host, fingerprint, jump_key).await?.key);
        }
        if let Some(key) = self.known(host, jump_key).await? {
            return Ok(key);
        }
        let seen = fleet::probe(host, jump_key).await?;
        let recognised = self
            .asker
            .0
            .as_ref()
            .and_then(|person| person.recognises(host, &seen.fingerprint));
        match recognised {
            Some(true) => Ok(seen.key),
            Some(false) => Err(OperationError::Refused(format!(
                "the key of {host} was not recognised; nothing was sent to it"
            ))),
            None => Err(OperationError::Refused(format!(
                "{host} shows a host key with the fingerprint {shown}. Compare it with what its console or provider shows, then add: {option} {shown}",
                shown = seen.fingerprint
            ))),
        }
    }

    /// The key of a host that the person's own `known_hosts` has.
    async fn known(
        &self,
        host: &Destination,
        jump_key: &ControllerKey,
    ) -> Result<Option<HostKey>, OperationError> {
        let Some(file) = &self.known_hosts else {
            return Ok(None);
        };
        let trusted = fleet::trusted_fingerprints(file, host)?;
        let mut refused = None;
        for fingerprint in &trusted {
            match fleet::probe_for(host, fingerprint, jump_key).await {
                Ok(seen) => return Ok(Some(seen.key)),
                Err(error @ fleet::FleetError::FingerprintMismatch { .. }) => refused = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        match refused {
            Some(error) => Err(OperationError::Refused(format!(
                "{} knows another key of this host: {error}; if the new one is right, give it with --fingerprint",
                file.display()
            ))),
            None => Ok(None),
        }
    }

    /// Puts the agent and the controller's key on a host.
    pub(super) async fn enrol(
        &self,
        host: &Destination,
        name: &Name,
        pinned: &HostKey,
        context: &JobContext<'_>,
    ) -> Result<Enrolled, OperationError> {
        let keys = context.controller().ssh_keys(name).await?;
        let mut ask = |question: &Question| self.answer(question);
        let access = self.personal(self.user.as_deref().unwrap_or("root"), &mut ask);
        let mut progress = |step: Step| context.notify(told(step, name));
        Ok(fleet::bootstrap(host, pinned, access, &keys, &mut progress).await?)
    }

    fn personal<'a>(
        &self,
        user: &str,
        ask: &'a mut (dyn FnMut(&Question) -> Option<Secret> + Send + 'a),
    ) -> PersonalAccess<'a> {
        let access = PersonalAccess::new(user, ask);
        match &self.identity {
            Some(identity) => access.with_identity(identity),
            None => access,
        }
    }

    fn answer(&self, question: &Question) -> Option<Secret> {
        self.asker.0.as_ref()?.answer(question)
    }
}

/// A step of the bootstrap, for people.
fn told(step: Step, host: &Name) -> JobEventKind {
    let text = match step {
        Step::LogIn => format!("logging in to {host} with your own access"),
        Step::Look => format!("looking whether {host} can be taken into care"),
        Step::SendAgent { sent, total } => {
            return JobEventKind::Progress {
                what: format!("sending the agent to {host}"),
                done: sent,
                total,
            };
        }
        Step::Prove => "proving that Allmende's own key starts the agent".to_owned(),
        Step::TakeBack => format!("that did not work: taking everything off {host} again"),
    };
    JobEventKind::Step { text }
}
