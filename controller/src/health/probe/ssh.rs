//! Does the host's SSH server answer, with the key that is known?

use super::{Around, Clock, Finding, in_time};
use crate::fleet::{FleetError, contact};
use crate::model::Host;

pub(super) async fn ask(host: Option<&Host>, around: &Around) -> Result<Finding, Finding> {
    let (Some(host), Some(jump_key)) = (host, &around.jump_key) else {
        return Err(Finding::unknown("outside.nobody"));
    };
    // The way there has time limits of its own, for every host on it.
    let clock = Clock::start(0);
    contact(host, jump_key)
        .await
        .map_err(|error| failed(host, &error))?;
    let good = Finding::ok("outside.ssh.good").with("host", &host.name);
    Ok(in_time(good, clock, None, None))
}

/// What stood in the way to a host, in words for a beginner.
pub(super) fn failed(host: &Host, error: &FleetError) -> Finding {
    let finding = match error {
        FleetError::HostKeyChanged { pinned, shown, .. } => Finding::critical("outside.ssh.other_key")
            .with("pinned", pinned)
            .with("shown", shown)
            .then("next.other_key"),
        FleetError::NameNotResolved { .. } => Finding::critical("outside.name_not_found")
            .with("name", &host.address)
            .then("next.name"),
        FleetError::ConnectionRefused { .. } => Finding::critical("outside.ssh.refused").then("next.ssh"),
        FleetError::TimedOut { seconds, .. } => Finding::critical("outside.silent")
            .with("seconds", seconds)
            .then("next.host"),
        FleetError::Unreachable { .. } => Finding::critical("outside.unreachable").then("next.host"),
        FleetError::BeyondJump { jump, .. } => Finding::critical("outside.ssh.beyond")
            .with("jump", jump)
            .then("next.host"),
        FleetError::JumpRefused { host: jump, .. } => Finding::critical("outside.ssh.jump_refused")
            .with("jump", jump)
            .then("next.jump"),
        FleetError::Handshake { reason, .. } => Finding::critical("outside.ssh.no_ssh")
            .with("reason", reason)
            .then("next.ssh"),
        other => Finding::critical("outside.ssh.failed").with("reason", other),
    };
    finding
        .with("host", &host.name)
        .with("place", format!("{} ({})", host.name, host.address))
}
