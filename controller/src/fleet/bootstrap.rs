//! Putting the agent and the controller's key on a host, through a person's own access, once.

use allmende_agent::protocol::Facts;

use super::access::{PersonalAccess, Question};
use super::advice::advice_on;
use super::connection::Connection;
use super::keys::{ControllerKey, ControllerKeys};
use super::remote_script::{Elevation, Outcome, Upload, run, run_script, script};
use super::{Destination, EMBEDDED_AGENT, FleetError, Session};
use crate::model::{HostKey, Jump, Secret};

/// How often sudo's password is asked for.
const TRIES: usize = 3;

/// What a bootstrap is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Logging in with the person's access.
    LogIn,
    /// Looking whether the host is of a kind that can be managed.
    Look,
    /// Sending the agent.
    SendAgent {
        /// Bytes sent so far.
        sent: u64,
        /// Bytes in all.
        total: u64,
    },
    /// Logging in anew with the controller's key, and exchanging hellos with the agent.
    Prove,
    /// Taking back what was put in place, because the proof failed.
    TakeBack,
}

/// A host on which the agent answers to the controller's key.
#[derive(Debug, Clone, PartialEq)]
pub struct Enrolled {
    /// The key that was pinned.
    pub host_key: HostKey,
    /// What the host is.
    pub facts: Facts,
}

/// Puts the agent and the controller's public key on a host and proves that they work.
///
/// `pinned` is the key that a person accepted after [`probe`](super::probe). Repeating it changes nothing that is right
/// already. If the proof fails, what was put in place is taken back.
///
/// # Errors
/// See [`FleetError`]; before [`Step::SendAgent`] nothing is changed on the host.
pub async fn bootstrap(
    host: &Destination,
    pinned: &HostKey,
    mut access: PersonalAccess<'_>,
    keys: &ControllerKeys,
    progress: &mut (dyn FnMut(Step) + Send),
) -> Result<Enrolled, FleetError> {
    let key = &keys.agent;
    progress(Step::LogIn);
    let mut connection = Connection::open(host, pinned, &keys.jump).await?;
    access.log_in(&mut connection).await?;

    progress(Step::Look);
    let looked = run_script(
        &connection,
        "looking at the host",
        &script("facts", &settings(key)),
        &Elevation::None,
        None,
    )
    .await?;
    judge(host, &looked)?;
    let elevation = elevation(&connection, &mut access, &looked).await?;

    let shell = Shell {
        connection: &connection,
        elevation,
        key,
        client: looked.said("client").unwrap_or_default(),
    };
    let is_current = looked.said("agent").as_deref() == Some(EMBEDDED_AGENT.sha256);
    let placed = shell.install(is_current, progress).await?;

    progress(Step::Prove);
    match Session::open(host, pinned, keys).await.and_then(require_embedded) {
        Ok(session) => {
            let facts = session.facts().clone();
            session.close().await;
            shell.settle().await?;
            connection.close().await;
            Ok(Enrolled {
                host_key: pinned.clone(),
                facts,
            })
        }
        Err(error) => {
            progress(Step::TakeBack);
            let advice = match &error {
                FleetError::KeyRefused { .. } => shell.advice().await,
                _ => "May programs under /usr/local run there (no noexec), and is root's login shell a usual one?".to_owned(),
            };
            let separator = if advice.ends_with('?') { "" } else { "." };
            let taken_back = match shell.undo(&placed).await {
                Ok(()) => "What was put in place was taken back".to_owned(),
                Err(error) => format!("What was put in place could not be taken back: {error}"),
            };
            Err(FleetError::NotProven {
                host: host.clone(),
                reason: error.bare(),
                next: format!("{advice}{separator} {taken_back}"),
            })
        }
    }
}

/// Lets the controller's key for jump hosts through one, with a person's access to it, and proves that it gets in.
///
/// # Errors
/// See [`FleetError`].
pub async fn open_jump(
    jump: &Jump,
    before: &[Jump],
    mut access: PersonalAccess<'_>,
    jump_key: &ControllerKey,
) -> Result<(), FleetError> {
    match Connection::to_jump(jump, before, jump_key).await {
        Err(FleetError::JumpRefused { .. }) => {}
        opened => return opened.map(drop),
    }
    let host = Destination::of_jump(&jump.at, before);
    let mut connection = Connection::open(&host, &jump.host_key, jump_key).await?;
    access.log_in(&mut connection).await?;
    let script = script("jump", &settings_for(jump_key, jump_key.jump_line()));
    run_script(
        &connection,
        "putting the key for the way in place",
        &script,
        &Elevation::None,
        None,
    )
    .await?;
    connection.close().await;
    Connection::to_jump(jump, before, jump_key).await.map(drop)
}

fn require_embedded(session: Session) -> Result<Session, FleetError> {
    if session.is_current() {
        return Ok(session);
    }
    Err(FleetError::NoAgent {
        host: session.host().clone(),
        reason: "another agent than the one just put in place answered".to_owned(),
    })
}

/// The settings of the script that are the same for all its actions.
fn settings(key: &ControllerKey) -> Vec<(&'static str, String)> {
    settings_for(key, key.authorized_line())
}

fn settings_for(key: &ControllerKey, line: String) -> Vec<(&'static str, String)> {
    let blob = key.public_key().split(' ').nth(1).unwrap_or_default();
    vec![
        ("agent", allmende_agent::AGENT_PATH.to_owned()),
        ("sha256", EMBEDDED_AGENT.sha256.to_owned()),
        ("size", EMBEDDED_AGENT.binary.len().to_string()),
        ("line", line),
        ("blob", blob.to_owned()),
    ]
}

/// Refuses hosts that the agent cannot run on.
fn judge(host: &Destination, looked: &Outcome) -> Result<(), FleetError> {
    let unsuitable = |reason: String| {
        Err(FleetError::Unsuitable {
            host: host.clone(),
            reason,
        })
    };
    let said = |name| looked.said(name).unwrap_or_default();
    let (system, arch, os) = (said("system"), said("arch"), said("os"));
    if system != "Linux" {
        return unsuitable(format!("it runs {system}, not Linux"));
    }
    if arch != EMBEDDED_AGENT.arch {
        return unsuitable(format!(
            "its processor is {arch}, the agent of this Allmende is made for {}",
            EMBEDDED_AGENT.arch
        ));
    }
    if !os
        .split_whitespace()
        .any(|family| matches!(family, "debian" | "ubuntu"))
    {
        let os = os.split_whitespace().next().unwrap_or("an unknown system");
        return unsuitable(format!("it runs {os}; Debian or Ubuntu is needed"));
    }
    Ok(())
}

/// Finds out how the user becomes root.
async fn elevation(
    connection: &Connection,
    access: &mut PersonalAccess<'_>,
    looked: &Outcome,
) -> Result<Elevation, FleetError> {
    if looked.said("uid").as_deref() == Some("0") {
        return Ok(Elevation::None);
    }
    let user = access.user().to_owned();
    let no_root = |reason: String| {
        Err(FleetError::NoRoot {
            host: connection.host().clone(),
            user: user.clone(),
            reason,
        })
    };
    if looked.said("sudo").is_none() {
        return no_root("sudo is not installed there".to_owned());
    }
    let doing = "trying sudo";
    let freely = run(connection, doing, "sudo -n true", String::new(), None).await?;
    if freely.status == Some(0) {
        return Ok(Elevation::Sudo);
    }
    let question = Question::SudoPassword {
        user: user.clone(),
        host: connection.host().clone(),
    };
    let mut complaint = String::new();
    for _ in 0..TRIES {
        let Some(password) = access.ask(&question) else {
            return no_root("sudo wants a password, and none was given".to_owned());
        };
        let line = format!("{}\n", password.reveal());
        // Tried on its own first: after a wrong password sudo would take the agent's bytes for the next one.
        let tried = run(connection, doing, "sudo -k -S -p '' true", line, None).await?;
        if tried.status == Some(0) {
            return Ok(Elevation::SudoWithPassword(Secret::new(
                password.reveal().to_owned(),
            )));
        }
        complaint = tried.complaint();
        if complaint.contains("sudoers") || complaint.contains("not allowed") || complaint.contains("may not")
        {
            break;
        }
    }
    no_root(format!("sudo says: {complaint}"))
}

/// What the script put in place.
#[derive(Debug, Default, PartialEq, Eq)]
struct Placed {
    agent: String,
    key: String,
    made_directory: bool,
    made_ssh: bool,
}

/// The way onto the host that the person gave.
struct Shell<'a> {
    connection: &'a Connection,
    elevation: Elevation,
    key: &'a ControllerKey,
    /// The controller's address, as the host sees it.
    client: String,
}

impl Shell<'_> {
    async fn run(
        &self,
        action: &str,
        doing: &'static str,
        more: &[(&'static str, &str)],
        upload: Option<Upload<'_>>,
    ) -> Result<Outcome, FleetError> {
        let mut settings = settings(self.key);
        settings.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let script = script(action, &settings);
        run_script(self.connection, doing, &script, &self.elevation, upload).await
    }

    async fn install(
        &self,
        is_current: bool,
        progress: &mut (dyn FnMut(Step) + Send),
    ) -> Result<Placed, FleetError> {
        let total = EMBEDDED_AGENT.binary.len() as u64;
        let mut report = |sent| progress(Step::SendAgent { sent, total });
        let upload = (!is_current).then_some(Upload {
            bytes: EMBEDDED_AGENT.binary,
            progress: &mut report,
        });
        let upload_wanted = [("upload", if is_current { "no" } else { "yes" })];
        let outcome = self
            .run(
                "install",
                "putting the agent and the key in place",
                &upload_wanted,
                upload,
            )
            .await?;
        Ok(Placed {
            agent: outcome.said("agent").unwrap_or_default(),
            key: outcome.said("key").unwrap_or_default(),
            made_directory: outcome.said("made_directory").is_some(),
            made_ssh: outcome.said("made_ssh").is_some(),
        })
    }

    async fn settle(&self) -> Result<(), FleetError> {
        self.run("settle", "tidying up", &[], None).await.map(drop)
    }

    async fn undo(&self, placed: &Placed) -> Result<(), FleetError> {
        let yes = |what: bool| if what { "yes" } else { "no" };
        let what = [
            ("undo_agent", placed.agent.as_str()),
            ("undo_key", placed.key.as_str()),
            ("undo_directory", yes(placed.made_directory)),
            ("undo_ssh", yes(placed.made_ssh)),
        ];
        self.run("undo", "taking back what was put in place", &what, None)
            .await
            .map(drop)
    }

    /// What the host's SSH server is told that keeps the controller out.
    async fn advice(&self) -> String {
        let client = [("client", self.client.as_str())];
        match self
            .run("diagnose", "reading sshd's settings", &client, None)
            .await
        {
            Ok(outcome) => advice_on(&outcome.all_said("sshd")),
            Err(_) => advice_on(&[]),
        }
    }
}
