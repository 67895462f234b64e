//! What systemd says about units: one question for all units of a desired state.

use std::collections::{BTreeSet, HashMap};

use crate::error::Error;
use crate::host::Intent;
use crate::process::{Program, is_there};
use crate::protocol::{DesiredState, HandlerAct};
use crate::resources::ResourceSpec;

const PROPERTIES: &str = "Id,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,Type,\
                          RemainAfterExit,ExecMainExitTimestampMonotonic,Result,ConditionResult";

/// One unit, as systemd sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct UnitState {
    /// `loaded`, `not-found`, `masked`, `bad-setting` …
    pub(crate) load: String,
    /// `active`, `inactive`, `failed` …
    pub(crate) active: String,
    /// `enabled`, `disabled`, `static` …; empty when there is no unit file.
    pub(crate) file: String,
    /// Whether it ended and systemd starts it again and again.
    pub(crate) restarting: bool,
    /// Whether systemd counts it as running the moment its program is started, before it can have failed.
    pub(crate) hasty: bool,
    /// Whether its file is newer than what systemd has read.
    pub(crate) stale: bool,
    /// Whether it is a program that ends when its work is done.
    pub(crate) oneshot: bool,
    /// Whether it has ended well since the last boot.
    pub(crate) ended_well: bool,
    /// Whether its conditions held when it was last started.
    pub(crate) condition: bool,
}

impl UnitState {
    /// Whether there is such a unit.
    pub(crate) fn exists(&self) -> bool {
        !self.load.is_empty() && self.load != "not-found"
    }
}

/// The units of a desired state.
#[derive(Debug, Default)]
pub(super) struct Units {
    asked: BTreeSet<String>,
    known: Option<HashMap<String, UnitState>>,
    files_changed: bool,
}

impl Units {
    pub(super) fn expect(&mut self, desired: &DesiredState) {
        for section in &desired.sections {
            for resource in &section.resources {
                if let ResourceSpec::Unit(unit) = &resource.spec {
                    self.asked.insert(unit.name.clone());
                }
            }
            for handler in &section.handlers {
                if let HandlerAct::Unit { unit, .. } = &handler.act {
                    self.asked.insert(unit.clone());
                }
            }
        }
    }

    pub(super) fn forget(&mut self) {
        self.known = None;
    }

    pub(super) fn files_changed(&mut self) {
        self.known = None;
        self.files_changed = true;
    }

    /// Has systemd read all unit files again.
    pub(super) fn reload(&mut self) -> Result<(), Error> {
        Program::new(["systemctl", "daemon-reload"]).quietly()?;
        self.files_changed = false;
        self.known = None;
        Ok(())
    }

    pub(super) fn state(&mut self, name: &str, intent: Intent) -> Result<UnitState, Error> {
        if !is_there("systemctl") && intent == Intent::Plan {
            return Ok(UnitState::default());
        }
        if self.files_changed && intent == Intent::Apply {
            self.reload()?;
        }
        if let Some(state) = self.known.as_ref().and_then(|known| known.get(name)) {
            return Ok(state.clone());
        }
        self.asked.insert(name.to_owned());
        let known = self.known.insert(ask(&self.asked)?);
        Ok(known.get(name).cloned().unwrap_or_default())
    }
}

fn ask(names: &BTreeSet<String>) -> Result<HashMap<String, UnitState>, Error> {
    let output = Program::new(["systemctl", "show", "--property", PROPERTIES, "--"])
        .args(names.iter().cloned())
        .quietly()?
        .text();
    let blocks = parse(&output);
    if blocks.len() != names.len() {
        return Err(Error::obstacle(
            format!(
                "systemd was asked about {} units and answered about {}",
                names.len(),
                blocks.len()
            ),
            "run `systemctl show` on the host to see what it says",
        ));
    }
    // An alias is answered with its target's Id, so the order is what counts.
    Ok(names.iter().cloned().zip(blocks).collect())
}

fn parse(output: &str) -> Vec<UnitState> {
    output
        .split("\n\n")
        .filter(|block| !block.trim().is_empty())
        .map(parse_one)
        .collect()
}

fn parse_one(block: &str) -> UnitState {
    let of = |name: &str| {
        block
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_default()
            .to_owned()
    };
    let ended = !["", "0"].contains(&of("ExecMainExitTimestampMonotonic").as_str());
    UnitState {
        load: of("LoadState"),
        active: of("ActiveState"),
        file: of("UnitFileState"),
        restarting: of("SubState") == "auto-restart",
        hasty: ["simple", "exec"].contains(&of("Type").as_str()),
        stale: of("NeedDaemonReload") == "yes",
        oneshot: of("Type") == "oneshot" && of("RemainAfterExit") == "no",
        ended_well: ended && of("Result") == "success",
        condition: of("ConditionResult") != "no",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_systemctl_is_understood() {
        let units = parse(
            "Type=notify\nRemainAfterExit=no\nResult=success\nId=ssh.service\nLoadState=loaded\nActiveState=active\n\
             UnitFileState=enabled\nNeedDaemonReload=no\nConditionResult=yes\nExecMainExitTimestampMonotonic=0\n\n\
             Id=x.service\nLoadState=not-found\nActiveState=inactive\nUnitFileState=\nNeedDaemonReload=no\n\n\
             Type=oneshot\nRemainAfterExit=no\nResult=success\nId=o.service\nLoadState=loaded\nActiveState=inactive\n\
             SubState=auto-restart\nUnitFileState=static\nNeedDaemonReload=yes\nConditionResult=no\nExecMainExitTimestampMonotonic=129\n",
        );
        let [ssh, missing, oneshot] = units.as_slice() else {
            panic!("{units:?}")
        };
        assert!(
            ssh.exists()
                && ssh.active == "active"
                && ssh.file == "enabled"
                && !ssh.oneshot
                && !ssh.ended_well
        );
        assert!(!missing.exists());
        assert!(oneshot.restarting && !ssh.restarting && !ssh.hasty);
        assert!(oneshot.oneshot && oneshot.ended_well && oneshot.stale && !oneshot.condition);
    }
}
