//! What comes from an agent, handed out to those who asked for it. Nothing here waits for anybody.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use allmende_agent::protocol::{Answer, Event, Frame, FromAgent, Hello, Refusal};
use tokio::sync::{mpsc, oneshot};

use super::error::one_line;
use super::frames::{FrameDecoder, HelloFinder};

/// Bytes of events that may wait for one slow listener.
const BACKLOG: usize = if cfg!(test) { 1024 * 1024 } else { 64 * 1024 * 1024 };

/// What comes back on a request; the answer is the last.
#[derive(Debug)]
pub(super) enum Note {
    /// Something happened.
    Event(Event),
    /// It is done, or was refused.
    Answer(Result<Answer, Refusal>),
}

/// Why nothing more comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// The agent's process ended.
    Process(String),
    /// What answered is no agent.
    NoAgent(String),
    /// The agent said something that is not the protocol.
    Broken(String),
    /// The connection is gone.
    Lost(String),
    /// The connection is there, but the agent says nothing any more.
    Silent(u64),
}

/// Where everything that comes is handed out.
#[derive(Default)]
pub(super) struct Desk(Mutex<Counter>);

#[derive(Default)]
struct Counter {
    waiting: HashMap<u64, Waiter>,
    ended: Option<Ended>,
}

impl Desk {
    fn open(&self) -> MutexGuard<'_, Counter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A tray for what comes back on a request; none if nothing will come any more.
    pub(super) fn expect(self: &Arc<Self>, id: u64) -> Option<Tray> {
        let mut counter = self.open();
        if counter.ended.is_some() {
            return None;
        }
        let (notes, received) = mpsc::unbounded_channel();
        let backlog = Arc::<AtomicUsize>::default();
        counter.waiting.insert(
            id,
            Waiter {
                notes,
                backlog: Arc::clone(&backlog),
                left_out: 0,
            },
        );
        Some(Tray {
            desk: Arc::clone(self),
            id,
            notes: received,
            backlog,
        })
    }

    /// Whether anybody waits for something.
    pub(super) fn is_waited_at(&self) -> bool {
        !self.open().waiting.is_empty()
    }

    /// Why nothing more comes, if so.
    pub(super) fn ended(&self) -> Option<Ended> {
        self.open().ended.clone()
    }

    /// Tells all who wait that nothing more comes.
    fn close(&self, why: Ended) {
        let mut counter = self.open();
        counter.ended.get_or_insert(why);
        counter.waiting.clear();
    }

    fn take(&self, frame: &Frame, hello: &mut Option<oneshot::Sender<Box<Hello>>>) -> Result<(), String> {
        let Frame::Message(body) = frame else {
            return Err("it sent a blob that nobody asked for".to_owned());
        };
        let message: FromAgent = serde_json::from_slice(body)
            .map_err(|error| format!("a message cannot be understood ({error})"))?;
        match message {
            FromAgent::Hello(introduction) => {
                let waiting = hello.take().ok_or("it said hello twice")?;
                // Whoever started it may have given up.
                let _ = waiting.send(Box::new(introduction));
            }
            // That it came is all it says.
            FromAgent::Alive {} => {}
            FromAgent::Event { id, event } => {
                if let Some(waiter) = self.open().waiting.get_mut(&id) {
                    waiter.pass(body.len(), event)?;
                }
            }
            FromAgent::Answer { id, answer } => {
                if let Some(mut waiter) = self.open().waiting.remove(&id) {
                    waiter.own_up();
                    waiter.hand_over(body.len(), Note::Answer(answer));
                }
            }
        }
        Ok(())
    }
}

/// Where what comes back on one request lies until it is taken. Dropping it stops listening.
pub(super) struct Tray {
    desk: Arc<Desk>,
    id: u64,
    notes: mpsc::UnboundedReceiver<(usize, Note)>,
    backlog: Arc<AtomicUsize>,
}

impl Tray {
    /// The next note; none if nothing more comes.
    pub(super) async fn next(&mut self) -> Option<Note> {
        let (size, note) = self.notes.recv().await?;
        self.backlog.fetch_sub(size, Ordering::Relaxed);
        Some(note)
    }
}

impl Drop for Tray {
    fn drop(&mut self) {
        self.desk.open().waiting.remove(&self.id);
    }
}

/// The other end of a tray.
struct Waiter {
    notes: mpsc::UnboundedSender<(usize, Note)>,
    backlog: Arc<AtomicUsize>,
    left_out: usize,
}

impl Waiter {
    /// Passes an event on. Output that nobody reads fast enough is left out, and that it was is said.
    fn pass(&mut self, size: usize, event: Event) -> Result<(), String> {
        if self.backlog.load(Ordering::Relaxed).saturating_add(size) > BACKLOG {
            if matches!(event, Event::Output(_)) {
                self.left_out += 1;
                return Ok(());
            }
            return Err("it sent events faster than they can be taken in".to_owned());
        }
        self.own_up();
        self.hand_over(size, Note::Event(event));
        Ok(())
    }

    /// Says how much output was left out, if any was.
    fn own_up(&mut self) {
        if self.left_out > 0 {
            let note = format!("({} lines were left out)", self.left_out);
            self.left_out = 0;
            self.hand_over(note.len(), Note::Event(Event::Output(note)));
        }
    }

    fn hand_over(&self, size: usize, note: Note) {
        self.backlog.fetch_add(size, Ordering::Relaxed);
        // Nobody listens any more: then nobody misses it.
        let _ = self.notes.send((size, note));
    }
}

/// Understands what an agent's standard output says, from its hello on.
pub(super) struct Listener {
    desk: Arc<Desk>,
    hello: Option<oneshot::Sender<Box<Hello>>>,
    finder: HelloFinder,
    /// There once the hello began.
    decoder: Option<FrameDecoder>,
}

impl Listener {
    /// Whether anybody waits for what comes.
    pub(super) fn is_waited_for(&self) -> bool {
        self.desk.is_waited_at()
    }

    /// A listener that passes the hello to whoever started the agent, and all else to the desk.
    pub(super) fn new(desk: Arc<Desk>, hello: oneshot::Sender<Box<Hello>>) -> Self {
        Self {
            desk,
            hello: Some(hello),
            finder: HelloFinder::default(),
            decoder: None,
        }
    }

    /// Takes one piece; an error if it is not the protocol.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<(), Ended> {
        let Some(decoder) = &mut self.decoder else {
            let found = self.finder.feed(piece).map_err(|_| self.no_agent(""))?;
            return match found {
                None => Ok(()),
                Some(found) => {
                    self.decoder = Some(FrameDecoder::default());
                    self.take(&found)
                }
            };
        };
        let mut outcome = Ok(());
        let decoded = decoder.feed(piece, |frame| {
            if outcome.is_ok() {
                outcome = self.desk.take(&frame, &mut self.hello);
            }
        });
        decoded
            .map_err(|error| error.to_string())
            .and(outcome)
            .map_err(Ended::Broken)
    }

    /// Nothing more comes because the agent's process ended.
    pub(super) fn process_ended(&self, how: &str) -> Ended {
        match &self.decoder {
            None => self.no_agent(how),
            Some(_) if self.hello.is_some() => self.no_agent(&format!("{how}, in the middle of its hello")),
            Some(decoder) if decoder.is_inside_a_frame() => {
                Ended::Process(format!("{how}, in the middle of a message"))
            }
            Some(_) => Ended::Process(how.to_owned()),
        }
    }

    /// Tells all who wait.
    pub(super) fn close(self, why: Ended) {
        self.desk.close(why);
        // The hello's sender is dropped after the reason is known: whoever waits for it looks there.
    }

    /// What to say when something else than an agent answered.
    fn no_agent(&self, ending: &str) -> Ended {
        let said = one_line(&String::from_utf8_lossy(self.finder.noise()));
        Ended::NoAgent(match (said.is_empty(), ending.is_empty()) {
            (true, true) => "nothing came back".to_owned(),
            (true, false) => ending.to_owned(),
            (false, true) => format!("instead came {said:?}"),
            (false, false) => format!("{ending}; it printed {said:?}"),
        })
    }
}
