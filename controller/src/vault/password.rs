//! Passwords that people may have to type.

use super::VaultError;
use super::cipher::random;
use crate::model::Secret;

/// Letters and digits that nobody mistakes for one another: no 0 and O, no 1, l and I.
const ALPHABET: &[u8] = b"abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// A random password of this many characters.
///
/// # Errors
/// [`VaultError::NoRandomness`].
pub fn generate_password(length: usize) -> Result<Secret, VaultError> {
    // Bytes beyond a multiple of the alphabet's length would prefer its first letters.
    let fair = 256 - 256 % ALPHABET.len();
    let mut password = String::with_capacity(length);
    while password.len() < length {
        for byte in random::<32>()? {
            if usize::from(byte) < fair && password.len() < length {
                password.push(char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
            }
        }
    }
    Ok(Secret::new(password))
}
