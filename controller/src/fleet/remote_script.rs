//! Running the bootstrap script on a host, through a person's own access.

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use russh::ChannelMsg;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::FleetError;
use super::connection::Connection;
use super::error::one_line;
use crate::model::Secret;

const SCRIPT: &str = include_str!("bootstrap.sh");

/// Marks what the script says to the controller.
const MARK: &str = "@allmende";

/// What is kept of a command's output.
const LONGEST_OUTPUT: usize = 256 * 1024;

/// How long a command may be silent.
const SILENCE: Duration = Duration::from_secs(60);

/// The size of one piece of an upload.
const PIECE: usize = 128 * 1024;

/// How a command gets root's rights.
#[derive(Debug, Clone)]
pub(super) enum Elevation {
    /// It needs none, or the login is root's.
    None,
    /// sudo without a password.
    Sudo,
    /// sudo with a password, which goes over its standard input.
    SudoWithPassword(Secret),
}

/// What a command is given on its standard input.
pub(super) struct Upload<'a> {
    /// The bytes; sent once the script says that it is ready for them, without those that it has from an earlier try.
    pub(super) bytes: &'a [u8],
    /// Hears how many are there.
    pub(super) progress: &'a mut (dyn FnMut(u64) + Send),
}

/// What a command did.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// None if it was killed, or nobody knows.
    pub(super) status: Option<u32>,
}

impl Outcome {
    /// What the script said under a name; the last one counts.
    pub(super) fn said(&self, name: &str) -> Option<String> {
        self.all_said(name).pop()
    }

    /// Everything that the script said under a name.
    pub(super) fn all_said(&self, name: &str) -> Vec<String> {
        let said = |line: &str| {
            let rest = line.strip_prefix(MARK)?.strip_prefix(' ')?;
            let (key, value) = rest.split_once(' ').unwrap_or((rest, ""));
            (key == name).then(|| value.trim().to_owned())
        };
        String::from_utf8_lossy(&self.stdout)
            .lines()
            .filter_map(said)
            .collect()
    }

    /// What went wrong, in one line: standard error, else what it printed, else its status.
    pub(super) fn complaint(&self) -> String {
        let stderr = one_line(&String::from_utf8_lossy(&self.stderr));
        if !stderr.is_empty() {
            return stderr.trim_end_matches('.').to_owned();
        }
        let stdout = one_line(&String::from_utf8_lossy(&self.stdout));
        match (stdout.is_empty(), self.status) {
            (false, _) => stdout,
            (true, Some(status)) => format!("exit status {status}"),
            (true, None) => "it was killed".to_owned(),
        }
    }
}

/// The script with its settings in front.
pub(super) fn script(action: &str, settings: &[(&str, String)]) -> String {
    let mut text = String::new();
    let always = [("action", action), ("mark", MARK), ("root", "")];
    let given = settings.iter().map(|(name, value)| (*name, value.as_str()));
    for (name, value) in always.into_iter().chain(given) {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{name}={}", quoted(value));
    }
    for line in SCRIPT.lines().map(str::trim_start) {
        if !line.is_empty() && !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// A value as one word for sh.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// The command line that runs a script. The user's login shell reads it, whichever that is: nothing in it means anything
/// special between single quotes, neither to bash nor to csh or fish.
fn command_line(script: &str, elevation: &Elevation) -> String {
    let sudo = match elevation {
        Elevation::None => "",
        Elevation::Sudo => "sudo -n ",
        // -k: ask even if somebody gave the password a moment ago, so that it is certain who reads the first line.
        Elevation::SudoWithPassword(_) => "sudo -k -S -p '' ",
    };
    let script = BASE64.encode(script);
    format!("{sudo}/bin/sh -c 'eval \"$(echo {script} | base64 -d)\"'")
}

/// Runs a script.
pub(super) async fn run_script(
    connection: &Connection,
    doing: &'static str,
    script: &str,
    elevation: &Elevation,
    upload: Option<Upload<'_>>,
) -> Result<Outcome, FleetError> {
    let opening = match elevation {
        Elevation::SudoWithPassword(password) => format!("{}\n", password.reveal()),
        _ => String::new(),
    };
    let outcome = run(
        connection,
        doing,
        &command_line(script, elevation),
        opening,
        upload,
    )
    .await?;
    if outcome.status != Some(0) || outcome.said("done").is_none() {
        return Err(FleetError::Step {
            host: connection.host().clone(),
            doing,
            reason: outcome.complaint(),
        });
    }
    Ok(outcome)
}

/// Runs a command line of the user's login shell: writes `opening`, then, when it says that it is ready, the upload, and
/// reads until it ends.
pub(super) async fn run(
    connection: &Connection,
    doing: &'static str,
    command: &str,
    opening: String,
    upload: Option<Upload<'_>>,
) -> Result<Outcome, FleetError> {
    let channel = connection.channel().await?;
    channel
        .exec(true, command)
        .await
        .map_err(|error| connection.lost(&format!("while {doing}"), Some(error)))?;
    let (mut read, write) = channel.split();
    let (ready, is_ready) = oneshot::channel::<usize>();

    let writing = async {
        write.data_bytes(opening.into_bytes()).await?;
        if let Some(upload) = upload {
            // The script ended before it was ready: reading finds out why.
            let Ok(there) = is_ready.await else {
                return Ok(());
            };
            let rest = upload.bytes.get(there..).unwrap_or_default();
            let mut sent = there as u64;
            for piece in rest.chunks(PIECE) {
                write.data_bytes(piece.to_vec()).await?;
                sent += piece.len() as u64;
                (upload.progress)(sent);
            }
        }
        write.eof().await
    };
    let reading = async {
        let mut outcome = Outcome::default();
        let mut ready = Some(ready);
        loop {
            let message = timeout(SILENCE, read.wait())
                .await
                .map_err(|_| FleetError::TimedOut {
                    host: connection.host().clone(),
                    waiting_for: doing,
                    seconds: SILENCE.as_secs(),
                })?;
            match message {
                Some(ChannelMsg::Data { data }) => {
                    keep(&mut outcome.stdout, &data);
                    if ready.is_some() && outcome.said("ready").is_some() {
                        let there = outcome.said("have").and_then(|have| have.parse().ok());
                        ready.take().map(|ready| ready.send(there.unwrap_or(0)));
                    }
                }
                Some(ChannelMsg::ExtendedData { data, .. }) => keep(&mut outcome.stderr, &data),
                Some(ChannelMsg::ExitStatus { exit_status }) => outcome.status = Some(exit_status),
                Some(ChannelMsg::Failure) => {
                    keep(&mut outcome.stderr, b"the host runs no commands for this user")
                }
                Some(ChannelMsg::Close) => return Ok(outcome),
                None if outcome.status.is_some() => return Ok(outcome),
                None => return Err(connection.lost(&format!("while {doing}"), None)),
                Some(_) => {}
            }
        }
    };
    // Reading decides when it is over: a command may end without having read everything.
    tokio::pin!(writing, reading);
    let mut writes = true;
    loop {
        tokio::select! {
            outcome = &mut reading => return outcome,
            // A failed write means that the channel is gone, which reading says better.
            _ = &mut writing, if writes => writes = false,
        }
    }
}

fn keep(kept: &mut Vec<u8>, piece: &[u8]) {
    let room = LONGEST_OUTPUT.saturating_sub(kept.len());
    kept.extend_from_slice(&piece[..piece.len().min(room)]);
}
