//! Certificates in a file. The agent knows no cryptography: it hands out what is public, and the controller reads it.

use std::fs::File;
use std::io::Read;

use serde::{Deserialize, Serialize};

use super::{Finding, Observe, Scene};
use crate::names::{self, Verdict};

/// Which certificates are in a file?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFile {
    /// The file, in PEM form.
    pub path: String,
}

/// The certificates in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificates {
    /// Whether the file is there.
    pub exists: bool,
    /// Each in PEM form; nothing else of the file, for that may be a private key.
    pub pem: Vec<String>,
}

/// What is read of a file, in bytes. A chain has about 5 KiB.
const LARGEST: u64 = 64 * 1024;

/// What is handed out of it, in bytes: all answers together have to fit into a frame.
const MOST: usize = 16 * 1024;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

impl Observe for CertificateFile {
    fn check(&self) -> Verdict {
        names::path(&self.path)
    }

    fn observe(&self, scene: &Scene) -> Result<Finding, String> {
        let file = match File::open(scene.layout.at(&self.path)) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Finding::Certificates(Certificates::default()));
            }
            Err(error) => return Err(format!("reading {}: {error}", self.path)),
        };
        let mut bytes = Vec::new();
        file.take(LARGEST)
            .read_to_end(&mut bytes)
            .map_err(|error| format!("reading {}: {error}", self.path))?;
        let pem = certificates(&String::from_utf8_lossy(&bytes));
        Ok(Finding::Certificates(Certificates { exists: true, pem }))
    }
}

fn certificates(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut room = MOST;
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let Some((inner, next)) = after.split_once(END) else {
            break;
        };
        rest = next;
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=\r\n".contains(&byte);
        // Whatever else stands between the two lines is no certificate and stays here.
        if !inner.bytes().all(is_base64) {
            continue;
        }
        let whole = format!("{BEGIN}{inner}{END}\n");
        if whole.len() > room {
            break;
        }
        room -= whole.len();
        found.push(whole);
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_private_key_in_the_same_file_stays_on_the_host() {
        let file = format!(
            "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n{BEGIN}\nYWJj\n{END}\nnotes\n\
             {BEGIN}\n-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n{END}\n{BEGIN}\nZGVm\n{END}\n"
        );
        assert_eq!(
            certificates(&file),
            [
                format!("{BEGIN}\nYWJj\n{END}\n"),
                format!("{BEGIN}\nZGVm\n{END}\n")
            ]
        );
    }

    proptest! {
        #[test]
        fn files_may_hold_anything(text in "(-----BEGIN CERTIFICATE-----|-----END CERTIFICATE-----|[A-Z]{1,9}|\n|.){0,60}") {
            for pem in certificates(&text) {
                prop_assert!(pem.starts_with(BEGIN) && pem.len() <= MOST);
            }
        }
    }
}
