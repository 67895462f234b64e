//! How busy the host is.

use serde::{Deserialize, Serialize};

use super::{Finding, Observe, Scene};

/// How busy is the host?
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadQuestion {}

/// How many programs wanted to run, or waited for a disk, on average; in hundredths.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// In the last minute.
    pub one: u64,
    /// In the last five minutes.
    pub five: u64,
    /// In the last quarter of an hour.
    pub fifteen: u64,
    /// Processors there are.
    pub processors: u64,
}

impl Observe for LoadQuestion {
    fn observe(&self, scene: &Scene) -> Result<Finding, String> {
        let text = scene.text("/proc/loadavg")?;
        let [one, five, fifteen] = parse(&text).ok_or("/proc/loadavg says nothing that can be understood")?;
        Ok(Finding::Load(Load {
            one,
            five,
            fifteen,
            processors: std::thread::available_parallelism().map_or(1, |count| count.get() as u64),
        }))
    }
}

fn parse(loadavg: &str) -> Option<[u64; 3]> {
    let mut numbers = loadavg.split(' ').map(hundredths);
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}

fn hundredths(number: &str) -> Option<u64> {
    let (whole, part) = number.split_once('.')?;
    let part: u64 = part.parse().ok().filter(|part| *part < 100)?;
    whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn load_is_read_in_hundredths() {
        assert_eq!(parse("0.08 12.30 1.00 1/234 5678\n"), Some([8, 1230, 100]));
        assert_eq!(parse("0.08 12"), None);
        assert_eq!(parse(""), None);
    }

    proptest! {
        #[test]
        fn what_the_kernel_says_may_be_anything(text in "([0-9.]{1,25}| |.){0,20}") {
            parse(&text);
        }
    }
}
