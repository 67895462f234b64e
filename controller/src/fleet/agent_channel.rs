//! One channel with an agent at its other end: hello, requests, events, answers.
//!
//! russh stops reading a whole connection as soon as one channel's buffer is full, so each channel has a task of its own
//! that always drains it and never waits for anybody ([`listen`]). Writing has a task, too: a frame is sent whole or not
//! at all, also when the request that it belongs to is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use allmende_agent::protocol::{Answer, Event, Frame, Hello, PROTOCOL_VERSION, Request, ToAgent};
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::agent_desk::{Desk, Ended, Listener, Note, Tray};
use super::connection::{Connection, End};
use super::error::one_line;
use super::frames::encode;
use super::{Destination, FleetError};

/// Frames that wait to be written; senders wait beyond that.
const OUTBOX: usize = 4;
/// What is kept of an agent's standard error.
const STDERR_TAIL: usize = 4096;
/// How long an agent may take to end after its input was closed.
const FAREWELL: Duration = Duration::from_secs(10);

/// How often the agent hears that the controller is there, and says so itself.
const BEAT: Duration = Duration::from_secs(2);
/// An agent that says nothing for so long hangs, although its host answers.
const SILENCE: Duration = Duration::from_secs(20);
/// The same for agents of other versions, which do not say that they are there.
const SILENCE_OF_STRANGERS: Duration = Duration::from_secs(120);

/// An agent that has introduced itself.
pub(super) struct AgentChannel {
    host: Destination,
    hello: Hello,
    outbox: mpsc::Sender<Vec<u8>>,
    desk: Arc<Desk>,
    next_id: AtomicU64,
    ended: watch::Receiver<bool>,
}

impl AgentChannel {
    /// Starts an agent and exchanges hellos.
    pub(super) async fn start(connection: &Connection) -> Result<Self, FleetError> {
        let channel = connection.channel().await?;
        // The forced command counts, whatever is asked for here. No round trip is spent on the confirmation.
        let command = format!("{} serve", allmende_agent::AGENT_PATH);
        if let Err(error) = channel.exec(true, command).await {
            return Err(connection.lost("while the agent was started", Some(error)));
        }
        let (read, write) = channel.split();
        let (outbox, frames) = mpsc::channel(OUTBOX);
        let (hello, introduced) = oneshot::channel();
        let (end, ended) = watch::channel(false);
        let desk = Arc::new(Desk::default());
        let listener = Listener::new(Arc::clone(&desk), hello);
        let beats = Arc::new(AtomicBool::new(false));
        tokio::spawn(listen(read, listener, connection.end(), end, Arc::clone(&beats)));
        tokio::spawn(write_frames(write, frames, ended.clone(), Arc::clone(&beats)));

        let mut channel = Self {
            host: connection.host().clone(),
            hello: Hello {
                protocol: 0,
                version: String::new(),
                sha256: String::new(),
                facts: Default::default(),
                waiting_reports: Vec::new(),
                standing_restores: Vec::new(),
            },
            outbox,
            desk,
            next_id: AtomicU64::new(1),
            ended,
        };
        channel
            .send(
                "introducing itself",
                &ToAgent::Hello {
                    protocol: PROTOCOL_VERSION,
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                },
            )
            .await?;
        let introduced = connection.in_time("the agent's hello", introduced).await;
        let introduced = introduced.map_err(|error| match error {
            // The host did answer, or there would be no channel.
            FleetError::TimedOut { host, seconds, .. } => FleetError::NoAgent {
                host,
                reason: format!("nothing came back within {seconds} seconds"),
            },
            error => error,
        })?;
        match introduced {
            Ok(hello) => channel.hello = *hello,
            Err(_) => return Err(channel.ended_while("introducing itself")),
        }
        if channel.hello.protocol == PROTOCOL_VERSION {
            channel
                .send("saying that it is there", &ToAgent::Alive {})
                .await?;
            beats.store(true, Ordering::Relaxed);
        }
        Ok(channel)
    }

    /// How the agent introduced itself.
    pub(super) fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Asks, passes events on, and returns the answer.
    pub(super) async fn request(
        &self,
        request: Request,
        mut on_event: impl FnMut(Event),
    ) -> Result<Answer, FleetError> {
        let mut pending = self.begin(request).await?;
        loop {
            match pending.next().await? {
                Reply::Event(event) => on_event(event),
                Reply::Answer(answer) => return Ok(answer),
            }
        }
    }

    /// Asks; what comes back is up to the caller to read.
    pub(super) async fn begin(&self, request: Request) -> Result<Pending<'_>, FleetError> {
        let doing = name_of(&request);
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let Some(tray) = self.desk.expect(id) else {
            return Err(self.ended_while(doing));
        };
        self.send(doing, &ToAgent::Request { id, request }).await?;
        Ok(Pending {
            channel: self,
            doing,
            tray,
        })
    }

    async fn send(&self, doing: &'static str, message: &ToAgent) -> Result<(), FleetError> {
        let body = serde_json::to_vec(message).map_err(|error| FleetError::Protocol {
            host: self.host.clone(),
            reason: format!("{doing} could not be put into words: {error}"),
        })?;
        let bytes = encode(&Frame::Message(body)).map_err(|reason| FleetError::TooMuch {
            host: self.host.clone(),
            doing,
            reason,
        })?;
        self.send_bytes(doing, bytes).await
    }

    /// Sends a whole frame, waiting while too much is under way.
    pub(super) async fn send_bytes(&self, doing: &'static str, frame: Vec<u8>) -> Result<(), FleetError> {
        self.outbox.send(frame).await.map_err(|_| self.ended_while(doing))
    }

    /// Closes the agent's input, so that it ends, and waits for that. Nothing can be asked afterwards.
    pub(super) async fn hang_up(&mut self) {
        self.outbox = mpsc::channel(1).0;
        // An agent that takes too long is left to itself.
        let _ = timeout(FAREWELL, self.ended.wait_for(|ended| *ended)).await;
    }

    fn ended_while(&self, doing: &'static str) -> FleetError {
        let host = self.host.clone();
        let doing = format!("while {doing}");
        match self.desk.ended() {
            Some(Ended::Process(how)) => FleetError::AgentEnded { host, doing, how },
            Some(Ended::NoAgent(reason)) => FleetError::NoAgent { host, reason },
            Some(Ended::Broken(reason)) => FleetError::Protocol { host, reason },
            Some(Ended::Lost(reason)) => FleetError::Lost { host, doing, reason },
            Some(Ended::Silent(seconds)) => FleetError::AgentSilent { host, doing, seconds },
            None => FleetError::Lost {
                host,
                doing,
                reason: "the channel was closed".to_owned(),
            },
        }
    }
}

/// A request under way. Dropping it stops listening; what the agent does goes on.
pub(super) struct Pending<'a> {
    channel: &'a AgentChannel,
    doing: &'static str,
    tray: Tray,
}

/// What comes back on a request that was not refused.
#[derive(Debug)]
pub(super) enum Reply {
    Event(Event),
    Answer(Answer),
}

impl Pending<'_> {
    /// The next thing that comes back; the last one is the answer.
    pub(super) async fn next(&mut self) -> Result<Reply, FleetError> {
        match self.tray.next().await {
            Some(Note::Event(event)) => Ok(Reply::Event(event)),
            Some(Note::Answer(Ok(answer))) => Ok(Reply::Answer(answer)),
            Some(Note::Answer(Err(refusal))) => Err(FleetError::Refused {
                host: self.channel.host.clone(),
                doing: self.doing,
                refusal,
            }),
            None => Err(self.channel.ended_while(self.doing)),
        }
    }
}

/// Drains the channel until it ends, then says why to all who wait.
async fn listen(
    mut read: ChannelReadHalf,
    mut listener: Listener,
    end: End,
    ended: watch::Sender<bool>,
    beats: Arc<AtomicBool>,
) {
    let mut stderr = Vec::new();
    let mut exit = None;
    let mut broken = None;
    let mut heard = Instant::now();
    loop {
        let message = match timeout(BEAT, read.wait()).await {
            Ok(Some(message)) => message,
            Ok(None) => break,
            Err(_) => {
                let limit = match beats.load(Ordering::Relaxed) {
                    true => SILENCE,
                    false => SILENCE_OF_STRANGERS,
                };
                if heard.elapsed() >= limit && listener.is_waited_for() {
                    broken = Some(Ended::Silent(heard.elapsed().as_secs()));
                    break;
                }
                continue;
            }
        };
        heard = Instant::now();
        match message {
            ChannelMsg::Data { data } => {
                if let Err(reason) = listener.take(&data) {
                    broken = Some(reason);
                    break;
                }
            }
            ChannelMsg::ExtendedData { data, .. } => {
                stderr.extend_from_slice(&data);
                let excess = stderr.len().saturating_sub(STDERR_TAIL);
                stderr.drain(..excess);
            }
            ChannelMsg::ExitStatus { exit_status } => exit = Some(format!("exit status {exit_status}")),
            ChannelMsg::ExitSignal {
                signal_name,
                error_message,
                ..
            } => exit = Some(killed(&signal_name, &error_message)),
            ChannelMsg::Failure => exit = Some("the host refuses to start it".to_owned()),
            ChannelMsg::Close => break,
            _ => {}
        }
    }
    let why = broken.unwrap_or_else(|| {
        let Some(exit) = exit else {
            let reason = end.reason();
            return Ended::Lost(reason.unwrap_or_else(|| "the host closed the channel".to_owned()));
        };
        match one_line(&String::from_utf8_lossy(&stderr)) {
            stderr if stderr.is_empty() => listener.process_ended(&exit),
            stderr => listener.process_ended(&format!("{exit}; it wrote {stderr:?}")),
        }
    });
    listener.close(why);
    ended.send_replace(true);
}

fn killed(signal: &russh::Sig, message: &str) -> String {
    let signal = match signal {
        russh::Sig::Custom(name) => one_line(name),
        signal => format!("{signal:?}"),
    };
    match one_line(message) {
        message if message.is_empty() => format!("killed by signal {signal}"),
        message => format!("killed by signal {signal} ({message})"),
    }
}

/// Writes frames until nobody sends any more, then lets the agent end in peace.
async fn write_frames(
    write: ChannelWriteHalf<Msg>,
    mut frames: mpsc::Receiver<Vec<u8>>,
    mut ended: watch::Receiver<bool>,
    beats: Arc<AtomicBool>,
) {
    let alive = serde_json::to_vec(&ToAgent::Alive {})
        .ok()
        .and_then(|body| encode(&Frame::Message(body)).ok());
    let writing = async {
        loop {
            let frame = match (timeout(BEAT, frames.recv()).await, &alive) {
                (Ok(Some(frame)), _) => frame,
                (Ok(None), _) => break,
                (Err(_), Some(alive)) if beats.load(Ordering::Relaxed) => alive.clone(),
                (Err(_), _) => continue,
            };
            if write.data_bytes(frame).await.is_err() {
                return;
            }
        }
        let _ = write.eof().await;
        tokio::time::sleep(FAREWELL).await;
    };
    tokio::select! {
        () = writing => {}
        _ = ended.wait_for(|ended| *ended) => {}
    }
    let _ = write.close().await;
}

/// What a request is called in messages, after "while" and "refused".
fn name_of(request: &Request) -> &'static str {
    match request {
        Request::Plan(_) => "comparing what is with what should be",
        Request::Apply { .. } => "making changes",
        Request::BackUp { .. } => "backing up",
        Request::Restore { .. } => "restoring",
        Request::UndoRestore { .. } => "undoing a restore",
        Request::Drill { .. } => "making a drill",
        Request::Blobs { .. } => "looking for files it already has",
        Request::PutBlob { .. } => "taking a file",
        Request::Execute(_) => "running a program",
        Request::Observe(_) => "looking at the host",
        Request::TakeReport { .. } => "handing over a report",
        Request::Replace { .. } | Request::KeepReplacement => "replacing the agent",
        Request::AuthorizeKey { .. } | Request::WithdrawKey { .. } => "changing its keys",
        Request::Uninstall { .. } => "removing the agent",
    }
}
