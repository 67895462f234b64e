//! Programs that bring a service to rest, wake it, or do something else around a backup.

use std::time::Duration;

use crate::check::no_secret;
use crate::error::Error;
use crate::host::Host;
use crate::mask::Masker;
use crate::names::{self, Verdict};
use crate::process::Program;
use crate::protocol::Step;

/// Whether steps make sense; nothing is started.
pub(crate) fn check(steps: &[Step], masker: &Masker) -> Verdict {
    for step in steps {
        names::argv(&step.argv)?;
        no_secret(&step.argv, masker)?;
        names::account(&step.user)?;
        names::environment(&step.env)?;
        names::timeout(step.timeout)?;
    }
    Ok(())
}

/// Runs one and wants success.
pub(crate) fn run(step: &Step, host: &mut Host) -> Result<(), Error> {
    let account = host.account(&step.user)?;
    let mut program = Program::new(step.argv.iter().cloned())
        .user(&account)
        .timeout(Duration::from_secs(step.timeout));
    for (name, value) in &step.env {
        program = program.env(name, value);
    }
    if let Some(stdin) = &step.stdin {
        program = program.stdin(stdin.clone());
    }
    host.succeed(&program)?;
    Ok(())
}
