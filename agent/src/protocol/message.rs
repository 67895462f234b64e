//! Messages, their requests, answers and events. All are JSON objects; unknown fields are refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::backup::{BackupOrder, BackupReport};
use super::restore::{DrillOrder, DrillReport, RestoreOrder, RestoreReport, StandingRestore, UndoOrder};
use crate::observe::{Inquiry, Observations};
use crate::resources::ResourceSpec;

/// What the controller sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ToAgent {
    /// The first message of a session.
    Hello {
        /// [`super::PROTOCOL_VERSION`] of the controller.
        protocol: u32,
        /// The controller's own version, for messages to people.
        version: String,
    },
    /// Asks for something; the answer carries the same id. Several can be under way at once.
    Request {
        /// Chosen by the controller, unique within the session.
        id: u64,
        /// What is asked.
        request: Request,
    },
    /// The controller is still there: said every few seconds once both hellos are known to be of the same version. An agent
    /// that heard it once takes silence for the end of the connection.
    Alive {},
}

/// What the agent sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FromAgent {
    /// The first message of a session; the agent sends it unasked.
    Hello(Hello),
    /// Something happened while a request is worked on.
    Event {
        /// The request's id.
        id: u64,
        /// What happened.
        event: Event,
    },
    /// The last word on a request.
    Answer {
        /// The request's id.
        id: u64,
        /// The answer, or why there is none.
        answer: Result<Answer, Refusal>,
    },
    /// The agent is still there: said every few seconds from the controller's first [`ToAgent::Alive`] on.
    Alive {},
}

/// How an agent introduces itself. Keeps its shape across protocol versions: fields are only added, with a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`super::PROTOCOL_VERSION`] of the agent.
    pub protocol: u32,
    /// The agent's version, for messages to people.
    pub version: String,
    /// SHA-256 of the agent's binary, lower-case hex.
    pub sha256: String,
    /// What the host is.
    #[serde(default)]
    pub facts: Facts,
    /// Runs whose reports wait in the journal because nobody was there to take them, and a run that lost its controller and is
    /// still finishing what it has in hand.
    #[serde(default)]
    pub waiting_reports: Vec<String>,
    /// Restores that stopped in the middle.
    #[serde(default)]
    pub standing_restores: Vec<StandingRestore>,
}

/// What a host is: read without starting a program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The host's own name.
    pub hostname: String,
    /// `debian`, `ubuntu`: `ID` of os-release.
    pub os: String,
    /// `12`, `13`, `24.04`: `VERSION_ID` of os-release.
    pub release: String,
    /// `bookworm`: `VERSION_CODENAME` of os-release.
    pub codename: String,
    /// `x86_64`, `aarch64`.
    pub arch: String,
    /// Kernel release.
    pub kernel: String,
    /// Memory, in MiB.
    pub memory_mb: u64,
    /// Processors.
    pub cpus: u64,
    /// Size of the root file system, in MiB.
    pub disk_mb: u64,
    /// What is free of it for services, in MiB.
    pub disk_free_mb: u64,
    /// Whether the host is a container, which shares its kernel and its clock with the machine around it.
    pub container: bool,
    /// Changes with every boot.
    pub boot_id: String,
    /// Seconds since the boot.
    pub uptime_seconds: u64,
}

/// What a controller can ask for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Compares, changes nothing. Answer: [`Answer::Report`].
    Plan(DesiredState),
    /// Compares and changes. Events as it happens; answer: [`Answer::Report`].
    Apply {
        /// Names this run in the journal; letters, digits and `-`.
        run: String,
        /// Who asks, for whoever finds the host busy ("anna, job 12").
        holder: String,
        /// What is wanted.
        desired: DesiredState,
    },
    /// Which of these blobs the host lacks, and how much of each is there from an earlier try. Answer: [`Answer::Blobs`].
    Blobs {
        /// SHA-256 of each, lower-case hex.
        wanted: Vec<String>,
    },
    /// A blob follows in [`super::Frame::Blob`] frames, from `offset` to `size`; then the answer is [`Answer::Done`].
    /// Nothing else is asked on the session meanwhile.
    PutBlob {
        /// SHA-256 of the whole, lower-case hex.
        sha256: String,
        /// Size of the whole, in bytes.
        size: u64,
        /// Where the frames begin; what [`Answer::Blobs`] said.
        offset: u64,
    },
    /// Runs one program and hands back what it printed. Answer: [`Answer::Output`].
    Execute(Execution),
    /// Looks at the host; changes nothing and may run beside an apply. Answer: [`Answer::Observations`].
    Observe(Inquiry),
    /// Backs up a service. Events as it happens; answer: [`Answer::Backup`].
    BackUp {
        /// Names this run in the journal; letters, digits and `-`.
        run: String,
        /// Who asks, for whoever finds the host busy.
        holder: String,
        /// What is wanted.
        order: Box<BackupOrder>,
    },
    /// Brings a service back from a backup. Events as it happens; answer: [`Answer::Restored`].
    Restore {
        /// Names this run in the journal; letters, digits and `-`.
        run: String,
        /// Who asks, for whoever finds the host busy.
        holder: String,
        /// What is wanted.
        order: Box<RestoreOrder>,
    },
    /// Puts back what was there before a restore that did not come to its end, or keeps what it brought. Answer: [`Answer::Restored`].
    UndoRestore {
        /// Names this run in the journal; letters, digits and `-`.
        run: String,
        /// Who asks, for whoever finds the host busy.
        holder: String,
        /// What is wanted.
        order: Box<UndoOrder>,
    },
    /// Restores into scratch places, compares and removes everything. Events as it happens; answer: [`Answer::Drilled`].
    Drill {
        /// Names this run in the journal; letters, digits and `-`.
        run: String,
        /// Who asks, for whoever finds the host busy.
        holder: String,
        /// What is wanted.
        order: Box<DrillOrder>,
    },
    /// The report of a run that nobody took; it is dropped from the journal with this answer. The end of a run that lost its
    /// controller is waited for. Answer: what the run would have answered.
    TakeReport {
        /// From [`Hello::waiting_reports`].
        run: String,
    },
    /// Puts the binary with this hash, a blob sent before, in the agent's place; the old one stays until the session ends
    /// or [`Request::KeepReplacement`] comes. A session that ends without it puts the old one back. Answer: [`Answer::Done`].
    Replace {
        /// SHA-256 of the new binary.
        sha256: String,
    },
    /// The new agent has said hello elsewhere: the old one may go. Answer: [`Answer::Done`].
    KeepReplacement,
    /// Lets another key start the agent, and do nothing else. Answer: [`Answer::Done`].
    AuthorizeKey {
        /// The public key, in the form "ssh-ed25519 AAAA…".
        public_key: String,
    },
    /// Takes a key out of `authorized_keys`. Answer: [`Answer::Done`].
    WithdrawKey {
        /// The public key, in the form "ssh-ed25519 AAAA…".
        public_key: String,
    },
    /// Takes the agent, its key in `authorized_keys` and everything the agent keeps off the host. Answer: [`Answer::Done`].
    Uninstall {
        /// The public key to take out, in the form "ssh-ed25519 AAAA…".
        public_key: String,
    },
}

/// The answers to requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// It is done.
    Done,
    /// What a plan found or an apply did.
    Report(Report),
    /// How many bytes of each wanted blob are there; a blob that is whole is left out.
    Blobs(BTreeMap<String, u64>),
    /// What a program printed.
    Output(Output),
    /// What was found on the host.
    Observations(Observations),
    /// What a backup did.
    Backup(BackupReport),
    /// What a restore, or the undoing of one, did.
    Restored(RestoreReport),
    /// What a drill found.
    Drilled(DrillReport),
}

/// One program to run, once, outside of any desired state.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Execution {
    /// The program and its arguments; there is no shell.
    pub argv: Vec<String>,
    /// The Unix user that runs it.
    pub user: String,
    /// Environment beside PATH, HOME, USER, LANG.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// What the program reads on standard input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// Seconds after which it is ended, and the request fails.
    pub timeout: u64,
    /// For a program that changes the host: who asks ("anna, job 12"). Nothing else changes the host meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// Values that the agent masks in everything it says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

/// What came of a program that ran to its end, secrets masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// The beginning of its standard output, at most [`Output::LIMIT`] bytes.
    pub stdout: String,
    /// Whether there was more.
    pub truncated: bool,
    /// The last lines of standard output and standard error, for people.
    pub tail: Vec<String>,
}

impl Output {
    /// How much of the standard output is handed back, in bytes.
    pub const LIMIT: usize = 256 * 1024;
}

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// What kind of refusal it is, for programs.
    pub kind: RefusalKind,
    /// What was attempted, what came back and what to do, for people.
    pub message: String,
}

/// The kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// Another run is changing this host.
    Busy,
    /// Blobs are missing that the desired state needs; ask with [`Request::Blobs`].
    BlobsMissing,
    /// The request makes no sense.
    Invalid,
    /// It was tried and failed.
    Failed,
}

/// What a host shall look like.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DesiredState {
    /// In the order in which they are applied.
    pub sections: Vec<Section>,
    /// Values that the agent masks in everything it says.
    pub secrets: Vec<String>,
}

/// The part of a desired state that one service, or the host itself, stands for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// Unique on the host, safe as a file name: pending handlers are kept under it.
    pub name: String,
    /// In the order in which they are applied.
    pub resources: Vec<Resource>,
    /// What may be asked for by [`Resource::notify`]; run in this order, once, after the section's resources.
    pub handlers: Vec<Handler>,
}

/// One resource with its desired state.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// Unique in its section.
    pub id: String,
    /// What is wanted.
    pub spec: ResourceSpec,
    /// Handlers to run when it changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<String>,
}

/// Something that has to happen once after changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handler {
    /// Unique in its section.
    pub id: String,
    /// Must succeed before the handler acts; a program and its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Vec<String>>,
    /// What it does.
    #[serde(flatten)]
    pub act: HandlerAct,
}

/// What a handler does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum HandlerAct {
    /// Reloads or restarts a running unit; starts nothing that is stopped.
    Unit {
        /// With its suffix: `nginx.service`.
        unit: String,
        /// How.
        action: UnitAction,
    },
    /// Runs a program.
    Command {
        /// The program and its arguments.
        command: Vec<String>,
    },
}

/// How a handler treats a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitAction {
    /// Reload; restart if it cannot reload.
    Reload,
    /// Restart.
    Restart,
}

/// What a plan found, or what an apply did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// One for each resource looked at, in order.
    pub resources: Vec<ResourceReport>,
    /// Handlers that ran, or, in a plan, would run.
    pub handlers: Vec<HandlerReport>,
    /// Set when the run stopped before its end: what failed, or that the connection ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// What was found or done about one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceReport {
    /// Its section.
    pub section: String,
    /// Its id.
    pub id: String,
    /// `file`, `package` …
    pub kind: String,
    /// What it is about: a path, a name.
    pub subject: String,
    /// What has to be done, or was done.
    pub action: Action,
    /// The differences, property by property; empty when the resource is as desired.
    pub changes: Vec<Change>,
}

/// What is done about a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// As it should be.
    None,
    /// Did not exist.
    Create,
    /// Existed, but differed.
    Change,
    /// Existed, but should not.
    Remove,
    /// A command that has to run.
    Run,
}

/// One difference.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Change {
    /// `mode`, `owner`, `content`, `installed` …
    pub property: String,
    /// What is there; none when nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What is wanted; none when it shall go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// For text content: a unified diff without its file header. Absent where the content holds secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

/// A handler that ran or would run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandlerReport {
    /// Its section.
    pub section: String,
    /// Its id.
    pub id: String,
    /// "reload nginx.service", for people.
    pub what: String,
    /// True when it was left over from an earlier run that did not end.
    pub left_over: bool,
}

/// Something that happens while a run goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// A resource differs and is being changed.
    Started {
        /// Its section.
        section: String,
        /// Its id.
        id: String,
        /// Its kind.
        kind: String,
        /// What it is about.
        subject: String,
        /// How many resources of the whole state come before it.
        position: usize,
        /// How many resources the whole state has.
        total: usize,
    },
    /// A line that a long-running program printed, secrets masked.
    Output(String),
    /// A resource was changed, and proven by reading it again.
    Changed(ResourceReport),
    /// A handler ran.
    Handled(HandlerReport),
    /// Nothing goes on before something else has ended; what that is, for people.
    Waiting(String),
    /// The engine is about to be started: a channel with the command `allmende-agent bridge NAME` has to be opened.
    Bridge(String),
    /// How far a part is; at most once a second.
    Progress {
        /// Which part.
        part: String,
        /// Bytes read.
        done_bytes: u64,
        /// Bytes to read; 0 while nobody knows.
        total_bytes: u64,
        /// Files read.
        done_files: u64,
        /// Files to read; 0 while nobody knows.
        total_files: u64,
    },
}
