//! A systemd unit.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::host::{Host, Intent, UnitState};
use crate::names;
use crate::process::{ProcessError, Program};
use crate::resources::{Difference, Manage};

/// A systemd unit: whether it starts at boot and whether it runs now. What is left out is not looked at.
///
/// A program that ends when its work is done (`Type=oneshot`) counts as running when it ended well since the boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitSpec {
    /// With its suffix: `nginx.service`, `cloud-cron.timer`.
    pub name: String,
    /// Whether it starts at boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether it runs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<bool>,
}

/// Lines of a unit's journal that an error quotes.
const JOURNAL_LINES: &str = "15";

fn systemctl(verb: &str, unit: &str) -> Program {
    Program::new(["systemctl", verb, "--", unit])
}

impl UnitSpec {
    /// Whether it starts at boot, as far as that can be said and changed.
    fn is_enabled(&self, unit: &UnitState, wanted: bool) -> Result<bool, Error> {
        match unit.file.as_str() {
            "enabled" | "alias" => Ok(true),
            // Whoever wrote it, or pulls it in, says when it starts; that is as good as enabled, and as disabled.
            "indirect" | "transient" => Ok(wanted),
            "generated" if wanted => Ok(true),
            "generated" => Err(Error::obstacle(
                format!("{} is generated at boot and cannot be disabled", self.name),
                "leave `enabled` out, or change what it is generated from",
            )),
            "static" if wanted => Err(Error::obstacle(
                format!(
                    "{} has no [Install] section: it starts only when another unit asks for it",
                    self.name
                ),
                "leave `enabled` out, or give its file an [Install] section",
            )),
            _ => Ok(false),
        }
    }

    /// Whether it runs, or is stopped, as wanted.
    fn runs(&self, unit: &UnitState, wanted: bool) -> bool {
        match unit.active.as_str() {
            "active" | "reloading" | "refreshing" => wanted,
            // Started again and again it neither runs nor is stopped.
            "activating" => wanted && !unit.restarting,
            // A program that ends when its work is done has run if it ended well since the boot.
            "inactive" | "" => !wanted || (unit.oneshot && unit.ended_well),
            "failed" => !wanted,
            _ => false,
        }
    }
}

/// Lets a unit start that has failed too often lately, as after an upgrade that took its program away: what it needs may be
/// there by now. That systemd has nothing to forget is no failure.
pub(crate) fn forgive(unit: &str) {
    let _ = systemctl("reset-failed", unit).quietly();
}

/// A unit that was started, and does not run a moment later.
pub(crate) fn ended_at_once(unit: &str) -> Error {
    Error::Obstacle {
        found: format!("{unit} was started and ended at once{}", journal(unit)),
        advice: format!("mend what it names and apply again; `systemctl status {unit}` says more"),
    }
}

/// A failure, and what the unit itself said in its journal.
pub(crate) fn with_journal(unit: &str, source: ProcessError) -> Error {
    let more = journal(unit);
    Error::ProgramWith { source, more }
}

fn journal(unit: &str) -> String {
    let asked = Program::new([
        "journalctl",
        "-u",
        unit,
        "-n",
        JOURNAL_LINES,
        "--no-pager",
        "-o",
        "cat",
    ]);
    let lines = asked
        .quietly()
        .map(|finished| finished.text())
        .unwrap_or_default();
    match lines.trim() {
        "" => String::new(),
        lines => format!(
            "\nits last lines in the journal:\n  {}\n",
            lines.replace('\n', "\n  ")
        ),
    }
}

/// The state of a running property, for people.
fn active_shown(unit: &UnitState) -> &str {
    match unit.active.as_str() {
        "inactive" | "" => "stopped",
        "active" => "running",
        other => other,
    }
}

fn file_shown(unit: &UnitState) -> &str {
    match unit.file.as_str() {
        "" => "not there",
        other => other,
    }
}

fn running_shown(running: bool) -> &'static str {
    if running { "running" } else { "stopped" }
}

fn enabled_shown(enabled: bool) -> &'static str {
    if enabled { "enabled" } else { "disabled" }
}

impl Manage for UnitSpec {
    fn check(&self) -> names::Verdict {
        names::unit(&self.name)
    }

    fn subject(&self) -> String {
        self.name.clone()
    }

    fn compare(&self, host: &mut Host) -> Result<Option<Difference>, Error> {
        let unit = host.unit(&self.name)?;
        let wanted = self.enabled == Some(true) || self.running == Some(true);
        if !unit.exists() {
            if !wanted {
                return Ok(None);
            }
            if host.intent == Intent::Apply {
                return Err(Error::obstacle(
                    format!("there is no unit {} on this host", self.name),
                    "the package or file that brings it has to come before it; check its name",
                ));
            }
            let mut difference = Difference::create();
            if let Some(enabled) = self.enabled {
                difference = difference.becomes("enabled", None, enabled_shown(enabled));
            }
            if let Some(running) = self.running {
                difference = difference.becomes("running", None, running_shown(running));
            }
            return Ok(Some(difference));
        }
        if wanted && (unit.load == "masked" || unit.file.starts_with("masked")) {
            return Err(Error::obstacle(
                format!(
                    "{} is masked: somebody decided that it must never start",
                    self.name
                ),
                format!("find out why; `systemctl unmask {}` takes it back", self.name),
            ));
        }
        let mut difference = Difference::change();
        if unit.stale {
            difference = difference.becomes("definition", Some("older than its file"), "read again");
        }
        if let Some(enabled) = self.enabled
            && self.is_enabled(&unit, enabled)? != enabled
        {
            difference = difference.becomes("enabled", Some(file_shown(&unit)), enabled_shown(enabled));
        }
        if let Some(running) = self.running
            && !self.runs(&unit, running)
        {
            difference = difference.becomes("running", Some(active_shown(&unit)), running_shown(running));
        }
        Ok(difference.if_any())
    }

    fn change(&self, host: &mut Host, difference: &Difference) -> Result<(), Error> {
        if difference.is_about("definition") {
            host.reload_units()?;
        }
        let changed = self.act(host, difference);
        host.units_changed();
        changed
    }
}

impl UnitSpec {
    fn act(&self, host: &mut Host, difference: &Difference) -> Result<(), Error> {
        if let (true, Some(enabled)) = (difference.is_about("enabled"), self.enabled) {
            host.succeed(&systemctl(if enabled { "enable" } else { "disable" }, &self.name))?;
        }
        if let (true, Some(running)) = (difference.is_about("running"), self.running) {
            let verb = if running { "start" } else { "stop" };
            if running {
                forgive(&self.name);
            }
            host.succeed(&systemctl(verb, &self.name))
                .map_err(|source| with_journal(&self.name, source))?;
            let unit = host.settled_unit(&self.name)?;
            if running && !unit.condition && !self.runs(&unit, true) {
                return Err(Error::obstacle(
                    format!(
                        "{} was not started: a condition in its file does not hold",
                        self.name
                    ),
                    format!("`systemctl status {}` on the host names the condition", self.name),
                ));
            }
            if running && !self.runs(&unit, true) {
                return Err(ended_at_once(&self.name));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> UnitSpec {
        UnitSpec {
            name: "x.service".to_owned(),
            enabled: Some(true),
            running: Some(true),
        }
    }

    fn unit(file: &str, active: &str) -> UnitState {
        UnitState {
            load: "loaded".to_owned(),
            file: file.to_owned(),
            active: active.to_owned(),
            condition: true,
            ..UnitState::default()
        }
    }

    #[test]
    fn what_counts_as_enabled() {
        let enabled = |file: &str, wanted| spec().is_enabled(&unit(file, ""), wanted).ok();
        assert_eq!(
            (enabled("enabled", true), enabled("disabled", true)),
            (Some(true), Some(false))
        );
        assert_eq!(
            (enabled("indirect", true), enabled("indirect", false)),
            (Some(true), Some(false))
        );
        assert_eq!(
            (enabled("static", true), enabled("static", false)),
            (None, Some(false))
        );
        assert_eq!(
            (enabled("generated", true), enabled("generated", false)),
            (Some(true), None)
        );
        assert_eq!(
            (enabled("", false), enabled("enabled-runtime", true)),
            (Some(false), Some(false))
        );
    }

    #[test]
    fn what_counts_as_running() {
        let running = |active: &str| spec().runs(&unit("", active), true);
        assert!(running("active") && running("activating") && running("reloading"));
        assert!([true, false].iter().all(|wanted| !spec().runs(
            &UnitState {
                restarting: true,
                ..unit("", "activating")
            },
            *wanted
        )));
        assert!(!running("failed") && !running("inactive") && !running("deactivating"));
        let done = UnitState {
            oneshot: true,
            ended_well: true,
            ..unit("", "inactive")
        };
        assert!(spec().runs(&done, true) && spec().runs(&done, false));
        assert!(spec().runs(&unit("", "failed"), false) && !spec().runs(&unit("", "active"), false));
        let done_badly = UnitState {
            ended_well: false,
            ..done
        };
        assert!(!spec().runs(&done_badly, true));
    }

    #[test]
    fn the_command_line_is_right() {
        assert_eq!(
            systemctl("enable", "x.service").argv,
            ["systemctl", "enable", "--", "x.service"]
        );
    }
}
