//! What happens once after changes: reloads, restarts, programs.

use crate::error::Error;
use crate::host::Host;
use crate::process::Program;
use crate::protocol::{Handler, HandlerAct, HandlerReport, UnitAction};
use crate::resources::{ended_at_once, with_journal};

/// What is reported about a handler.
pub(crate) fn report(section: &str, handler: &Handler, left_over: bool) -> HandlerReport {
    let what = match &handler.act {
        HandlerAct::Unit { unit, action } => match action {
            UnitAction::Reload => format!("reload {unit}"),
            UnitAction::Restart => format!("restart {unit}"),
        },
        HandlerAct::Command { command } => format!("run {}", Program::new(command.iter().cloned()).shown()),
    };
    HandlerReport {
        section: section.to_owned(),
        id: handler.id.clone(),
        what,
        left_over,
    }
}

/// Runs a handler, its check first.
pub(crate) fn run(handler: &Handler, host: &mut Host) -> Result<(), Error> {
    if let Some(check) = &handler.check {
        host.succeed(&Program::new(check.iter().cloned()))
            .map_err(|source| Error::ProgramWith {
                source,
                more: "\nso nothing was reloaded or restarted; mend what it names and apply again".to_owned(),
            })?;
    }
    match &handler.act {
        HandlerAct::Unit { unit, action } => treat(unit, *action, host),
        HandlerAct::Command { command } => {
            let ran = host.succeed(&Program::new(command.iter().cloned()));
            host.anything_changed();
            ran?;
            Ok(())
        }
    }
}

/// Both verbs start nothing that is stopped.
fn command(unit: &str, action: UnitAction) -> Program {
    let verb = match action {
        UnitAction::Reload => "try-reload-or-restart",
        UnitAction::Restart => "try-restart",
    };
    Program::new(["systemctl", verb, "--", unit])
}

fn treat(unit: &str, action: UnitAction, host: &mut Host) -> Result<(), Error> {
    let before = host.unit(unit)?;
    if before.stale {
        host.reload_units()?;
    }
    if !before.exists() {
        return Ok(());
    }
    let done = host.succeed(&command(unit, action));
    host.units_changed();
    done.map_err(|source| with_journal(unit, source))?;
    if before.active != "active" {
        return Ok(());
    }
    let after = host.settled_unit(unit)?;
    if after.active == "failed" || after.restarting {
        return Err(ended_at_once(unit));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_stopped_is_started() {
        assert_eq!(
            command("x.service", UnitAction::Reload).argv[1],
            "try-reload-or-restart"
        );
        assert_eq!(command("x.service", UnitAction::Restart).argv[1], "try-restart");
    }
}
