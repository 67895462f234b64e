//! The controller's key, and public keys of hosts.

use std::sync::Arc;

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey};

use crate::model::{HostKey, Secret};

/// The comment by which people recognise Allmende's key in `authorized_keys`.
const COMMENT: &str = "allmende";

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidKey {
    /// The text is no private key in OpenSSH's form.
    #[error(
        "the controller's key cannot be read: {0}; restore it from a backup of the data directory, or make a new one and add the hosts again"
    )]
    Private(russh::keys::ssh_key::Error),
    /// The text is no public key.
    #[error("{text:?} is no public key in OpenSSH's form (\"ssh-ed25519 AAAA…\"): {reason}")]
    Public {
        /// What was given.
        text: String,
        /// What the parser says.
        reason: russh::keys::ssh_key::Error,
    },
    /// No key could be made.
    #[error("no new key could be made: {0}")]
    Generate(russh::keys::ssh_key::Error),
}

/// The keys with which the controller comes to a host.
#[derive(Clone)]
pub struct ControllerKeys {
    /// Starts the agent.
    pub agent: ControllerKey,
    /// Gets through the hosts on the way, and opens nothing else there.
    pub jump: ControllerKey,
}

/// A key of the controller's: Ed25519, without a passphrase, for it rests in the vault.
#[derive(Clone)]
pub struct ControllerKey {
    key: Arc<PrivateKey>,
    public_key: String,
}

impl ControllerKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// [`InvalidKey::Generate`].
    pub fn generate() -> Result<Self, InvalidKey> {
        let mut random = russh::keys::key::safe_rng();
        let mut key = PrivateKey::random(&mut random, Algorithm::Ed25519).map_err(InvalidKey::Generate)?;
        key.set_comment(COMMENT);
        Self::new(key)
    }

    /// Reads a key that [`Self::to_openssh`] wrote.
    ///
    /// # Errors
    /// [`InvalidKey::Private`].
    pub fn from_openssh(text: &Secret) -> Result<Self, InvalidKey> {
        Self::new(PrivateKey::from_openssh(text.reveal()).map_err(InvalidKey::Private)?)
    }

    fn new(key: PrivateKey) -> Result<Self, InvalidKey> {
        let public_key = without_comment(key.public_key()).map_err(InvalidKey::Private)?;
        Ok(Self {
            key: Arc::new(key),
            public_key,
        })
    }

    /// The private key in OpenSSH's form, for the vault.
    ///
    /// # Errors
    /// [`InvalidKey::Private`].
    pub fn to_openssh(&self) -> Result<Secret, InvalidKey> {
        let text = self.key.to_openssh(LineEnding::LF).map_err(InvalidKey::Private)?;
        Ok(Secret::new(text.as_str().to_owned()))
    }

    /// The public key without its comment: "ssh-ed25519 AAAA…".
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// The line for `authorized_keys`: the key may start the agent and do nothing else.
    pub fn authorized_line(&self) -> String {
        allmende_agent::authorized_line(&self.public_key)
    }

    /// The line for `authorized_keys` on a jump host: the key may connect to what is behind it and do nothing else.
    pub fn jump_line(&self) -> String {
        format!(
            "restrict,port-forwarding,command=\"/bin/false\" {} {COMMENT}-jump",
            self.public_key
        )
    }

    pub(super) fn private(&self) -> Arc<PrivateKey> {
        Arc::clone(&self.key)
    }
}

/// The fingerprint of a key as `ssh` shows it: "SHA256:…".
///
/// # Errors
/// [`InvalidKey::Public`].
pub fn fingerprint(key: &HostKey) -> Result<String, InvalidKey> {
    Ok(fingerprint_of(&parse(key)?))
}

pub(super) fn fingerprint_of(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

pub(super) fn parse(key: &HostKey) -> Result<PublicKey, InvalidKey> {
    PublicKey::from_openssh(&key.0).map_err(|reason| InvalidKey::Public {
        text: key.0.clone(),
        reason,
    })
}

pub(super) fn host_key(key: &PublicKey) -> Result<HostKey, russh::keys::ssh_key::Error> {
    without_comment(key).map(HostKey)
}

fn without_comment(key: &PublicKey) -> Result<String, russh::keys::ssh_key::Error> {
    let mut key = key.clone();
    key.set_comment("");
    Ok(key.to_openssh()?.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `ssh-keygen -t ed25519`; its fingerprint is what `ssh-keygen -lf` printed.
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB2dCxDlYnCOys5hdwwa+wFYYR1DVLXLuoxhn8hl0NbH";
    const FINGERPRINT: &str = "SHA256:aKUi3YRk94I4uZA3Jau2cspv9Ua5rRHmHn/T+GQNYlc";

    #[test]
    fn a_fingerprint_is_what_ssh_keygen_shows() {
        assert_eq!(
            fingerprint(&HostKey(format!("{KEY} with a comment"))).expect("parses"),
            FINGERPRINT
        );
        assert!(fingerprint(&HostKey("ssh-ed25519 AAAA".into())).is_err());
    }

    #[test]
    fn a_host_key_keeps_no_comment() {
        let key = parse(&HostKey(format!("{KEY} root@web1"))).expect("parses");
        assert_eq!(host_key(&key).expect("encodes").0, KEY);
    }

    #[test]
    fn a_generated_key_survives_the_vault_and_may_only_start_the_agent() {
        let key = ControllerKey::generate().expect("generates");
        let stored = key.to_openssh().expect("encodes");
        assert!(stored.reveal().starts_with("-----BEGIN OPENSSH PRIVATE KEY-----"));
        let again = ControllerKey::from_openssh(&stored).expect("reads");
        assert_eq!(again.public_key(), key.public_key());
        let line = key.authorized_line();
        assert!(
            line.starts_with(
                "restrict,command=\"/usr/local/lib/allmende/allmende-agent serve\" ssh-ed25519 AAAA"
            ),
            "{line}"
        );
        assert!(line.ends_with(" allmende"));
        assert!(!line.contains('\''), "the line travels in single quotes");
    }

    #[test]
    fn two_generated_keys_differ() {
        let one = ControllerKey::generate().expect("generates");
        let two = ControllerKey::generate().expect("generates");
        assert_ne!(one.public_key(), two.public_key());
    }
}
