//! The first contact: looking at a host's key.

use russh::keys::Algorithm;

use super::connection::{Connection, Failure, Pin, algorithms, handshake, handshake_failed, same_kind};
use super::keys::{self, ControllerKey, fingerprint_of};
use super::{Destination, FleetError};
use crate::model::{Host, HostKey};

/// A host's key, seen before anybody logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedHost {
    /// The key.
    pub key: HostKey,
    /// Its fingerprint, "SHA256:…".
    pub fingerprint: String,
}

/// Looks at a host's key without logging in there; `jump_key` gets through the hosts on the way. An Ed25519 key is preferred where the host has several.
///
/// # Errors
/// The host cannot be reached or speaks no SSH.
pub async fn probe(host: &Destination, jump_key: &ControllerKey) -> Result<ScannedHost, FleetError> {
    scan(host, algorithms(), jump_key).await
}

/// Looks for the key with a fingerprint that a person expects, among all keys that the host has.
///
/// # Errors
/// As for [`probe`], and [`FleetError::FingerprintMismatch`].
pub async fn probe_for(
    host: &Destination,
    expected: &str,
    jump_key: &ControllerKey,
) -> Result<ScannedHost, FleetError> {
    let mut left = algorithms();
    let mut shown = Vec::new();
    while !left.is_empty() {
        let seen = match scan(host, left.clone(), jump_key).await {
            Ok(seen) => seen,
            // It has no key of the kinds that are left.
            Err(FleetError::Handshake { .. }) if !shown.is_empty() => break,
            Err(error) => return Err(error),
        };
        if seen.fingerprint == expected.trim() {
            return Ok(seen);
        }
        let kind = keys::parse(&seen.key)?.algorithm();
        left.retain(|algorithm| !same_kind(algorithm, &kind));
        shown.push(seen.fingerprint);
    }
    Err(FleetError::FingerprintMismatch {
        host: host.clone(),
        expected: expected.trim().to_owned(),
        shown: shown.join(", "),
    })
}

/// Makes sure that a host's SSH server answers and shows the pinned key; nobody logs in.
///
/// # Errors
/// The host cannot be reached, speaks no SSH, or shows another key.
pub async fn contact(host: &Host, jump_key: &ControllerKey) -> Result<(), FleetError> {
    let connection = Connection::open(&Destination::from(host), &host.host_key, jump_key).await?;
    connection.close().await;
    Ok(())
}

async fn scan(
    host: &Destination,
    algorithms: Vec<Algorithm>,
    jump_key: &ControllerKey,
) -> Result<ScannedHost, FleetError> {
    match handshake(host, Pin::LookOnly, algorithms, jump_key).await {
        Err(Failure::Seen(key)) => Ok(ScannedHost {
            fingerprint: fingerprint_of(&key),
            key: keys::host_key(&key).map_err(|error| handshake_failed(host, error.to_string()))?,
        }),
        Err(failure) => Err(failure.on(host)),
        Ok(_) => Err(handshake_failed(host, "it showed no key".into())),
    }
}
