//! A database server of the host: asked once for all it has, and waited for where it was just started.

use std::thread::sleep;
use std::time::Duration;

use crate::error::Error;
use crate::host::Intent;
use crate::process::{ProcessError, Program};

/// How often a server that does not answer yet is asked, a second apart.
const TRIES: usize = 15;

/// What is known of a server that has a `T`.
#[derive(Debug)]
pub(crate) enum Asked<'a, T> {
    /// It is not installed; only a plan gets this.
    Absent,
    /// It does not answer; only a plan gets this, because an earlier resource may start it.
    Silent,
    /// It answered.
    Known(&'a T),
}

/// A server and what it answered.
#[derive(Debug)]
pub(super) struct Server<T> {
    name: &'static str,
    package: &'static str,
    /// What to do when it does not answer.
    advice: &'static str,
    /// Without an answer in it when the server did not answer a plan.
    known: Option<Option<T>>,
}

impl<T> Server<T> {
    pub(super) fn new(name: &'static str, package: &'static str, advice: &'static str) -> Server<T> {
        Server {
            name,
            package,
            advice,
            known: None,
        }
    }

    pub(super) fn forget(&mut self) {
        self.known = None;
    }

    /// What to say when it is not installed.
    pub(super) fn absent(&self, intent: Intent) -> Result<Asked<'_, T>, Error> {
        match intent {
            Intent::Plan => Ok(Asked::Absent),
            Intent::Apply => Err(Error::obstacle(
                format!("{} is not installed on this host", self.name),
                format!("add a package resource with {} before this one", self.package),
            )),
        }
    }

    /// What it answered before, or answers now to `question`. `silent` recognises that there was no connection: a server
    /// that was just installed or restarted needs a moment.
    pub(super) fn ask(
        &mut self,
        question: &Program,
        silent: fn(&ProcessError) -> bool,
        answer: fn(&str) -> Result<T, serde_json::Error>,
        intent: Intent,
    ) -> Result<Asked<'_, T>, Error> {
        let known = match self.known.take() {
            Some(known) => known,
            None => match self.text(question, silent, intent)? {
                Some(text) => Some(answer(&text).map_err(|error| self.strange(&error))?),
                None => None,
            },
        };
        Ok(match self.known.insert(known) {
            Some(known) => Asked::Known(known),
            None => Asked::Silent,
        })
    }

    fn text(
        &self,
        question: &Program,
        silent: fn(&ProcessError) -> bool,
        intent: Intent,
    ) -> Result<Option<String>, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            match question.quietly() {
                Ok(finished) => return Ok(Some(finished.text())),
                Err(error) if silent(&error) && intent == Intent::Plan => return Ok(None),
                Err(error) if silent(&error) && tries < TRIES => sleep(Duration::from_secs(1)),
                Err(source) => {
                    let more = if silent(&source) {
                        format!("; {}", self.advice)
                    } else {
                        String::new()
                    };
                    return Err(Error::ProgramWith { source, more });
                }
            }
        }
    }

    fn strange(&self, error: &serde_json::Error) -> Error {
        Error::obstacle(
            format!("{} answered something unexpected: {error}", self.name),
            "report this as a bug of Allmende",
        )
    }
}
