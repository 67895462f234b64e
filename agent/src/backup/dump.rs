//! Dumps: a program writes, the agent reads along, the engine keeps. What is not whole is not kept.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::ChildStdout;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::engine::Feed;
use crate::error::Error;
use crate::host::{Host, identifier, mariadb, psql};
use crate::names::{self, Verdict};
use crate::process::Program;
use crate::protocol::{Dump, DumpSource};

/// How much of the end is looked through for the mark of a whole dump, in bytes.
const END: usize = 4096;
/// How often it is looked whether the engine still takes anything.
const LOOK: Duration = Duration::from_millis(200);

/// Whether a dump makes sense; nothing is started.
pub(super) fn check(dump: &Dump) -> Verdict {
    match &dump.from {
        DumpSource::Postgres { database } => names::postgres(database),
        DumpSource::Mariadb { database } => names::mariadb(database),
        DumpSource::Command { argv, user, .. } => {
            names::argv(argv)?;
            names::account(user)
        }
    }
}

/// The program that writes a dump.
pub(super) fn program(source: &DumpSource, host: &mut Host) -> Result<Program, Error> {
    let program = match source {
        DumpSource::Postgres { database } => {
            let account = host.account("postgres")?;
            Program::new(["pg_dump", "--format=plain", "--dbname"])
                .arg(database)
                .user(&account)
        }
        // Without its date, so that a database that did not change gives the same dump.
        DumpSource::Mariadb { database } => Program::new([
            "mariadb-dump",
            "--no-defaults",
            "--protocol=socket",
            "--user=root",
            "--default-character-set=utf8mb4",
            "--single-transaction",
            "--quick",
            "--routines",
            "--events",
            "--triggers",
            "--hex-blob",
            "--skip-dump-date",
        ])
        .arg(database),
        DumpSource::Command { argv, user, .. } => {
            let account = host.account(user)?;
            Program::new(argv.iter().cloned()).user(&account)
        }
    };
    Ok(program)
}

/// Asks a database for one number.
pub(super) fn count(source: &DumpSource, query: &str, host: &mut Host) -> Result<i64, String> {
    let program = match source {
        DumpSource::Postgres { database } => {
            let account = host.account("postgres").map_err(|error| error.to_string())?;
            psql(
                &account,
                &format!("\\connect {}\n{query};\n", identifier(database)),
            )
        }
        DumpSource::Mariadb { database } => mariadb(&format!("USE `{database}`;\n{query};\n")),
        DumpSource::Command { .. } => return Err("a program answers no query".to_owned()),
    };
    let printed = program.quietly().map_err(|error| error.to_string())?.text();
    printed
        .trim()
        .parse()
        .map_err(|_| format!("{:?} is no number", printed.chars().take(80).collect::<String>()))
}

/// Feeds the engine with what the program writes. An error if that is not a whole dump; then nothing of it may be kept.
pub(super) fn feed(dump: &Dump, program: &Program, feed: &mut Feed<'_>) -> Result<u64, String> {
    let mut end = End::default();
    let finished = program.pipe(|output| pump(output, feed, &mut end))?;
    finished.success().map_err(|error| error.to_string())?;
    end.judge(dump)?;
    Ok(end.bytes)
}

/// Passes on until there is no more.
fn pump(output: &mut ChildStdout, feed: &mut Feed<'_>, end: &mut End) -> Result<(), String> {
    let look = Timespec::try_from(LOOK).map_err(|error| error.to_string())?;
    let mut piece = vec![0; 64 * 1024];
    loop {
        if feed.is_over() {
            return Err("the engine ended before the dump did".to_owned());
        }
        {
            let mut asked = [PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN)];
            if poll(&mut asked, Some(&look)).is_ok_and(|count| count == 0) {
                continue;
            }
        }
        let read = match output.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => piece.get(..count).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(format!("the dump could not be read: {error}")),
        };
        end.take(read);
        feed.stdin
            .write_all(read)
            .map_err(|error| format!("the engine took no more of the dump: {error}"))?;
    }
}

/// How much went by, and the end of it.
#[derive(Default)]
struct End {
    bytes: u64,
    tail: VecDeque<u8>,
}

impl End {
    fn take(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        let kept = piece.get(piece.len().saturating_sub(END)..).unwrap_or_default();
        self.tail.extend(kept);
        self.tail.drain(..self.tail.len().saturating_sub(END));
    }

    fn judge(&mut self, dump: &Dump) -> Verdict {
        let mark: &[u8] = match &dump.from {
            DumpSource::Postgres { .. } => b"\n-- PostgreSQL database dump complete",
            DumpSource::Mariadb { .. } => b"\n-- Dump completed",
            DumpSource::Command { .. } => b"",
        };
        let tail = self.tail.make_contiguous();
        if !mark.is_empty() && !tail.windows(mark.len()).any(|part| part == mark) {
            return Err(format!(
                "the dump has no end: after {} bytes {:?} is missing",
                self.bytes,
                String::from_utf8_lossy(mark).trim()
            ));
        }
        if self.bytes < dump.minimum_bytes {
            return Err(format!(
                "the dump has {} bytes, at least {} were expected",
                self.bytes, dump.minimum_bytes
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mariadb_dump(minimum_bytes: u64) -> Dump {
        Dump {
            minimum_bytes,
            from: DumpSource::Mariadb {
                database: "blog".to_owned(),
            },
        }
    }

    #[test]
    fn a_dump_without_its_end_is_none() {
        let mut end = End::default();
        end.take(b"CREATE TABLE x;\n-- Dump comp");
        let said = end.judge(&mariadb_dump(1)).expect_err("has no end");
        assert!(
            said.contains("after 28 bytes \"-- Dump completed\" is missing"),
            "{said}"
        );
        end.take(b"leted\n");
        assert_eq!(end.judge(&mariadb_dump(1)), Ok(()));
        let said = end.judge(&mariadb_dump(1000)).expect_err("is too small");
        assert_eq!(said, "the dump has 34 bytes, at least 1000 were expected");
    }

    #[test]
    fn a_mark_far_from_the_end_does_not_count() {
        let mut end = End::default();
        end.take(b"\n-- Dump completed\n");
        end.take(&[b'x'; 3 * END]);
        assert!(end.judge(&mariadb_dump(1)).is_err());
        assert_eq!(end.bytes, 19 + 3 * END as u64);
    }

    #[test]
    fn what_a_program_writes_needs_no_mark() {
        let mut end = End::default();
        end.take(b"x");
        let dump = Dump {
            minimum_bytes: 1,
            from: DumpSource::Command {
                argv: vec!["slapcat".to_owned()],
                load: Vec::new(),
                user: "root".to_owned(),
            },
        };
        assert_eq!(end.judge(&dump), Ok(()));
    }
}
