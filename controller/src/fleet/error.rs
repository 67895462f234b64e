//! What can go wrong between the controller and a host.

use std::path::PathBuf;

use allmende_agent::protocol::{FrameError, PROTOCOL_VERSION, Refusal};

use super::Destination;
use super::keys::InvalidKey;

/// Why something could not be done on a host. Each says what was attempted, where, what came back and what to do next.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The address is a name that means nothing.
    #[error(
        "the address of {host} was not found: {reason}. Is the name spelled right, and does this machine resolve names?"
    )]
    NameNotResolved {
        /// The host.
        host: Destination,
        /// What the resolver says.
        reason: String,
    },
    /// Nothing listens there.
    #[error(
        "{host} refused the connection: no SSH server listens there. Is it running (systemctl status ssh), and is the port right?"
    )]
    ConnectionRefused {
        /// The host.
        host: Destination,
    },
    /// There is no way to the host.
    #[error("{host} cannot be reached: {reason}. Is it switched on, and is this machine's network up?")]
    Unreachable {
        /// The host.
        host: Destination,
        /// What the system says.
        reason: String,
    },
    /// The host did not answer in time.
    #[error(
        "{host} did not answer within {seconds} seconds ({waiting_for}). Is it switched on, and does a firewall let this machine through?"
    )]
    TimedOut {
        /// The host.
        host: Destination,
        /// What was waited for.
        waiting_for: &'static str,
        /// For how long.
        seconds: u64,
    },
    /// What listens there does not speak SSH as we need it.
    #[error("no SSH connection to {host} came about: {reason}")]
    Handshake {
        /// The host.
        host: Destination,
        /// What went wrong, with what to do where that is known.
        reason: String,
    },
    /// The host shows another key than the pinned one.
    #[error(
        "{host} shows another key than before, so nothing was sent to it: expected {pinned}, got {shown}. Somebody may be \
         between you and the host. Check with the host's owner; if it was installed anew, compare with what its console shows and use: \
         allmende host repair {name} --fingerprint SHA256:…; if only its key is new: allmende host accept-key {name}",
        name = host.name
    )]
    HostKeyChanged {
        /// The host.
        host: Destination,
        /// The fingerprint of the pinned key.
        pinned: String,
        /// The fingerprint of the key that the host showed.
        shown: String,
    },
    /// A host was expected to have a certain key, at the first contact, and has not.
    #[error(
        "{host} has no key with the fingerprint {expected}, so nothing was sent to it; its keys are: {shown}. Compare with what \
         `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` says on the host itself"
    )]
    FingerprintMismatch {
        /// The host.
        host: Destination,
        /// What was asked for.
        expected: String,
        /// The fingerprints of the keys that the host has.
        shown: String,
    },
    /// A key that cannot be used.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// The controller's key is not accepted.
    #[error(
        "{host} no longer accepts Allmende's key: root's authorized_keys or the settings of its SSH server were changed. As root \
         there, put this line back into /root/.ssh/authorized_keys: {line}"
    )]
    KeyRefused {
        /// The host.
        host: Destination,
        /// What `authorized_keys` should hold.
        line: String,
    },
    /// A jump host does not accept the controller's key for it.
    #[error(
        "{host}, a host on the way, no longer accepts Allmende's key. As {user} there, put this line back into ~/.ssh/authorized_keys: {line}"
    )]
    JumpRefused {
        /// The jump host.
        host: Destination,
        /// The user there.
        user: String,
        /// What `authorized_keys` should hold.
        line: String,
    },
    /// A jump host does not connect to the host behind it.
    #[error("{host} could not be reached through {jump}: {reason}")]
    BeyondJump {
        /// The host.
        host: Destination,
        /// The last host on the way.
        jump: Box<Destination>,
        /// Why not.
        reason: String,
    },
    /// The person's own access is not accepted.
    #[error("{host} let nobody in as {user}: {reason}. Try another user, --identity FILE or a password")]
    AccessRefused {
        /// The host.
        host: Destination,
        /// The user.
        user: String,
        /// What was tried, and what the host would accept.
        reason: String,
    },
    /// A person's `known_hosts` cannot be used.
    #[error("what {path} says about the host cannot be read: {reason}. Mend its line, or give --fingerprint", path = path.display())]
    KnownHosts {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A person's key file cannot be used.
    #[error("the key file {path} cannot be used: {reason}", path = path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The user cannot become root.
    #[error("{user} cannot become root on {host}: {reason}. Log in as root, or as a user who may use sudo")]
    NoRoot {
        /// The host.
        host: Destination,
        /// The user.
        user: String,
        /// What came back.
        reason: String,
    },
    /// The host is of a kind that Allmende does not manage. Nothing was changed.
    #[error("{host} cannot be managed: {reason}. Nothing was changed on it")]
    Unsuitable {
        /// The host.
        host: Destination,
        /// Why.
        reason: String,
    },
    /// A step of the bootstrap failed on the host.
    #[error("{doing} on {host} failed: {reason}")]
    Step {
        /// The host.
        host: Destination,
        /// What was attempted.
        doing: &'static str,
        /// What came back.
        reason: String,
    },
    /// Everything is in place, but Allmende's key does not open a session.
    #[error("the agent and the key were put on {host}, but Allmende cannot log in with it: {reason}. {next}")]
    NotProven {
        /// The host.
        host: Destination,
        /// What the proof said.
        reason: String,
        /// What to do, and whether what was put in place was taken back.
        next: String,
    },
    /// The connection ended while something was under way.
    #[error("the connection to {host} was lost {doing}: {reason}")]
    Lost {
        /// The host.
        host: Destination,
        /// What was under way: "while …".
        doing: String,
        /// What is known about why.
        reason: String,
    },
    /// Something else than an agent answered.
    #[error("no agent answered on {host}: {reason}. Put it back with: allmende host repair {name}", name = host.name)]
    NoAgent {
        /// The host.
        host: Destination,
        /// What came back.
        reason: String,
    },
    /// The agent's process ended while something was under way.
    #[error("the agent on {host} ended unexpectedly {doing}: {how}")]
    AgentEnded {
        /// The host.
        host: Destination,
        /// What was under way: "while …".
        doing: String,
        /// Exit status or signal, and what it wrote to its standard error.
        how: String,
    },
    /// The agent's process is there, but nothing comes from it.
    #[error(
        "the agent on {host} has said nothing for {seconds} seconds {doing}, although the host answers. Is the host overloaded, or a \
         disk of it broken?"
    )]
    AgentSilent {
        /// The host.
        host: Destination,
        /// What was under way: "while …".
        doing: String,
        /// For how long.
        seconds: u64,
    },
    /// The agent sent something that is not the protocol.
    #[error(
        "the agent on {host} broke the protocol: {reason}. Put the right one back with: allmende host repair {name}",
        name = host.name
    )]
    Protocol {
        /// The host.
        host: Destination,
        /// What was wrong.
        reason: String,
    },
    /// The agent is newer than this controller.
    #[error(
        "the agent on {host} is of Allmende {version} and speaks protocol {protocol}, this controller speaks {PROTOCOL_VERSION}: update \
         Allmende on the controller"
    )]
    AgentTooNew {
        /// The host.
        host: Destination,
        /// The agent's version.
        version: String,
        /// The agent's protocol.
        protocol: u32,
    },
    /// The agent understood and refused.
    #[error("{host} refused {doing}: {refusal}")]
    Refused {
        /// The host.
        host: Destination,
        /// What was asked.
        doing: &'static str,
        /// What the agent says.
        refusal: Refusal,
    },
    /// A new agent did not work; the old one is back.
    #[error("the new agent on {host} did not work: {reason}. {outcome}")]
    Replacement {
        /// The host.
        host: Destination,
        /// What was wrong with it.
        reason: String,
        /// Whether the old agent is in place again.
        outcome: String,
    },
    /// A blob cannot be read on the controller.
    #[error("{path} cannot be sent to {host}: {reason}", path = path.display())]
    Blob {
        /// The host.
        host: Destination,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
    /// What was to be sent does not fit a frame.
    #[error("{doing} on {host} could not be asked for: {reason}")]
    TooMuch {
        /// The host.
        host: Destination,
        /// What was to be asked.
        doing: &'static str,
        /// Why.
        reason: FrameError,
    },
}

impl FleetError {
    /// What came back, without where it came from and what to do: for a message that says both itself.
    pub(super) fn bare(self) -> String {
        match self {
            Self::KeyRefused { .. } => "its SSH server refuses the key".to_owned(),
            Self::NoAgent { reason, .. } | Self::Protocol { reason, .. } => reason,
            Self::AgentEnded { how, .. } => how,
            error => error.to_string(),
        }
    }
}

/// Text from a host as one line for a message: no control characters, not too long.
pub fn one_line(text: &str) -> String {
    const LONGEST: usize = 600;
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().filter(|c| !is_invisible(*c)));
        if line.len() > LONGEST {
            line = line.chars().take(LONGEST).collect();
            line.push('…');
            break;
        }
    }
    line
}

/// Characters that would change how the text around them is shown.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_a_host_cannot_paint_on_the_terminal() {
        assert_eq!(
            one_line("  Permission\tdenied\r\n\u{1b}[31mred\u{202e}\u{7}"),
            "Permission denied [31mred"
        );
        assert!(one_line(&"long ".repeat(1000)).chars().count() < 700);
    }

    #[test]
    fn errors_are_small_enough_to_travel_in_results() {
        assert!(size_of::<FleetError>() <= 128, "{}", size_of::<FleetError>());
    }
}
