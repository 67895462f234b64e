//! A person's key files.

use std::path::Path;

use russh::keys::{Error, PrivateKey, decode_secret_key, ssh_key};

use super::FleetError;
use super::access::{Ask, Question};

/// How often a passphrase is asked for.
const TRIES: usize = 3;

/// Reads a key file, asking for its passphrase if it has one. None if the person gives none.
pub(super) async fn load(path: &Path, ask: &mut Ask<'_>) -> Result<Option<PrivateKey>, FleetError> {
    let unusable = |reason: String| FleetError::Identity {
        path: path.to_owned(),
        reason,
    };
    let text = tokio::fs::read_to_string(path)
        .await
        .map_err(|error| unusable(error.to_string()))?;
    let text = zeroize::Zeroizing::new(text);
    match decode_secret_key(&text, None) {
        Ok(key) if !key.is_encrypted() => return Ok(Some(key)),
        Ok(_) | Err(Error::KeyIsEncrypted | Error::SshKey(ssh_key::Error::Encrypted)) => {}
        Err(error) if ssh_key::PublicKey::from_openssh(&text).is_ok() => {
            let _ = error;
            return Err(unusable("it is a public key; give the private one".to_owned()));
        }
        Err(error) => return Err(unusable(error.to_string())),
    }
    for _ in 0..TRIES {
        let question = Question::Passphrase {
            path: path.to_owned(),
        };
        let Some(passphrase) = ask(&question) else {
            return Ok(None);
        };
        let text = text.clone();
        // Deriving the key is slow on purpose.
        let opened = tokio::task::spawn_blocking(move || decode_secret_key(&text, Some(passphrase.reveal())));
        if let Ok(Ok(key)) = opened.await {
            return Ok(Some(key));
        }
    }
    Err(unusable("the passphrase is wrong".to_owned()))
}
