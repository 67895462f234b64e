//! Amounts of data.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A number of bytes. People read and write it in thousands, as disks are sold: `1.2 GB`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Size(pub u64);

/// Units of a thousand, from the smallest.
const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];

/// How many bytes a unit is, written in small letters: `gb` of thousands, `gib` of 1024s.
fn factor(unit: &str) -> Option<f64> {
    (0..).zip(UNITS).find_map(|(power, known)| {
        let known = known.to_lowercase();
        if unit == known {
            Some(1000_f64.powi(power))
        } else {
            (power > 0 && unit == known.replace('b', "ib")).then(|| 1024_f64.powi(power))
        }
    })
}

impl FromStr for Size {
    type Err = String;

    /// `500 GB`, `1.5TB`, `2 TiB`; a number alone is bytes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || format!("{text:?} is no amount of data: write it like 500 GB or 1.5 TB");
        let trimmed = text.trim();
        let end = trimmed
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(end);
        let number: f64 = number.parse().map_err(|_| refuse())?;
        let unit = unit.trim().to_lowercase();
        let factor = if unit.is_empty() { Some(1.0) } else { factor(&unit) };
        let factor = factor.ok_or_else(refuse)?;
        let bytes = number * factor;
        // What the store can keep.
        if !(0.0..9.0e18).contains(&bytes) {
            return Err(refuse());
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is within the bounds"
        )]
        Ok(Self(bytes as u64))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut unit = 0;
        let mut rest = self.0 as f64;
        while rest >= 999.5 && unit + 1 < UNITS.len() {
            rest /= 1000.0;
            unit += 1;
        }
        let name = UNITS.get(unit).copied().unwrap_or_default();
        if unit == 0 || rest >= 9.95 {
            f.pad(&format!("{rest:.0} {name}"))
        } else {
            f.pad(&format!("{rest:.1} {name}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("500 GB", 500_000_000_000),
            ("1.5TB", 1_500_000_000_000),
            ("2 TiB", 2_199_023_255_552),
            ("10 kb", 10_000),
            ("17", 17),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for bad in [
            "", "GB", "-1 GB", "1,5 TB", "5 XB", "5 ib", "99999 PB", "1.2.3 MB",
        ] {
            assert!(bad.parse::<Size>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn amounts_are_shown_with_as_many_digits_as_mean_something() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1_234_567, "1.2 MB"),
            (850_000_000, "850 MB"),
            (999_600_000, "1.0 GB"),
            (12_345_678_901, "12 GB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }
}
