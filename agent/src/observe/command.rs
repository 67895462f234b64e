//! What a program says about how things are.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Finding, Observe, Scene};
use crate::execute;
use crate::names::{self, Verdict};
use crate::protocol::Execution;

/// What does a program say?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandQuestion {
    /// The program and its arguments; there is no shell.
    pub argv: Vec<String>,
    /// The Unix user that runs it.
    pub user: String,
    /// Seconds after which it is ended.
    pub timeout: u64,
}

/// What a program said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// The beginning of its standard output.
    pub text: String,
    /// The last lines of standard output and standard error.
    pub tail: Vec<String>,
}

/// How much of what it prints is handed out, in bytes, from the beginning and of each last line.
const MOST: usize = 4 * 1024;

/// How many last lines.
const LINES: usize = 5;

impl Observe for CommandQuestion {
    fn check(&self) -> Verdict {
        names::argv(&self.argv)?;
        names::account(&self.user)?;
        names::timeout(self.timeout)
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    fn observe(&self, scene: &Scene) -> Result<Finding, String> {
        let execution = Execution {
            argv: self.argv.clone(),
            user: self.user.clone(),
            env: Default::default(),
            stdin: None,
            timeout: scene.time_for(self.patience()).as_secs().max(1),
            holder: None,
            secrets: Vec::new(),
        };
        let output = execute::execute(&scene.layout, &execution, &Arc::clone(&scene.asker));
        let output = output.map_err(|refusal| refusal.message)?;
        let first = output.tail.len().saturating_sub(LINES);
        Ok(Finding::Command(Said {
            code: output.code,
            text: beginning(output.stdout),
            tail: output.tail.into_iter().skip(first).map(beginning).collect(),
        }))
    }
}

fn beginning(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MOST));
    text
}
