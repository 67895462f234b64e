//! One channel with an agent at its other end: hello, requests, events, answers.
//!
//! russh stops reading a whole connection as soon as one channel's buffer is full, so each channel has a task of its own
//! that always drains it and never waits for anybody ([`listen`]). Writing has a task, too: a frame is sent whole or not
//! at all, also when the request that it belongs to is dropped.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use allmende_agent::protocol::{
    Answer, Event, Frame, FromAgent, Hello, PROTOCOL_VERSION, Refusal, Request, ToAgent,
};
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::connection::{Connection, End};
use super::error::one_line;
use super::frames::{FrameDecoder, HelloFinder, encode};
use super::{Destination, FleetError};

/// Frames that wait to be written; senders wait beyond that.
const OUTBOX: usize = 4;
/// Bytes of events that may wait for one slow listener.
const BACKLOG: usize = 64 * 1024 * 1024;
/// What is kept of an agent's standard error.
const STDERR_TAIL: usize = 4096;
/// How long an agent may take to end after its input was closed.
const FAREWELL: Duration = Duration::from_secs(10);

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
        let listener = Listener {
            desk: Arc::clone(&desk),
            stage: Stage::Greeting(HelloFinder::default(), hello),
        };
        tokio::spawn(listen(read, listener, connection.end(), end));
        tokio::spawn(write_frames(write, frames, ended.clone()));

        let mut channel = Self {
            host: connection.host().clone(),
            hello: Hello {
                protocol: 0,
                version: String::new(),
                sha256: String::new(),
                facts: Default::default(),
                waiting_reports: Vec::new(),
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
        match connection.in_time("the agent's hello", introduced).await? {
            Ok(hello) => channel.hello = *hello,
            Err(_) => return Err(channel.ended_while("introducing itself")),
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
                Note::Event(event) => on_event(event),
                Note::Answer(answer) => return Ok(answer),
            }
        }
    }

    /// Asks; what comes back is up to the caller to read.
    pub(super) async fn begin(&self, request: Request) -> Result<Pending<'_>, FleetError> {
        let doing = name_of(&request);
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (waiter, notes) = Waiter::new();
        let pending = Pending {
            channel: self,
            id,
            doing,
            notes,
            backlog: Arc::clone(&waiter.backlog),
        };
        if !self.desk.open().expect(id, waiter) {
            return Err(self.ended_while(doing));
        }
        self.send(doing, &ToAgent::Request { id, request }).await?;
        Ok(pending)
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
        match self.desk.open().ended.clone() {
            Some(Ended::Process(how)) => FleetError::AgentEnded { host, doing, how },
            Some(Ended::NoAgent(reason)) => FleetError::NoAgent { host, reason },
            Some(Ended::Broken(reason)) => FleetError::Protocol { host, reason },
            Some(Ended::Lost(reason)) => FleetError::Lost { host, doing, reason },
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
    id: u64,
    doing: &'static str,
    notes: mpsc::UnboundedReceiver<(usize, Slip)>,
    backlog: Arc<AtomicUsize>,
}

/// What comes back on a request.
#[derive(Debug)]
pub(super) enum Note {
    Event(Event),
    Answer(Answer),
}

impl Pending<'_> {
    /// The next thing that comes back; the last one is the answer.
    pub(super) async fn next(&mut self) -> Result<Note, FleetError> {
        let Some((size, slip)) = self.notes.recv().await else {
            return Err(self.channel.ended_while(self.doing));
        };
        self.backlog.fetch_sub(size, Ordering::Relaxed);
        match slip {
            Slip::Event(event) => Ok(Note::Event(event)),
            Slip::Answer(Ok(answer)) => Ok(Note::Answer(answer)),
            Slip::Answer(Err(refusal)) => Err(FleetError::Refused {
                host: self.channel.host.clone(),
                doing: self.doing,
                refusal,
            }),
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.channel.desk.open().waiting.remove(&self.id);
    }
}

#[derive(Debug)]
enum Slip {
    Event(Event),
    Answer(Result<Answer, Refusal>),
}

/// Where answers are handed out.
#[derive(Default)]
struct Desk(Mutex<Counter>);

#[derive(Default)]
struct Counter {
    waiting: HashMap<u64, Waiter>,
    ended: Option<Ended>,
}

impl Desk {
    fn open(&self) -> MutexGuard<'_, Counter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counter {
    /// Notes who waits; false if nothing will come any more.
    fn expect(&mut self, id: u64, waiter: Waiter) -> bool {
        let open = self.ended.is_none();
        if open {
            self.waiting.insert(id, waiter);
        }
        open
    }
}

/// Why nothing more comes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ended {
    /// The agent's process ended.
    Process(String),
    /// What answered is no agent.
    NoAgent(String),
    /// The agent said something that is not the protocol.
    Broken(String),
    /// The connection is gone.
    Lost(String),
}

struct Waiter {
    notes: mpsc::UnboundedSender<(usize, Slip)>,
    backlog: Arc<AtomicUsize>,
    left_out: usize,
}

impl Waiter {
    fn new() -> (Self, mpsc::UnboundedReceiver<(usize, Slip)>) {
        let (notes, received) = mpsc::unbounded_channel();
        let waiter = Self {
            notes,
            backlog: Arc::default(),
            left_out: 0,
        };
        (waiter, received)
    }

    /// Passes an event on. Output that nobody reads fast enough is left out, and that it was is said.
    fn pass(&mut self, size: usize, event: Event) -> Result<(), String> {
        if self.backlog.load(Ordering::Relaxed).saturating_add(size) > BACKLOG {
            if matches!(event, Event::Output(_)) {
                self.left_out += 1;
                return Ok(());
            }
            return Err("it sent events faster than they can be taken in".to_owned());
        }
        if self.left_out > 0 {
            let note = format!("({} lines were left out)", self.left_out);
            self.left_out = 0;
            self.hand_over(note.len(), Slip::Event(Event::Output(note)));
        }
        self.hand_over(size, Slip::Event(event));
        Ok(())
    }

    fn hand_over(&self, size: usize, slip: Slip) {
        self.backlog.fetch_add(size, Ordering::Relaxed);
        // Nobody listens any more: then nobody misses it.
        let _ = self.notes.send((size, slip));
    }
}

/// Makes notes for the desk out of what an agent sends.
struct Listener {
    desk: Arc<Desk>,
    stage: Stage,
}

enum Stage {
    Greeting(HelloFinder, oneshot::Sender<Box<Hello>>),
    Talking(FrameDecoder, Option<oneshot::Sender<Box<Hello>>>),
}

impl Listener {
    /// Takes what came from the agent's standard output.
    fn take(&mut self, piece: &[u8]) -> Result<(), Ended> {
        if let Stage::Greeting(finder, _) = &mut self.stage {
            let Some(found) = finder.feed(piece).map_err(|_| self.no_agent(""))? else {
                return Ok(());
            };
            let talking = Stage::Talking(FrameDecoder::default(), None);
            if let Stage::Greeting(_, hello) = std::mem::replace(&mut self.stage, talking) {
                self.stage = Stage::Talking(FrameDecoder::default(), Some(hello));
            }
            return self.take(&found);
        }
        let Stage::Talking(decoder, hello) = &mut self.stage else {
            return Ok(());
        };
        let mut outcome = Ok(());
        let decoded = decoder.feed(piece, |frame| {
            if outcome.is_ok() {
                outcome = self.desk.take(&frame, hello);
            }
        });
        decoded
            .map_err(|error| error.to_string())
            .and(outcome)
            .map_err(Ended::Broken)
    }

    /// What to say when something else than an agent answered.
    fn no_agent(&self, ending: &str) -> Ended {
        let said = match &self.stage {
            Stage::Greeting(finder, _) => one_line(&String::from_utf8_lossy(finder.noise())),
            Stage::Talking(..) => String::new(),
        };
        Ended::NoAgent(match (said.is_empty(), ending.is_empty()) {
            (true, true) => "nothing came back".to_owned(),
            (true, false) => ending.to_owned(),
            (false, true) => format!("instead came {said:?}"),
            (false, false) => format!("{ending}; it printed {said:?}"),
        })
    }
}

impl Desk {
    fn take(&self, frame: &Frame, hello: &mut Option<oneshot::Sender<Box<Hello>>>) -> Result<(), String> {
        let Frame::Message(body) = frame else {
            return Err("it sent a blob that nobody asked for".to_owned());
        };
        let message: FromAgent = serde_json::from_slice(body)
            .map_err(|error| format!("a message cannot be understood ({error})"))?;
        match message {
            FromAgent::Hello(introduction) => {
                let waiting = hello.take().ok_or("it said hello twice")?;
                let _ = waiting.send(Box::new(introduction));
            }
            FromAgent::Event { id, event } => {
                if let Some(waiter) = self.open().waiting.get_mut(&id) {
                    waiter.pass(body.len(), event)?;
                }
            }
            FromAgent::Answer { id, answer } => {
                if let Some(waiter) = self.open().waiting.remove(&id) {
                    waiter.hand_over(body.len(), Slip::Answer(answer));
                }
            }
        }
        Ok(())
    }
}

/// Drains the channel until it ends, then says why to all who wait.
async fn listen(mut read: ChannelReadHalf, mut listener: Listener, end: End, ended: watch::Sender<bool>) {
    let mut stderr = Vec::new();
    let mut exit = None;
    let mut broken = None;
    while let Some(message) = read.wait().await {
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
    let reason = broken.unwrap_or_else(|| {
        let stderr = one_line(&String::from_utf8_lossy(&stderr));
        let how = exit.map(|exit| match stderr.is_empty() {
            true => exit,
            false => format!("{exit}; it wrote {stderr:?}"),
        });
        match (how, &listener.stage) {
            (Some(how), Stage::Greeting(..)) => listener.no_agent(&how),
            (Some(how), Stage::Talking(decoder, _)) if decoder.is_inside_a_frame() => {
                Ended::Process(format!("{how}, in the middle of a message"))
            }
            (Some(how), Stage::Talking(..)) => Ended::Process(how),
            (None, _) => Ended::Lost(
                end.reason()
                    .unwrap_or_else(|| "the host closed the channel".to_owned()),
            ),
        }
    });
    let mut counter = listener.desk.open();
    counter.ended = Some(reason);
    counter.waiting.clear();
    drop(counter);
    // The sender of the hello goes with the listener, after the reason is known.
    drop(listener);
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
) {
    let writing = async {
        while let Some(frame) = frames.recv().await {
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
        Request::Blobs { .. } => "looking for files it already has",
        Request::PutBlob { .. } => "taking a file",
        Request::TakeReport { .. } => "handing over a report",
        Request::Replace { .. } | Request::KeepReplacement => "replacing the agent",
        Request::Uninstall { .. } => "removing the agent",
    }
}
