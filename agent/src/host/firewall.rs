//! The sets of open ports that the kernel has in force, asked once.

use std::collections::HashMap;

use serde_json::Value;

use crate::error::Error;
use crate::process::Program;

/// The sets of table `inet allmende`; empty when there is no such table.
#[derive(Debug, Default)]
pub(crate) struct LiveSets {
    sets: HashMap<String, Vec<(u64, u64)>>,
}

impl LiveSets {
    pub(super) fn read() -> Result<LiveSets, Error> {
        match Program::new(["nft", "-j", "list", "table", "inet", "allmende"]).quietly() {
            Ok(finished) => LiveSets::parse(&finished.stdout),
            Err(error) if error.says("No such file or directory") => Ok(LiveSets::default()),
            Err(error) => Err(error.into()),
        }
    }

    fn parse(json: &[u8]) -> Result<LiveSets, Error> {
        let answer: Value = serde_json::from_slice(json).map_err(|error| {
            Error::obstacle(
                format!("nft answered no JSON: {error}"),
                "run `nft -j list ruleset`",
            )
        })?;
        let mut sets: HashMap<String, Vec<(u64, u64)>> = HashMap::new();
        for object in answer
            .get("nftables")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let Some(set) = object.get("set") else { continue };
            let Some(name) = set.get("name").and_then(Value::as_str) else {
                continue;
            };
            let elements = set.get("elem").and_then(Value::as_array).into_iter().flatten();
            sets.entry(name.to_owned())
                .or_default()
                .extend(elements.filter_map(range));
        }
        Ok(LiveSets { sets })
    }

    /// Whether a set has a port; false when there is no such set.
    pub(crate) fn has(&self, set: &str, port: u16) -> bool {
        let port = u64::from(port);
        self.sets.get(set).is_some_and(|ranges| {
            ranges
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&port))
        })
    }
}

/// An element: a number, a range, or either of them with a counter or a comment around it.
fn range(element: &Value) -> Option<(u64, u64)> {
    if let Some(port) = element.as_u64() {
        return Some((port, port));
    }
    if let Some([first, last]) = element.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        return Some((first.as_u64()?, last.as_u64()?));
    }
    let inner = element.get("elem")?.get("val")?;
    match inner.as_u64() {
        Some(port) => Some((port, port)),
        None => match inner.get("range")?.as_array()?.as_slice() {
            [first, last] => Some((first.as_u64()?, last.as_u64()?)),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_in_all_their_forms_are_understood() {
        let sets = LiveSets::parse(
            br#"{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"table": {"family": "inet", "name": "allmende"}},
                {"set": {"family": "inet", "name": "open_tcp", "type": "inet_service",
                 "elem": [22, {"range": [80, 90]}, {"elem": {"val": 443, "comment": "x"}}, "strange"]}},
                {"set": {"name": "open_udp", "type": "inet_service"}}]}"#,
        )
        .expect("reads");
        assert!(
            [22, 80, 85, 90, 443]
                .iter()
                .all(|port| sets.has("open_tcp", *port))
        );
        assert!(!sets.has("open_tcp", 91) && !sets.has("open_udp", 22) && !sets.has("other", 22));
    }

    #[test]
    fn no_json_is_an_error() {
        assert!(LiveSets::parse(b"table inet").is_err());
        assert!(LiveSets::parse(b"[]").is_ok());
    }
}
