//! Files sealed with a passphrase, in the format of age (<https://age-encryption.org/v1>): whoever has the passphrase can open
//! them without Allmende, with `age --decrypt`.

use std::io::{self, BufRead, Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use hmac::{Hmac, Mac};
use scrypt::Params;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::cipher::random;
use crate::model::Secret;

/// What such a file begins with.
const FIRST_LINE: &str = "age-encryption.org/v1";

/// How hard guessing the passphrase is made, as a power of two: 128 MB of memory and some tenths of a second for each guess.
const WORK: u8 = 17;

/// The most that a file may ask for when it is opened: 1 GB.
const MOST_WORK: u8 = 20;

/// How much is sealed at a time, and what a seal adds to it.
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;

/// The longest line of a head.
const LINE: u64 = 200;

/// Why a sealed file was not opened.
#[derive(Debug, thiserror::Error)]
pub enum SealedFileError {
    /// It is something else.
    #[error("it is none: it does not begin with {FIRST_LINE}")]
    Foreign,
    /// The passphrase is another one.
    #[error("this passphrase does not open it: it was sealed with another one")]
    Passphrase,
    /// Its end is missing.
    #[error("it ends too early: its end was cut off. Take another copy")]
    Truncated,
    /// It is not what was written.
    #[error("it was damaged or changed after it was written. Take another copy")]
    Damaged,
    /// It cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Seals what is written through it. Without [`SealingWriter::finish`] the file cannot be opened.
pub struct SealingWriter<W> {
    chunks: Chunks,
    pending: Zeroizing<Vec<u8>>,
    into: W,
}

/// Opens what is read through it. An end that is missing is [`io::ErrorKind::UnexpectedEof`], damage
/// [`io::ErrorKind::InvalidData`].
pub struct OpeningReader<R> {
    chunks: Chunks,
    open: Zeroizing<Vec<u8>>,
    given: usize,
    ended: bool,
    from: R,
}

/// The cipher of the chunks, which are numbered; the last one is marked.
struct Chunks {
    cipher: ChaCha20Poly1305,
    number: u64,
}

impl Chunks {
    /// From the file's key and the nonce that stands before the chunks.
    fn new(file_key: &[u8], nonce: &[u8]) -> Self {
        let key = derived(file_key, nonce, b"payload");
        Self {
            cipher: ChaCha20Poly1305::new(&Key::from(*key)),
            number: 0,
        }
    }

    fn nonce(&mut self, last: bool) -> Nonce {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&self.number.to_be_bytes());
        nonce[11] = u8::from(last);
        self.number += 1;
        Nonce::from(nonce)
    }

    fn seal(&mut self, plain: &[u8], last: bool) -> io::Result<Vec<u8>> {
        let nonce = self.nonce(last);
        let sealed = self.cipher.encrypt(&nonce, plain);
        sealed.map_err(|error| io::Error::other(error.to_string()))
    }

    /// None when it is not what was sealed.
    fn open(&mut self, sealed: &[u8], last: bool) -> Option<Zeroizing<Vec<u8>>> {
        let nonce = self.nonce(last);
        self.cipher.decrypt(&nonce, sealed).ok().map(Zeroizing::new)
    }
}

impl<W: Write> SealingWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// No randomness, or what writing says.
    pub fn new(mut into: W, passphrase: &Secret) -> io::Result<Self> {
        let random = || random::<16>().map_err(io::Error::other);
        let (file_key, salt, nonce) = (Zeroizing::new(random()?), random()?, random()?);
        let wrapping = wrapping_cipher(passphrase, &salt, WORK)?;
        let wrapped = wrapping
            .encrypt(&Nonce::default(), file_key.as_slice())
            .map_err(|error| io::Error::other(error.to_string()))?;
        let head = format!(
            "{FIRST_LINE}\n-> scrypt {} {WORK}\n{}\n---",
            STANDARD_NO_PAD.encode(salt),
            STANDARD_NO_PAD.encode(wrapped)
        );
        let mac = authenticator(file_key.as_slice(), head.as_bytes()).finalize();
        writeln!(into, "{head} {}", STANDARD_NO_PAD.encode(mac.into_bytes()))?;
        into.write_all(&nonce)?;
        Ok(Self {
            chunks: Chunks::new(file_key.as_slice(), &nonce),
            pending: Zeroizing::new(Vec::with_capacity(CHUNK)),
            into,
        })
    }

    /// Ends the file. The last chunk is filled up with zeros, so that what was cut off can be told from what was damaged.
    ///
    /// # Errors
    /// What writing says.
    pub fn finish(mut self) -> io::Result<W> {
        self.pending.resize(CHUNK, 0);
        let last = self.chunks.seal(&self.pending, true)?;
        self.into.write_all(&last)?;
        self.into.flush()?;
        Ok(self.into)
    }
}

impl<W: Write> Write for SealingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Only the last chunk may be short, and which one is the last is known when there is no more.
        if self.pending.len() == CHUNK && !bytes.is_empty() {
            let sealed = self.chunks.seal(&self.pending, false)?;
            self.into.write_all(&sealed)?;
            self.pending.clear();
        }
        let taken = bytes.len().min(CHUNK - self.pending.len());
        self.pending.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

impl<R: BufRead> OpeningReader<R> {
    /// Reads the head of a file and makes it out with the passphrase.
    ///
    /// # Errors
    /// See [`SealedFileError`].
    pub fn new(mut from: R, passphrase: &Secret) -> Result<Self, SealedFileError> {
        let begin = from.fill_buf()?;
        if !begin
            .iter()
            .zip(FIRST_LINE.bytes())
            .all(|(found, wanted)| *found == wanted)
        {
            return Err(SealedFileError::Foreign);
        }
        if line(&mut from)? != FIRST_LINE {
            return Err(SealedFileError::Foreign);
        }
        let (stanza, body, end) = (line(&mut from)?, line(&mut from)?, line(&mut from)?);
        let (salt, work) = stanza
            .strip_prefix("-> scrypt ")
            .and_then(|rest| rest.split_once(' '))
            .ok_or(SealedFileError::Foreign)?;
        let decoded = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| SealedFileError::Damaged);
        let work = work.parse().ok().filter(|work| (1..=MOST_WORK).contains(work));
        let wrapping = wrapping_cipher(passphrase, &decoded(salt)?, work.ok_or(SealedFileError::Damaged)?)?;
        let file_key = wrapping
            .decrypt(&Nonce::default(), decoded(&body)?.as_slice())
            .map(Zeroizing::new)
            .map_err(|_| SealedFileError::Passphrase)?;
        let mac = decoded(end.strip_prefix("--- ").ok_or(SealedFileError::Damaged)?)?;
        let head = format!("{FIRST_LINE}\n{stanza}\n{body}\n---");
        authenticator(&file_key, head.as_bytes())
            .verify_slice(&mac)
            .map_err(|_| SealedFileError::Damaged)?;
        let mut nonce = [0; 16];
        from.read_exact(&mut nonce).map_err(cut_off)?;
        Ok(Self {
            chunks: Chunks::new(&file_key, &nonce),
            open: Zeroizing::new(Vec::new()),
            given: 0,
            ended: false,
            from,
        })
    }

    /// Opens the next chunk.
    fn next(&mut self) -> io::Result<()> {
        let mut sealed = Vec::with_capacity(CHUNK + TAG);
        (&mut self.from)
            .take((CHUNK + TAG) as u64)
            .read_to_end(&mut sealed)?;
        let last = self.from.fill_buf()?.is_empty();
        let number = self.chunks.number;
        if let Some(open) = self.chunks.open(&sealed, last) {
            (self.open, self.given, self.ended) = (open, 0, last);
            return Ok(());
        }
        // All chunks are whole: a short one was cut, and a last one that is not marked as such lost those behind it.
        self.chunks.number = number;
        let cut = sealed.len() < CHUNK + TAG || (last && self.chunks.open(&sealed, false).is_some());
        Err(if cut {
            io::ErrorKind::UnexpectedEof.into()
        } else {
            io::ErrorKind::InvalidData.into()
        })
    }
}

impl<R: BufRead> Read for OpeningReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.given == self.open.len() && !self.ended {
            self.next()?;
        }
        let left = &self.open[self.given..];
        let taken = left.len().min(into.len());
        into[..taken].copy_from_slice(&left[..taken]);
        self.given += taken;
        Ok(taken)
    }
}

impl SealedFileError {
    /// What an error of [`OpeningReader`] means.
    pub fn of_reading(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            io::ErrorKind::InvalidData => Self::Damaged,
            _ => Self::Io(error),
        }
    }
}

/// A line of the head, without its end.
fn line(from: &mut impl BufRead) -> Result<String, SealedFileError> {
    let mut line = Vec::new();
    from.take(LINE).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(SealedFileError::Truncated);
    }
    String::from_utf8(line).map_err(|_| SealedFileError::Damaged)
}

fn cut_off(error: io::Error) -> SealedFileError {
    SealedFileError::of_reading(error)
}

/// The cipher that wraps the file's key.
fn wrapping_cipher(passphrase: &Secret, salt: &[u8], work: u8) -> io::Result<ChaCha20Poly1305> {
    let salt = [b"age-encryption.org/v1/scrypt", salt].concat();
    let mut key = Zeroizing::new([0; 32]);
    let params = Params::new(work, 8, 1).map_err(io::Error::other)?;
    scrypt::scrypt(passphrase.reveal().as_bytes(), &salt, &params, key.as_mut_slice())
        .map_err(io::Error::other)?;
    Ok(ChaCha20Poly1305::new(&Key::from(*key)))
}

/// HKDF-SHA256 for one key.
fn derived(secret: &[u8], salt: &[u8], purpose: &[u8]) -> Zeroizing<[u8; 32]> {
    let extracted = hmac(salt, &[secret]).finalize().into_bytes();
    Zeroizing::new(hmac(&extracted, &[purpose, &[1]]).finalize().into_bytes().into())
}

fn authenticator(file_key: &[u8], head: &[u8]) -> Hmac<Sha256> {
    let key = derived(file_key, &[], b"header");
    hmac(key.as_slice(), &[head])
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    // Only a block longer than any of ours could be refused, and HMAC takes keys of all lengths.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()));
    for part in parts {
        mac.update(part);
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        let mut writer = SealingWriter::new(Vec::new(), &secret("eins zwei drei")).expect("begun");
        writer.write_all(plain).expect("written");
        writer.finish().expect("ended")
    }

    fn opened(file: &[u8], passphrase: &str) -> Result<Vec<u8>, SealedFileError> {
        let mut plain = Vec::new();
        OpeningReader::new(file, &secret(passphrase))?
            .read_to_end(&mut plain)
            .map_err(SealedFileError::of_reading)?;
        Ok(plain)
    }

    #[test]
    fn what_was_sealed_comes_back_and_nothing_else_does() {
        let plain: Vec<u8> = (0..CHUNK + 1000).map(|n| (n % 251) as u8).collect();
        let file = sealed(&plain);
        let back = opened(&file, "eins zwei drei").expect("opened");
        assert!(back.starts_with(&plain));
        assert_eq!(back.len(), 2 * CHUNK);
        let said = |file: &[u8], passphrase: &str| match opened(file, passphrase) {
            Ok(_) => "opened".to_owned(),
            Err(error) => error.to_string(),
        };
        let is = |said: &str, expected: SealedFileError| assert_eq!(said, expected.to_string());
        is(&said(&file, "eins zwei vier"), SealedFileError::Passphrase);
        is(
            &said(b"PK\x03\x04 something else\n", "x"),
            SealedFileError::Foreign,
        );
        is(&said(b"", "x"), SealedFileError::Truncated);
        let head = file.len() - 2 * (CHUNK + TAG) - 16;
        for cut in [
            head - 3,
            head + 4,
            head + 16,
            head + 400,
            head + 16 + CHUNK + TAG,
            file.len() - 1,
        ] {
            let cut = said(&file[..cut], "eins zwei drei");
            is(&cut, SealedFileError::Truncated);
        }
        for place in [head + 20, head + 16 + CHUNK + TAG + 3, file.len() - 1] {
            let mut changed = file.clone();
            changed[place] ^= 1;
            is(&said(&changed, "eins zwei drei"), SealedFileError::Damaged);
        }
    }

    #[test]
    fn a_file_of_age_itself_can_be_opened() {
        // Made by age 1.1.1 with the passphrase "ein-zwei-drei" over "Sonnenblume\n".
        let file = STANDARD_NO_PAD
            .decode(include_str!("sealed_by_age.txt").trim_end_matches(['=', '\n']))
            .expect("bytes");
        assert_eq!(opened(&file, "ein-zwei-drei").expect("opened"), b"Sonnenblume\n");
    }
}
