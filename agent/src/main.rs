//! `allmende-agent serve`: what sshd starts on a host when a controller comes. It speaks the protocol on standard input
//! and output and ends with the session; or it is the bridge between the controller and an engine (`bridge`, by what the
//! controller asked sshd for). What else it can be is started by itself: an engine (`engine`), the engine's way to the bridge
//! (`connect`), and what wakes a service when nobody else does (`resume`).

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use allmende_agent::backup;
use allmende_agent::layout::Layout;
use allmende_agent::serve::Session;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

const USAGE: &str = "usage: allmende-agent serve | --version\n\
    This program is started by sshd when the controller of Allmende comes; there is nothing to do with it by hand.";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = arguments
        .iter()
        .map(|word| word.to_str().unwrap_or_default())
        .collect();
    match words.as_slice() {
        ["--version"] => {
            let _ = writeln!(io::stdout(), "allmende-agent {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        ["serve"] => {
            if io::stdin().is_terminal() {
                complain("this is no session with a controller, but a terminal");
                return ExitCode::from(2);
            }
            let asked = std::env::var("SSH_ORIGINAL_COMMAND").unwrap_or_default();
            match backup::asked_for(&asked) {
                Some(bridge) => outcome(backup::bridge(&Layout::default(), &bridge)),
                None => serve(),
            }
        }
        // The engine adds what it takes for the name of its repository.
        ["connect", bridge] | ["connect", bridge, _] => outcome(backup::connect(&Layout::default(), bridge)),
        ["resume", run] => outcome(backup::resume(&Layout::default(), run)),
        ["engine", ..] => {
            let why = backup::become_engine(arguments.get(1..).unwrap_or_default());
            outcome(Err(why))
        }
        _ => {
            let _ = writeln!(io::stderr(), "{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn serve() -> ExitCode {
    // The session's end, a hang-up or a shutdown let the resource in hand be finished; only KILL does not.
    let signals = Signals::new([SIGTERM, SIGHUP, SIGINT]);
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let session = match Session::begin(Layout::default(), io::stdout()) {
        Ok(session) => session,
        Err(error) => {
            complain(&format!("the session could not begin: {error}"));
            return ExitCode::FAILURE;
        }
    };
    if let Ok(mut signals) = signals {
        let session = Arc::clone(&session);
        let _ = thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if signals.forever().next().is_some() {
                session.end();
                std::process::exit(1);
            }
        });
    }
    outcome(session.run(io::stdin().lock()))
}

fn outcome(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            complain(&problem);
            ExitCode::FAILURE
        }
    }
}

/// Standard error may be gone with the session, and that must not end us in the middle of something.
fn complain(problem: &str) {
    let _ = writeln!(io::stderr(), "allmende-agent: {problem}");
}
