//! What is kept of the backups.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How many backups stay, by how far they lie apart. With nothing in it, all of them stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// The last so many, however near to one another.
    #[serde(skip_serializing_if = "is_zero")]
    pub last: u32,
    /// The last of each of so many hours.
    #[serde(skip_serializing_if = "is_zero")]
    pub hourly: u32,
    /// The last of each of so many days.
    #[serde(skip_serializing_if = "is_zero")]
    pub daily: u32,
    /// The last of each of so many weeks, which begin on Monday.
    #[serde(skip_serializing_if = "is_zero")]
    pub weekly: u32,
    /// The last of each of so many months.
    #[serde(skip_serializing_if = "is_zero")]
    pub monthly: u32,
    /// The last of each of so many years.
    #[serde(skip_serializing_if = "is_zero")]
    pub yearly: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Retention {
    /// What a target keeps if nobody says otherwise.
    pub const USUAL: Self = Self {
        last: 0,
        hourly: 0,
        daily: 7,
        weekly: 5,
        monthly: 12,
        yearly: 2,
    };

    /// Whether all backups stay.
    pub fn keeps_all(&self) -> bool {
        *self == Self::default()
    }

    fn words(&mut self) -> [(&'static str, &mut u32); 6] {
        [
            ("last", &mut self.last),
            ("hourly", &mut self.hourly),
            ("daily", &mut self.daily),
            ("weekly", &mut self.weekly),
            ("monthly", &mut self.monthly),
            ("yearly", &mut self.yearly),
        ]
    }
}

impl FromStr for Retention {
    type Err = String;

    /// `daily=7,weekly=5,monthly=12,yearly=2`, or `all`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |why: String| {
            format!(
                "{text:?} does not say what is kept: {why}. Write it like daily=7,weekly=5,monthly=12,yearly=2, or all"
            )
        };
        let mut kept = Self::default();
        if text.trim() == "all" {
            return Ok(kept);
        }
        for rule in text.split(',').map(str::trim) {
            let (word, number) = rule
                .split_once('=')
                .ok_or_else(|| refuse(format!("{rule:?} has no number")))?;
            let number: u32 = number
                .parse()
                .ok()
                .filter(|number| (1..=9999).contains(number))
                .ok_or_else(|| refuse(format!("{number:?} is no number from 1 to 9999")))?;
            let mut words = kept.words();
            let (_, place) = words
                .iter_mut()
                .find(|(known, _)| *known == word)
                .ok_or_else(|| {
                    refuse(format!(
                        "{word:?} is none of last, hourly, daily, weekly, monthly, yearly"
                    ))
                })?;
            if std::mem::replace(*place, number) != 0 {
                return Err(refuse(format!("{word} is there twice")));
            }
        }
        Ok(kept)
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut copy = *self;
        let rules: Vec<String> = copy
            .words()
            .into_iter()
            .filter(|(_, number)| **number > 0)
            .map(|(word, number)| format!("{word}={number}"))
            .collect();
        f.pad(&if rules.is_empty() {
            "all".to_owned()
        } else {
            rules.join(",")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_and_shown_in_the_same_words() {
        for text in ["daily=7,weekly=5,monthly=12,yearly=2", "last=3,hourly=24", "all"] {
            assert_eq!(text.parse::<Retention>().expect(text).to_string(), text);
        }
        assert_eq!(Retention::USUAL.to_string().parse(), Ok(Retention::USUAL));
        assert_eq!(
            "weekly=5, daily=7"
                .parse::<Retention>()
                .expect("parses")
                .to_string(),
            "daily=7,weekly=5"
        );
    }

    #[test]
    fn keeping_nothing_cannot_be_said() {
        for bad in [
            "",
            "daily",
            "daily=0",
            "daily=-1",
            "daily=7,daily=8",
            "dayly=7",
            "daily=99999",
            "none",
        ] {
            assert!(bad.parse::<Retention>().is_err(), "{bad:?}");
        }
    }
}
