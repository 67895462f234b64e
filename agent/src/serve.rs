//! A session: hello, then requests, each in a thread of its own, until the controller goes.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::authorized_keys;
use crate::backup;
use crate::blobs::{Blobs, Upload, sha256_of};
use crate::engine::{self, Asker};
use crate::error::Error;
use crate::execute;
use crate::facts;
use crate::journal;
use crate::layout::Layout;
use crate::lock::Lock;
use crate::mask::Masker;
use crate::observe;
use crate::protocol::{
    Answer, DesiredState, Event, Frame, FrameError, FromAgent, Hello, PROTOCOL_VERSION, Refusal, RefusalKind,
    Request, ToAgent, read_frame,
};
use crate::replace::{self, Replacement};
use crate::restore;
use crate::uninstall;

/// Requests that may be under way at once.
const AT_ONCE: usize = 16;

/// How often the agent says that it is there.
const BEAT: Duration = Duration::from_secs(2);

/// A controller that was silent for so long is gone: sshd alone would not notice a cable that was pulled.
const SILENCE: Duration = Duration::from_secs(8);

/// One session with a controller.
pub struct Session {
    layout: Layout,
    outbox: crate::outbox::Outbox,
    gone: AtomicBool,
    /// What the controller's hello said; 0 before it came.
    peer: AtomicU32,
    replacement: Mutex<Option<Replacement>>,
    working: Mutex<Vec<JoinHandle<()>>>,
    /// Held while the session ends, because a signal and the end of the input may come together.
    ending: Mutex<()>,
    /// Held from the reading of a report until it is dropped, so that nobody gets it twice.
    handing: Mutex<()>,
    /// When something came from the controller, once it has said that it will say so.
    heard: Mutex<Option<Instant>>,
    /// The lock of the run that changes the host.
    host: Mutex<Weak<Lock>>,
    /// Done once services are awake again that an earlier agent left at rest.
    waking: Mutex<Option<JoinHandle<()>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// A session that speaks to `output`; says hello at once.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn begin(layout: Layout, output: impl Write + Send + 'static) -> std::io::Result<Arc<Session>> {
        let session = Session {
            outbox: crate::outbox::Outbox::new(output)?,
            layout,
            gone: AtomicBool::new(false),
            peer: AtomicU32::new(0),
            replacement: Mutex::new(None),
            working: Mutex::new(Vec::new()),
            ending: Mutex::new(()),
            handing: Mutex::new(()),
            heard: Mutex::new(None),
            host: Mutex::new(Weak::new()),
            waking: Mutex::new(None),
        };
        session.outbox.send(&FromAgent::Hello(hello(&session.layout)));
        let layout = session.layout.clone();
        let waking = thread::Builder::new()
            .name("waking".to_owned())
            .spawn(move || backup::wake_left(&layout))?;
        *lock(&session.waking) = Some(waking);
        Ok(Arc::new(session))
    }

    /// Reads and works until the input ends, and then until nothing is under way any more.
    ///
    /// # Errors
    /// A sentence for people, when the other side does not speak this protocol.
    pub fn run(self: &Arc<Session>, mut input: impl Read) -> Result<(), String> {
        let mut reader = Reader {
            session: Arc::clone(self),
            upload: None,
        };
        let ended = loop {
            let frame = read_frame(&mut input);
            if let Some(heard) = &mut *lock(&self.heard) {
                *heard = Instant::now();
            }
            match frame {
                Ok(None) | Err(FrameError::Io(_) | FrameError::Truncated) => break Ok(()),
                Ok(Some(Frame::Message(body))) => {
                    if let Err(problem) = reader.message(&body) {
                        break Err(problem);
                    }
                }
                Ok(Some(Frame::Blob(bytes))) => reader.blob(&bytes),
                Err(error) => break Err(error.to_string()),
            }
        };
        drop(reader);
        self.end();
        ended
    }

    /// Ends the session: what is under way finishes the resource in hand. Comes back when all is done.
    pub fn end(&self) {
        self.leave();
        let _ending = lock(&self.ending);
        self.are_awake();
        let working: Vec<JoinHandle<()>> = lock(&self.working).drain(..).collect();
        for thread in working {
            let _ = thread.join();
        }
        // A replacement that nobody kept is taken back here.
        drop(lock(&self.replacement).take());
        self.outbox.close();
    }

    fn answer(&self, id: u64, answer: Result<Answer, Refusal>) -> bool {
        if self.outbox.deliver(&FromAgent::Answer { id, answer }) {
            return true;
        }
        if !self.outbox.has_failed() {
            let too_large = "the answer is too large for a frame; ask for less at once";
            self.outbox.send(&FromAgent::Answer {
                id,
                answer: Err(refusal(RefusalKind::Failed, too_large)),
            });
        }
        false
    }

    /// Why this peer may not ask for this, if it may not.
    fn foreign(&self, request: &Request) -> Option<Refusal> {
        let peer = self.peer.load(Ordering::SeqCst);
        let message = match peer {
            0 => "the controller did not say hello first".to_owned(),
            PROTOCOL_VERSION => return None,
            _ if matches!(
                request,
                Request::Blobs { .. }
                    | Request::PutBlob { .. }
                    | Request::Replace { .. }
                    | Request::KeepReplacement
            ) =>
            {
                return None;
            }
            peer => update(peer),
        };
        Some(refusal(RefusalKind::Invalid, message))
    }

    fn work(self: &Arc<Session>, id: u64, request: Request) {
        let mut working = lock(&self.working);
        if self.is_gone() {
            return;
        }
        working.retain(|thread| !thread.is_finished());
        if working.len() >= AT_ONCE {
            let message =
                format!("{AT_ONCE} requests are under way in this session already; wait for an answer");
            self.outbox.send(&FromAgent::Answer {
                id,
                answer: Err(refusal(RefusalKind::Busy, message)),
            });
            return;
        }
        let session = Arc::clone(self);
        let started = thread::Builder::new()
            .name("request".to_owned())
            .spawn(move || session.fulfil(id, request));
        match started {
            Ok(thread) => working.push(thread),
            Err(error) => {
                let message = format!("no thread could be started: {error}");
                self.outbox.send(&FromAgent::Answer {
                    id,
                    answer: Err(refusal(RefusalKind::Failed, message)),
                });
            }
        }
    }

    fn fulfil(self: &Arc<Session>, id: u64, request: Request) {
        let asker: Arc<dyn Asker> = Arc::new(Listener {
            session: Arc::clone(self),
            id,
        });
        if !matches!(request, Request::Observe(_)) {
            self.are_awake();
        }
        match request {
            Request::Plan(desired) => {
                let answer = engine::plan(&self.layout, &desired, &asker).map(Answer::Report);
                self.answer(id, masked(&desired, answer));
            }
            Request::Apply { run, holder, desired } => {
                let report = engine::apply(&self.layout, &run, &holder, &desired, &asker);
                let answer = masked(&desired, report.map(Answer::Report));
                let _handing = lock(&self.handing);
                self.hand_over(id, &run, answer);
            }
            Request::BackUp { run, holder, order } => {
                let report = backup::back_up(&self.layout, &run, &holder, &order, &asker);
                let _handing = lock(&self.handing);
                self.hand_over(id, &run, report.map(Answer::Backup));
            }
            Request::Restore { run, holder, order } => {
                let report = restore::restore(&self.layout, &run, &holder, &order, &asker);
                let _handing = lock(&self.handing);
                self.hand_over(id, &run, report.map(Answer::Restored));
            }
            Request::UndoRestore { run, holder, order } => {
                let report = restore::undo(&self.layout, &run, &holder, &order, &asker);
                let _handing = lock(&self.handing);
                self.hand_over(id, &run, report.map(Answer::Restored));
            }
            Request::Drill { run, holder, order } => {
                let report = restore::drill(&self.layout, &run, &holder, &order, &asker);
                let _handing = lock(&self.handing);
                self.hand_over(id, &run, report.map(Answer::Drilled));
            }
            Request::Execute(execution) => {
                let answer = execute::execute(&self.layout, &execution, &asker);
                self.answer(id, answer.map(Answer::Output));
            }
            Request::Observe(inquiry) => {
                let answer = observe::observe(&self.layout, inquiry, &asker);
                self.answer(id, answer.map(Answer::Observations));
            }
            Request::TakeReport { run } => {
                let say = |line| asker.event(Event::Waiting(line));
                journal::wait_for_end(&self.layout, &run, say, || asker.is_gone());
                let _handing = lock(&self.handing);
                let answer = journal::read(&self.layout, &run);
                self.hand_over(id, &run, answer);
            }
            Request::Blobs { wanted } => {
                let missing = Blobs::of(&self.layout).missing(&wanted);
                let answer = missing
                    .map(Answer::Blobs)
                    .map_err(|message| refusal(RefusalKind::Invalid, message));
                self.answer(id, answer);
            }
            Request::PutBlob { .. } => {}
            Request::Replace { sha256 } => {
                let answer = self.replace(&sha256).map(|()| Answer::Done).map_err(failed);
                self.answer(id, answer);
            }
            Request::KeepReplacement => {
                let answer = match lock(&self.replacement).take() {
                    Some(replacement) => replacement.keep().map(|()| Answer::Done).map_err(failed),
                    None => Err(refusal(
                        RefusalKind::Invalid,
                        "nothing was replaced in this session",
                    )),
                };
                self.answer(id, answer);
            }
            Request::AuthorizeKey { public_key } => {
                let answer = self.keys(|layout| authorized_keys::authorize(layout, &public_key));
                self.answer(id, answer.map(|()| Answer::Done));
            }
            Request::WithdrawKey { public_key } => {
                let answer = self.keys(|layout| authorized_keys::withdraw(layout, &public_key));
                self.answer(id, answer.map(|_| Answer::Done));
            }
            Request::Uninstall { public_key } => {
                let answer = self.uninstall(&public_key).map(|()| Answer::Done);
                self.answer(id, answer);
            }
        }
    }

    /// Waits until nobody sleeps any more that this session has to wake.
    fn are_awake(&self) {
        if let Some(waking) = lock(&self.waking).take() {
            let _ = waking.join();
        }
    }

    /// Answers with a report and drops it from the journal if it was delivered.
    fn hand_over(&self, id: u64, run: &str, answer: Result<Answer, Refusal>) {
        let is_report = answer.is_ok();
        // Asked before: a controller that has its answer may be gone the moment after.
        let listens = !self.is_gone();
        if self.answer(id, answer) && is_report && listens {
            journal::drop_report(&self.layout, run);
        }
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst) || self.outbox.has_failed()
    }

    /// Nobody listens any more; whoever comes to this host may know.
    fn leave(&self) {
        self.gone.store(true, Ordering::SeqCst);
        if let Some(host) = lock(&self.host).upgrade() {
            host.leave();
        }
    }

    /// The controller has said that it is there and will go on saying so.
    fn beat(self: &Arc<Session>) {
        if lock(&self.heard).replace(Instant::now()).is_some() {
            return;
        }
        let session = Arc::clone(self);
        // Without the thread, sshd or a failing write end the session sooner or later.
        let _ = thread::Builder::new()
            .name("beat".to_owned())
            .spawn(move || session.watch());
    }

    /// Says that the agent is there, and notices when the controller is not.
    fn watch(&self) {
        while !self.is_gone() {
            self.outbox.send_if_room(&FromAgent::Alive {});
            thread::sleep(BEAT);
            if lock(&self.heard).is_some_and(|heard| heard.elapsed() > SILENCE) {
                break;
            }
        }
        self.leave();
    }

    fn replace(&self, sha256: &str) -> Result<(), Error> {
        let mut current = lock(&self.replacement);
        // A second one in the same session: the first comes back before, so that the previous one stays the old one.
        drop(current.take());
        *current = Some(Replacement::make(&self.layout, sha256)?);
        Ok(())
    }

    /// Changes who may start the agent, while nobody else changes anything.
    fn keys<T>(&self, change: impl FnOnce(&Layout) -> Result<T, Error>) -> Result<T, Refusal> {
        let _lock = Lock::take(&self.layout, "keys", "a change of keys")?;
        change(&self.layout).map_err(failed)
    }

    fn uninstall(&self, public_key: &str) -> Result<(), Refusal> {
        let _lock = Lock::take(&self.layout, "uninstall", "an uninstallation")?;
        uninstall::uninstall(&self.layout, public_key).map_err(failed)
    }
}

/// Events of one request go to the peer; it is gone when reading or writing ended.
struct Listener {
    session: Arc<Session>,
    id: u64,
}

impl Asker for Listener {
    fn event(&self, event: Event) {
        let may_drop = matches!(event, Event::Output(_));
        let message = FromAgent::Event { id: self.id, event };
        if may_drop {
            self.session.outbox.send_if_room(&message);
        } else {
            self.session.outbox.send(&message);
        }
    }

    fn is_gone(&self) -> bool {
        self.session.is_gone()
    }

    fn has_host(&self, lock_of_host: &Arc<Lock>) {
        *lock(&self.session.host) = Arc::downgrade(lock_of_host);
        if self.is_gone() {
            lock_of_host.leave();
        }
    }
}

/// What comes in, frame by frame.
struct Reader {
    session: Arc<Session>,
    upload: Option<(u64, Upload)>,
}

impl Reader {
    fn message(&mut self, body: &[u8]) -> Result<(), String> {
        let message = serde_json::from_slice::<ToAgent>(body);
        if matches!(message, Ok(ToAgent::Alive {})) {
            self.session.beat();
            return Ok(());
        }
        if let Some((id, upload)) = self.upload.take() {
            let message = format!(
                "{} bytes of the blob did not come, another message came instead; ask how much is there and go on",
                upload.left()
            );
            self.session
                .answer(id, Err(refusal(RefusalKind::Failed, message)));
        }
        match message {
            Ok(ToAgent::Hello { protocol, .. }) => self.hello(protocol),
            Ok(ToAgent::Request { id, request }) => self.request(id, request),
            Ok(ToAgent::Alive {}) => {}
            Err(error) => return self.not_understood(body, &error),
        }
        Ok(())
    }

    fn hello(&self, protocol: u32) {
        self.session.peer.store(protocol, Ordering::SeqCst);
        replace::settle(&self.session.layout);
    }

    fn request(&mut self, id: u64, request: Request) {
        if let Some(refusal) = self.session.foreign(&request) {
            self.session.answer(id, Err(refusal));
            return;
        }
        if let Request::PutBlob { sha256, size, offset } = &request {
            match Blobs::of(&self.session.layout).receive(sha256, *size, *offset) {
                Ok(upload) => {
                    self.upload = Some((id, upload));
                    self.blob(&[]);
                }
                Err(error) => {
                    self.session.answer(id, Err(failed(error)));
                }
            }
            return;
        }
        self.session.work(id, request);
    }

    /// A piece of a blob. After a refusal the sender may still have pieces under way, so what nobody waits for is
    /// passed over.
    fn blob(&mut self, bytes: &[u8]) {
        let Some((id, mut upload)) = self.upload.take() else {
            return;
        };
        let answer = match upload.take(bytes) {
            Ok(()) if upload.left() > 0 => {
                self.upload = Some((id, upload));
                return;
            }
            Ok(()) => upload.finish(),
            Err(error) => Err(error),
        };
        self.session
            .answer(id, answer.map(|()| Answer::Done).map_err(failed));
    }

    /// Something that is no message of this version: a hello of another version, a request whose id can be answered,
    /// or the end of the session.
    fn not_understood(&self, body: &[u8], error: &serde_json::Error) -> Result<(), String> {
        let value: Value = serde_json::from_slice(body).map_err(|error| {
            format!(
                "a message came in that is no JSON ({error}): is the other side a controller of Allmende?"
            )
        })?;
        let protocol = value.pointer("/hello/protocol").and_then(Value::as_u64);
        if let Some(protocol) = protocol.and_then(|protocol| u32::try_from(protocol).ok()) {
            self.hello(protocol);
            return Ok(());
        }
        let peer = self.session.peer.load(Ordering::SeqCst);
        let message = match peer {
            0 | PROTOCOL_VERSION => {
                // serde quotes what it did not expect, which may be a secret.
                let masker = Masker::new(&secrets_in(&value));
                masker.masked(format!("the request could not be understood: {error}"))
            }
            peer => update(peer),
        };
        let Some(id) = value.pointer("/request/id").and_then(Value::as_u64) else {
            return Err(format!(
                "a message came in that this agent does not know: {message}"
            ));
        };
        self.session
            .answer(id, Err(refusal(RefusalKind::Invalid, message)));
        Ok(())
    }
}

/// All strings in lists called `secrets`, wherever they stand.
fn secrets_in(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match value {
                Value::Array(list) if name == "secrets" => {
                    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
                }
                value => secrets_in(value),
            })
            .collect(),
        Value::Array(list) => list.iter().flat_map(secrets_in).collect(),
        _ => Vec::new(),
    }
}

fn hello(layout: &Layout) -> Hello {
    Hello {
        protocol: PROTOCOL_VERSION,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sha256: sha256_of(std::path::Path::new("/proc/self/exe")).unwrap_or_default(),
        facts: facts::read(layout),
        waiting_reports: journal::waiting(layout),
        standing_restores: restore::told(layout),
    }
}

fn update(peer: u32) -> String {
    let who = if peer < PROTOCOL_VERSION {
        "the controller"
    } else {
        "the agent"
    };
    format!(
        "the controller speaks version {peer} of the protocol, the agent on this host version {PROTOCOL_VERSION}: \
         update {who}"
    )
}

fn refusal(kind: RefusalKind, message: impl Into<String>) -> Refusal {
    Refusal {
        kind,
        message: message.into(),
    }
}

fn failed(error: Error) -> Refusal {
    let kind = if matches!(error, Error::Invalid(_)) {
        RefusalKind::Invalid
    } else {
        RefusalKind::Failed
    };
    refusal(kind, error.to_string())
}

fn masked(desired: &DesiredState, answer: Result<Answer, Refusal>) -> Result<Answer, Refusal> {
    answer.map_err(|refusal| Masker::new(&desired.secrets).refusal(refusal))
}
