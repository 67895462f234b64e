//! What the engine brings: files into a folder, dumps into a program or a file.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::backup::engine::Engine;
use crate::engine::Asker;
use crate::error::{Attempt, Error};
use crate::layout::Layout;
use crate::mask::Masker;
use crate::process::Program;
use crate::protocol::{EngineCall, EngineEnd};

/// A dump that takes longer to load does not end.
pub(super) const LOADING: Duration = Duration::from_secs(24 * 3600);

/// Runs the engine for one request.
pub(super) struct Fetcher<'a> {
    pub(super) layout: &'a Layout,
    pub(super) masker: &'a Masker,
    pub(super) asker: &'a Arc<dyn Asker>,
}

impl Fetcher<'_> {
    /// Restores files to `target`.
    pub(super) fn files(&self, call: &EngineCall, what: &str, target: &Path) -> Result<(), Error> {
        let arguments = ["--target".to_owned(), target.display().to_string()];
        let end = self
            .engine(call, what)
            .run(&arguments)
            .map_err(|why| self.broken(what, why))?;
        self.ended_well(what, &end)
    }

    /// Loads a dump with a program that reads it.
    pub(super) fn load(&self, call: &EngineCall, what: &str, program: &Program) -> Result<(), Error> {
        let program = program.clone().timeout(LOADING);
        let (end, loaded) = self
            .engine(call, what)
            .run_read(|stdout| program.succeed_reading(stdout))
            .map_err(|why| self.broken(what, why))?;
        // A dump that the engine could not read to its end is not what its reader complains about, if it complains.
        loaded?;
        self.ended_well(what, &end)
    }

    /// Writes a dump to a file of root alone; returns its size.
    pub(super) fn save(&self, call: &EngineCall, what: &str, path: &Path) -> Result<u64, Error> {
        let mut file = new_file(path)?;
        let (end, copied) = self
            .engine(call, what)
            .run_read(|stdout| io::copy(stdout, &mut file))
            .map_err(|why| self.broken(what, why))?;
        let bytes = copied.attempt("writing", path)?;
        file.sync_all().attempt("writing", path)?;
        self.ended_well(what, &end)?;
        Ok(bytes)
    }

    fn engine<'a>(&'a self, call: &'a EngineCall, what: &'a str) -> Engine<'a> {
        Engine {
            layout: self.layout,
            call,
            part: what,
            masker: self.masker,
            asker: self.asker,
        }
    }

    fn ended_well(&self, what: &str, end: &EngineEnd) -> Result<(), Error> {
        if end.code == Some(0) {
            return Ok(());
        }
        let how = match end.code {
            Some(code) => format!("the engine ended with code {code}"),
            None => "the engine was killed".to_owned(),
        };
        let said = end.errors.join("\n  ");
        let why = if said.is_empty() {
            how
        } else {
            format!("{how}:\n  {said}")
        };
        Err(self.broken(what, why))
    }

    fn broken(&self, what: &str, why: String) -> Error {
        let advice = if self.asker.is_gone() {
            "the connection to the controller ended; try again"
        } else {
            "see whether the backup is whole: `allmende backup check`"
        };
        Error::obstacle(format!("{what} could not be fetched: {why}"), advice)
    }
}

/// Makes a file that only root reads. What an earlier try left goes first.
pub(super) fn new_file(path: &Path) -> Result<File, Error> {
    let _ = fs::remove_file(path);
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .attempt("writing", path)
}
