//! How units of systemd are, and which of them failed.
//!
//! One program tells about all: the list of all units that systemd has loaded. Only of asked ones that are not simply active
//! more is asked, all at once.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Finding, Observe, Scene};
use crate::names::{self, Verdict};
use crate::process::Program;

/// How is a unit?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitQuestion {
    /// With its suffix: `nginx.service`.
    pub unit: String,
}

/// How a unit is, in systemd's words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Unit {
    /// `loaded`, `not-found`, `masked`, `bad-setting` …
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating` …
    pub active: String,
    /// `running`, `dead`, `auto-restart` …
    pub sub: String,
    /// `success`, `exit-code`, `oom-kill`, `timeout` …: how it last ended; empty while it is active.
    pub result: String,
    /// The last exit code or signal of its program.
    pub status: i64,
    /// How often systemd has started it again by itself.
    pub restarts: u64,
    /// Whether it is a program that ends when its work is done, and did so well.
    pub ended_well: bool,
    /// Whether its conditions held when it was last to be started.
    pub condition: bool,
}

/// Which units failed?
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailedUnitsQuestion {}

/// Units that failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailedUnits {
    /// Their names, at most [`FailedUnits::MOST`].
    pub names: Vec<String>,
    /// How many there are.
    pub count: u64,
}

impl FailedUnits {
    /// How many are named.
    pub const MOST: usize = 20;
}

impl Observe for UnitQuestion {
    fn check(&self) -> Verdict {
        names::unit(&self.unit)
    }

    fn observe(&self, scene: &Scene) -> Result<Finding, String> {
        let unit = scene.systemd()?.units.get(&self.unit);
        unit.cloned()
            .map(Finding::Unit)
            .ok_or_else(|| format!("systemd said nothing about {}", self.unit))
    }
}

impl Observe for FailedUnitsQuestion {
    fn observe(&self, scene: &Scene) -> Result<Finding, String> {
        Ok(Finding::FailedUnits(scene.systemd()?.failed.clone()))
    }
}

/// What systemd says.
#[derive(Debug, Default)]
pub(super) struct Systemd {
    units: HashMap<String, Unit>,
    pub(super) failed: FailedUnits,
    /// Units that are active.
    pub(super) active: BTreeSet<String>,
}

const PROPERTIES: &str = "LoadState,ActiveState,SubState,Result,ExecMainStatus,NRestarts,Type,RemainAfterExit,\
                          ExecMainExitTimestampMonotonic,ConditionResult";

impl Systemd {
    pub(super) fn ask(names: &BTreeSet<String>, patience: Duration) -> Result<Systemd, String> {
        let argv = [
            "systemctl",
            "list-units",
            "--all",
            "--full",
            "--plain",
            "--no-legend",
            "--no-pager",
        ];
        let text = printed(&Program::new(argv), patience)?;
        let mut systemd = Systemd::listed(&text, names);
        let others: Vec<&String> = names
            .iter()
            .filter(|name| !systemd.units.contains_key(*name))
            .collect();
        if !others.is_empty() {
            let argv = ["systemctl", "show", "--no-pager", "--property", PROPERTIES, "--"];
            let program = Program::new(argv).args(others.iter().map(|name| (*name).clone()));
            let text = printed(&program, patience)?;
            // An alias is answered with its target's name, so the order is what counts.
            let shown: Vec<Unit> = blocks(&text).map(shown).collect();
            if shown.len() != others.len() {
                return Err(format!(
                    "systemd was asked about {} units and answered about {}",
                    others.len(),
                    shown.len()
                ));
            }
            let more = others.into_iter().cloned().zip(shown);
            systemd.units.extend(more);
        }
        Ok(systemd)
    }

    /// What the list says: all of those that are simply active, for of them nobody wants to know more.
    fn listed(text: &str, names: &BTreeSet<String>) -> Systemd {
        let mut systemd = Systemd::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (Some(name), Some(load), Some(active), Some(sub)) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                continue;
            };
            match active {
                "failed" => {
                    systemd.failed.count += 1;
                    if systemd.failed.names.len() < FailedUnits::MOST {
                        systemd.failed.names.push(name.to_owned());
                    }
                }
                "active" => {
                    systemd.active.insert(name.to_owned());
                    if load == "loaded" && names.contains(name) {
                        let unit = Unit {
                            load: load.to_owned(),
                            active: active.to_owned(),
                            sub: sub.to_owned(),
                            condition: true,
                            ..Unit::default()
                        };
                        systemd.units.insert(name.to_owned(), unit);
                    }
                }
                _ => {}
            }
        }
        systemd
    }
}

fn printed(program: &Program, patience: Duration) -> Result<String, String> {
    let program = program.clone().timeout(patience);
    let finished = program.quietly().map_err(|error| error.to_string())?;
    Ok(finished.text())
}

fn blocks(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n\n").filter(|block| !block.trim().is_empty())
}

fn shown(block: &str) -> Unit {
    let of = |name: &str| {
        block
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_default()
            .to_owned()
    };
    let ended = !["", "0"].contains(&of("ExecMainExitTimestampMonotonic").as_str());
    let oneshot = of("Type") == "oneshot" && of("RemainAfterExit") == "no";
    Unit {
        ended_well: oneshot && ended && of("Result") == "success",
        load: of("LoadState"),
        active: of("ActiveState"),
        sub: of("SubState"),
        result: of("Result"),
        status: of("ExecMainStatus").parse().unwrap_or(0),
        restarts: of("NRestarts").parse().unwrap_or(0),
        condition: of("ConditionResult") != "no",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_list_tells_what_is_active_and_what_failed() {
        let names = ["nginx.service", "old.service", "php.service"];
        let names = names.map(str::to_owned).into();
        let systemd = Systemd::listed(
            "nginx.service loaded active running A high performance web server\n\
             old.service not-found inactive dead old.service\n\
             php.service loaded failed failed PHP\n\
             -.mount loaded active mounted Root Mount\n\nnonsense\n",
            &names,
        );
        assert_eq!(systemd.failed.names, ["php.service"]);
        assert_eq!(systemd.units.keys().collect::<Vec<_>>(), ["nginx.service"]);
        assert!(systemd.active.contains("-.mount"));
    }

    #[test]
    fn a_unit_that_is_not_active_is_told_in_full() {
        let text = "LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\nExecMainStatus=203\n\
                    NRestarts=5\nType=simple\nRemainAfterExit=no\nExecMainExitTimestampMonotonic=77\nConditionResult=yes\n\n\
                    LoadState=loaded\nActiveState=inactive\nSubState=dead\nResult=success\nType=oneshot\n\
                    RemainAfterExit=no\nExecMainExitTimestampMonotonic=77\nConditionResult=no\n";
        let units: Vec<Unit> = blocks(text).map(shown).collect();
        let [failed, ended] = units.as_slice() else {
            panic!("{units:?}")
        };
        assert_eq!(
            (failed.status, failed.restarts, failed.ended_well),
            (203, 5, false)
        );
        assert!(ended.ended_well && !ended.condition);
    }

    proptest! {
        #[test]
        fn what_systemd_prints_may_be_anything(text in "(LoadState=|loaded|failed|active| |=|\n|.){0,80}") {
            let systemd = Systemd::listed(&text, &BTreeSet::new());
            prop_assert!(systemd.failed.names.len() <= FailedUnits::MOST);
            blocks(&text).for_each(|block| { shown(block); });
        }
    }
}
