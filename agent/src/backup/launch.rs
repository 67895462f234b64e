//! `allmende-agent engine`: becomes the engine, in a process in which nothing else runs.
//!
//! A pipe that a program inherits would be inherited by whatever another thread of the agent starts at that moment, and
//! what has to hold for the engine alone cannot be set from outside. So the agent starts itself, and that becomes the engine.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, IntoRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Signal, getppid, nice, set_parent_process_death_signal};

/// The longest password, in bytes: well below what a pipe takes without a reader.
pub(super) const LONGEST: usize = 1024;

/// Takes the first line of standard input as password and becomes the program, which finds the password in a pipe. The
/// rest of standard input is the program's.
///
/// `arguments` are the parent's process id, the program and its arguments.
///
/// Comes back only with the reason why it did not work.
pub fn become_engine(arguments: &[OsString]) -> String {
    let [parent, program @ ..] = arguments else {
        return "the engine is started by the agent alone".to_owned();
    };
    match prepared(parent, program) {
        Ok(mut command) => {
            let error = command.exec();
            format!(
                "{} could not be started: {error}",
                command.get_program().display()
            )
        }
        Err(error) => format!("the engine could not be prepared: {error}"),
    }
}

fn prepared(parent: &OsString, program: &[OsString]) -> io::Result<Command> {
    // No engine outlives its agent, however that ends.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let is_there = getppid().is_some_and(|pid| pid.as_raw_pid().to_string().as_str() == parent);
    if !is_there {
        return Err(io::Error::other("the agent that started it is gone"));
    }
    nice(10)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(&first_line(stdin)?)?;
    drop(writer);
    fcntl_setfd(&reader, FdFlags::empty())?;
    // Stays open, for it is the engine's from now on.
    let password = OwnedFd::from(reader).into_raw_fd();
    let mut command = Command::new("ionice");
    command
        .arg("-c3")
        .args(program)
        .env("RESTIC_PASSWORD_FILE", format!("/dev/fd/{password}"));
    Ok(command)
}

/// The first line, and not a byte more.
fn first_line(mut input: impl Read) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        input.read_exact(&mut byte)?;
        match byte {
            [b'\n'] => return Ok(line),
            _ if line.len() == LONGEST => return Err(io::Error::other("the password is too long")),
            [byte] => line.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_taken_and_the_rest_left() {
        let mut input: &[u8] = b"secret\nSELECT 1;\n";
        assert_eq!(first_line(&mut input).expect("reads"), b"secret");
        assert_eq!(input, b"SELECT 1;\n");
        first_line(&mut &b"no end"[..]).expect_err("has no end");
        first_line(&mut [b'x'; 2000].as_slice()).expect_err("is too long");
    }
}
