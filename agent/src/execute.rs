//! One program that somebody wants to be run, and what it printed.

use std::sync::Arc;
use std::time::Duration;

use crate::check::no_secret;
use crate::engine::Asker;
use crate::host::{Host, Intent};
use crate::layout::Layout;
use crate::lock::Lock;
use crate::mask::Masker;
use crate::names::{self, Verdict};
use crate::process::Program;
use crate::protocol::{Execution, Output, Refusal, RefusalKind};

/// Runs it to its end, with the host's lock if it changes anything.
pub(crate) fn execute(
    layout: &Layout,
    execution: &Execution,
    asker: &Arc<dyn Asker>,
) -> Result<Output, Refusal> {
    let masker = Masker::new(&execution.secrets);
    let refuse = |kind: RefusalKind, message: String| masker.refusal(Refusal { kind, message });
    check(execution, &masker).map_err(|problem| refuse(RefusalKind::Invalid, problem))?;
    let failed = |message: String| refuse(RefusalKind::Failed, message);
    let lock = match &execution.holder {
        Some(holder) => Some(Arc::new(Lock::take(layout, holder, holder)?)),
        None => None,
    };
    if let Some(lock) = &lock {
        asker.has_host(lock);
    }
    let mut host = Host::new(layout.clone(), Intent::Apply, Box::new(|_| ()));
    let account = host
        .account(&execution.user)
        .map_err(|error| failed(error.to_string()))?;
    let mut program = Program::new(execution.argv.iter().cloned())
        .user(&account)
        .timeout(Duration::from_secs(execution.timeout));
    for (name, value) in &execution.env {
        program = program.env(name, value);
    }
    if let Some(stdin) = &execution.stdin {
        program = program.stdin(stdin.clone());
    }
    let finished = program
        .run(&mut |_| ())
        .map_err(|error| failed(error.to_string()))?;
    let (stdout, truncated) = beginning(masker.masked(finished.text()));
    Ok(Output {
        code: finished.status.code(),
        stdout,
        truncated,
        tail: finished
            .tail
            .into_iter()
            .map(|line| masker.masked(line))
            .collect(),
    })
}

fn check(execution: &Execution, masker: &Masker) -> Verdict {
    names::argv(&execution.argv)?;
    no_secret(&execution.argv, masker)?;
    names::account(&execution.user)?;
    names::environment(&execution.env)?;
    if let Some(holder) = &execution.holder {
        names::id(holder)?;
    }
    names::timeout(execution.timeout)
}

/// A text cut at the limit, and whether there was more of it.
fn beginning(mut text: String) -> (String, bool) {
    if text.len() <= Output::LIMIT {
        return (text, false);
    }
    let end = (0..=Output::LIMIT).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or_default());
    (text, true)
}
