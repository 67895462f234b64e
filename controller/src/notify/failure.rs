//! Why a message did not arrive, in words that hold no secret.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::model::Secret;

/// The longest answer of the other side that is kept, in characters.
const LONGEST: usize = 300;

/// Why a message did not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it is about.
    pub fault: Fault,
    /// What was attempted and what came back: one line without secrets.
    pub said: String,
    /// How long the other side wants to be left alone.
    pub retry_after: Option<Duration>,
}

/// What a failure is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The channel: nothing would arrive.
    Channel,
    /// This message or its address, perhaps not for ever.
    Message,
    /// This message or its address, and another attempt will not change that.
    Refused,
}

impl Failure {
    /// A failure with what was said, cut to one line.
    pub fn new(fault: Fault, said: impl AsRef<str>) -> Self {
        Self {
            fault,
            said: one_line(said.as_ref()),
            retry_after: None,
        }
    }

    /// Masks a secret, should the other side have repeated it. Short ones are masked where they stand as a word of their own, too.
    #[must_use]
    pub fn without(mut self, secret: Option<&Secret>) -> Self {
        self.said = masked(&self.said, secret);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

/// A text of the other side as it may be kept: one line, not too long, without the secret.
pub fn kept(text: &str, secret: Option<&Secret>) -> String {
    one_line(&masked(text, secret))
}

fn masked(text: &str, secret: Option<&Secret>) -> String {
    use base64::Engine as _;
    let Some(secret) = secret.map(Secret::reveal).filter(|secret| !secret.is_empty()) else {
        return text.to_owned();
    };
    let encoded = base64::engine::general_purpose::STANDARD.encode(secret);
    text.replace(secret, Secret::MASK).replace(&encoded, Secret::MASK)
}

fn one_line(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let words: Vec<&str> = line.split_whitespace().collect();
    words.join(" ").chars().take(LONGEST).collect()
}

/// An error with what caused it.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_other_side_repeats_of_a_secret_is_masked() {
        let secret = Secret::new("hunter2-hunter2".to_owned());
        let said = "535 no: hunter2-hunter2\r\n(aHVudGVyMi1odW50ZXIy)";
        let failure = Failure::new(Fault::Channel, said).without(Some(&secret));
        assert_eq!(failure.said, "535 no: ••• (•••)");
        assert_eq!(kept("a\u{1b}[31mb", None), "a [31mb");
    }
}
