//! A person's key files.

use std::path::Path;

use russh::keys::{Error, PrivateKey, PublicKey, decode_secret_key, ssh_key};

use super::FleetError;
use super::access::{Ask, Question};

/// How often a passphrase is asked for.
const TRIES: usize = 3;

/// The public half of a key file, if it can be had without a passphrase.
pub(super) async fn public_half(path: &Path) -> Option<PublicKey> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pub");
    for path in [path, Path::new(&beside)] {
        let Ok(text) = tokio::fs::read_to_string(path).await else {
            continue;
        };
        let text = zeroize::Zeroizing::new(text);
        if let Ok(key) = PublicKey::from_openssh(&text) {
            return Some(key);
        }
        if let Ok(key) = PrivateKey::from_openssh(text.as_bytes()) {
            return Some(key.public_key().clone());
        }
    }
    None
}

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
        Err(_) if PublicKey::from_openssh(&text).is_ok() => {
            let reason = "it is a public key, and the ssh-agent does not hold its private one";
            return Err(unusable(reason.to_owned()));
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

#[cfg(test)]
mod tests {
    use russh::keys::Algorithm;
    use russh::keys::ssh_key::LineEnding;

    use super::*;
    use crate::model::Secret;

    fn key_file(directory: &tempfile::TempDir, passphrase: Option<&str>) -> std::path::PathBuf {
        let mut random = russh::keys::key::safe_rng();
        let mut key = PrivateKey::random(&mut random, Algorithm::Ed25519).expect("generates");
        if let Some(passphrase) = passphrase {
            key = key.encrypt(&mut random, passphrase).expect("encrypts");
        }
        let path = directory.path().join("id");
        std::fs::write(&path, key.to_openssh(LineEnding::LF).expect("encodes").as_bytes()).expect("writes");
        path
    }

    #[tokio::test]
    async fn a_plain_key_needs_no_passphrase() {
        let directory = tempfile::tempdir().expect("makes");
        let path = key_file(&directory, None);
        let mut ask = |question: &Question| panic!("asked {question}");
        assert!(load(&path, &mut ask).await.expect("loads").is_some());
        assert!(public_half(&path).await.is_some());
    }

    #[tokio::test]
    async fn a_passphrase_is_asked_for_until_it_fits() {
        let directory = tempfile::tempdir().expect("makes");
        let path = key_file(&directory, Some("geheim"));
        let mut answers = ["falsch", "geheim"].into_iter();
        let mut ask = |_: &Question| answers.next().map(|answer| Secret::new(answer.to_owned()));
        assert!(load(&path, &mut ask).await.expect("loads").is_some());
        assert_eq!(answers.next(), None);
        assert!(
            public_half(&path).await.is_some(),
            "no passphrase is needed for that"
        );

        let mut silent = |_: &Question| None;
        assert!(load(&path, &mut silent).await.expect("gives up").is_none());
        let mut wrong = |_: &Question| Some(Secret::new("falsch".to_owned()));
        let error = load(&path, &mut wrong).await.expect_err("refuses");
        assert!(error.to_string().contains("the passphrase is wrong"), "{error}");
    }

    #[tokio::test]
    async fn a_file_that_is_no_key_is_refused_by_name() {
        let directory = tempfile::tempdir().expect("makes");
        let path = directory.path().join("id");
        std::fs::write(&path, "no key").expect("writes");
        let mut ask = |question: &Question| panic!("asked {question}");
        let error = load(&path, &mut ask).await.expect_err("refuses");
        assert!(error.to_string().contains("id cannot be used"), "{error}");
    }
}
