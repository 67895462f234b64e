//! Bringing the agent of a host up to date, over the protocol itself.

use allmende_agent::protocol::Request;

use super::agent_channel::AgentChannel;
use super::{BlobSource, EMBEDDED_AGENT, FleetError, Session};

impl Session {
    /// Puts the agent that this controller carries in place, unless it is there already. True if it was replaced.
    ///
    /// The new agent must say hello in a second channel before the old one goes. If it does not, the old one is put back.
    /// Nothing else may be asked meanwhile, which `&mut` sees to.
    ///
    /// # Errors
    /// [`FleetError::Replacement`] if the new agent does not work, [`FleetError::Unsuitable`] if none fits this host.
    pub async fn ensure_current(&mut self) -> Result<bool, FleetError> {
        if self.is_current() {
            return Ok(false);
        }
        let arch = &self.facts().arch;
        if !arch.is_empty() && arch != EMBEDDED_AGENT.arch {
            return Err(FleetError::Unsuitable {
                host: self.host().clone(),
                reason: format!(
                    "its processor is {arch}, the agent of this Allmende is made for {}",
                    EMBEDDED_AGENT.arch
                ),
            });
        }
        let sha256 = EMBEDDED_AGENT.sha256.to_owned();
        self.put_blob(BlobSource::Bytes(EMBEDDED_AGENT.binary), &sha256, |_, _| ())
            .await?;
        self.request_done(Request::Replace { sha256 }).await?;

        let reason = match self.start_current().await {
            Ok(new) => match self.request_done(Request::KeepReplacement).await {
                Ok(()) => {
                    let mut old = std::mem::replace(&mut self.channel, new);
                    old.hang_up().await;
                    return Ok(true);
                }
                Err(error) => error,
            },
            Err(error) => error,
        };
        Err(self.roll_back(reason).await)
    }

    /// Starts an agent beside the one that runs; it must be the one that this controller carries.
    async fn start_current(&self) -> Result<AgentChannel, FleetError> {
        let new = AgentChannel::start(&self.connection).await?;
        let found = &new.hello().sha256;
        if found == EMBEDDED_AGENT.sha256 {
            return Ok(new);
        }
        Err(FleetError::NoAgent {
            host: self.host().clone(),
            reason: format!(
                "an agent with the hash {} answered, {} was put in place",
                super::error::one_line(found),
                EMBEDDED_AGENT.sha256
            ),
        })
    }

    /// Ends the session's channel without [`Request::KeepReplacement`], which puts the old agent back, and sees whether it
    /// answers again.
    async fn roll_back(&mut self, reason: FleetError) -> FleetError {
        let old = self.hello().sha256.clone();
        self.channel.hang_up().await;
        let outcome = match AgentChannel::start(&self.connection).await {
            Ok(again) => {
                let is_back = again.hello().sha256 == old;
                self.channel = again;
                if is_back {
                    "The old agent is in place again and answers; nothing else was changed".to_owned()
                } else {
                    format!(
                        "Another agent than the old one is in place now; put the right one back with: allmende host repair {}",
                        self.host().name
                    )
                }
            }
            Err(error) => format!("The old agent could not be reached again, either: {error}"),
        };
        FleetError::Replacement {
            host: self.host().clone(),
            reason: reason.bare(),
            outcome,
        }
    }
}
