//! What the agent says: one writer, and a queue that keeps a stalled peer from stalling the work.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::protocol::frame::MAX_BODY;
use crate::protocol::{Frame, FromAgent, write_frame};

/// Beyond this many waiting bytes, lines that programs print are dropped; nothing else is.
const ROOM: usize = 1024 * 1024;

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    added: u64,
    written: u64,
    closed: bool,
    failed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    moved: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        self.moved.wait(queue).unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where messages go. Writing happens in a thread of its own, so nobody who adds one waits for the peer.
#[derive(Debug)]
pub(crate) struct Outbox {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Outbox {
    pub(crate) fn new(output: impl Write + Send + 'static) -> std::io::Result<Outbox> {
        let shared = Arc::new(Shared::default());
        let of_writer = Arc::clone(&shared);
        let writer = thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || write(&of_writer, output))?;
        Ok(Outbox {
            shared,
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Adds a message.
    pub(crate) fn send(&self, message: &FromAgent) {
        self.add(message, false);
    }

    /// Adds a message that nobody misses if the peer is slow.
    pub(crate) fn send_if_room(&self, message: &FromAgent) {
        self.add(message, true);
    }

    /// Adds a message and waits until it is written; false if it could not be.
    pub(crate) fn deliver(&self, message: &FromAgent) -> bool {
        let Some(number) = self.add(message, false) else {
            return false;
        };
        let mut queue = self.shared.lock();
        while queue.written < number && !queue.failed {
            queue = self.shared.wait(queue);
        }
        queue.written >= number
    }

    /// Whether the peer stopped reading.
    pub(crate) fn has_failed(&self) -> bool {
        self.shared.lock().failed
    }

    /// Waits until all is written, or cannot be.
    pub(crate) fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.moved.notify_all();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ = writer.join();
        }
    }

    fn add(&self, message: &FromAgent, may_drop: bool) -> Option<u64> {
        let body = serde_json::to_vec(message)
            .ok()
            .filter(|body| body.len() <= MAX_BODY)?;
        let mut queue = self.shared.lock();
        if queue.failed || queue.closed {
            return None;
        }
        if may_drop && queue.bytes > ROOM {
            return None;
        }
        queue.bytes += body.len();
        queue.added += 1;
        queue.waiting.push_back(body);
        let number = queue.added;
        drop(queue);
        self.shared.moved.notify_all();
        Some(number)
    }
}

fn write(shared: &Shared, mut output: impl Write) {
    loop {
        let mut queue = shared.lock();
        let body = loop {
            if let Some(body) = queue.waiting.pop_front() {
                break body;
            }
            if queue.closed {
                return;
            }
            queue = shared.wait(queue);
        };
        drop(queue);
        let length = body.len();
        let written = write_frame(&mut output, &Frame::Message(body));
        let mut queue = shared.lock();
        queue.bytes = queue.bytes.saturating_sub(length);
        match written {
            Ok(()) => queue.written += 1,
            Err(_) => {
                queue.failed = true;
                queue.waiting.clear();
            }
        }
        let failed = queue.failed;
        drop(queue);
        shared.moved.notify_all();
        if failed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Answer, Event, read_frame};
    use std::io;

    #[test]
    fn messages_come_out_in_order() {
        let (mut reader, writer) = io::pipe().expect("pipe");
        let outbox = Outbox::new(writer).expect("starts");
        for id in 0..50 {
            outbox.send(&FromAgent::Answer {
                id,
                answer: Ok(Answer::Done),
            });
        }
        assert!(outbox.deliver(&FromAgent::Answer {
            id: 50,
            answer: Ok(Answer::Done)
        }));
        outbox.close();
        drop(outbox);
        let mut next = 0;
        while let Some(frame) = read_frame(&mut reader).expect("reads") {
            let message: FromAgent = serde_json::from_slice(frame.body()).expect("parses");
            assert!(matches!(message, FromAgent::Answer { id, .. } if id == next));
            next += 1;
        }
        assert_eq!(next, 51);
    }

    #[test]
    fn a_peer_that_does_not_read_stops_nobody() {
        let (reader, writer) = io::pipe().expect("pipe");
        let outbox = Outbox::new(writer).expect("starts");
        let line = FromAgent::Event {
            id: 1,
            event: Event::Output("x".repeat(1000)),
        };
        for _ in 0..5000 {
            outbox.send_if_room(&line);
        }
        assert!(outbox.shared.lock().bytes < ROOM + 2000);
        drop(reader);
        assert!(!outbox.deliver(&line));
        assert!(outbox.has_failed());
        outbox.close();
    }
}
