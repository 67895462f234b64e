//! Authenticated encryption: XChaCha20-Poly1305, the random nonce before the ciphertext.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use rustix::rand::{GetRandomFlags, getrandom};
use zeroize::Zeroizing;

use super::VaultError;

/// Length of a key, in bytes.
pub const KEY: usize = 32;

/// Length of a nonce, in bytes: long enough to be random.
const NONCE: usize = 24;

/// A key, ready for use.
pub struct Cipher(XChaCha20Poly1305);

/// The ciphertext is not what this key wrote for this purpose.
#[derive(Debug)]
pub struct Forged;

impl Cipher {
    /// Encryption with this key.
    pub fn new(key: &[u8; KEY]) -> Self {
        Self(XChaCha20Poly1305::new(&Key::from(*key)))
    }

    /// Encrypts; the ciphertext opens only for the same purpose.
    pub fn encrypt(&self, purpose: &str, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        let nonce: [u8; NONCE] = random()?;
        let payload = Payload {
            msg: plain,
            aad: purpose.as_bytes(),
        };
        let sealed = self
            .0
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|error| VaultError::NoRandomness(error.to_string()))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Decrypts what was encrypted for this purpose.
    pub fn decrypt(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Forged> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE).ok_or(Forged)?;
        let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| Forged)?;
        let payload = Payload {
            msg: sealed,
            aad: purpose.as_bytes(),
        };
        self.0
            .decrypt(&XNonce::from(nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| Forged)
    }
}

/// A new key.
pub fn random_key() -> Result<Zeroizing<[u8; KEY]>, VaultError> {
    random().map(Zeroizing::new)
}

/// Bytes from the system's random number generator.
pub fn random<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut bytes = [0; N];
    let filled = getrandom(&mut bytes, GetRandomFlags::empty())
        .map_err(|error| VaultError::NoRandomness(error.to_string()))?;
    if filled == N {
        Ok(bytes)
    } else {
        Err(VaultError::NoRandomness("too few came back".to_owned()))
    }
}
