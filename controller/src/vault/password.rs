//! Passwords that people may have to type.

use super::VaultError;
use super::cipher::random;
use crate::model::Secret;

/// Letters and digits that nobody mistakes for one another: no 0 and O, no 1, l and I.
const ALPHABET: &[u8] = b"abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Small letters that nobody mistakes for one another on paper, and that need no shift: no i, l, o.
const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz";

/// A random password of this many characters.
///
/// # Errors
/// [`VaultError::NoRandomness`].
pub fn generate_password(length: usize) -> Result<Secret, VaultError> {
    random_text(ALPHABET, length).map(Secret::new)
}

/// A random password that is typed off paper: six groups of four letters, 108 bits.
///
/// # Errors
/// [`VaultError::NoRandomness`].
pub fn generate_on_paper() -> Result<Secret, VaultError> {
    let groups = (0..6).map(|_| random_text(LETTERS, 4));
    Ok(Secret::new(groups.collect::<Result<Vec<_>, _>>()?.join("-")))
}

fn random_text(alphabet: &[u8], length: usize) -> Result<String, VaultError> {
    // Bytes beyond a multiple of the alphabet's length would prefer its first letters.
    let fair = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(length);
    while text.len() < length {
        for byte in random::<32>()? {
            if usize::from(byte) < fair && text.len() < length {
                text.push(char::from(alphabet[usize::from(byte) % alphabet.len()]));
            }
        }
    }
    Ok(text)
}
