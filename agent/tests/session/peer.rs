//! A controller that says exactly what a test wants, and a host for it.

use std::fs;
use std::io::{self, PipeReader, PipeWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use allmende_agent::layout::Layout;
use allmende_agent::protocol::{
    Answer, Event, Frame, FromAgent, Hello, PROTOCOL_VERSION, Refusal, Report, read_frame, write_frame,
};
use allmende_agent::serve::Session;
use serde_json::{Value, json};

/// A host in a temporary directory, where whoever runs the tests is called root.
pub struct Host {
    root: tempfile::TempDir,
}

impl Host {
    pub fn new() -> Host {
        let host = Host {
            root: tempfile::tempdir().expect("temporary directory"),
        };
        let (uid, gid) = (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        );
        host.write(
            "/etc/passwd",
            &format!("root:x:{uid}:{gid}:root:/root:/bin/bash\n"),
        );
        host.write("/etc/group", &format!("root:x:{gid}:\n"));
        host.write("/run/x", "");
        host.write(allmende_agent::AGENT_PATH, "#!/bin/sh\necho allmende-agent old\n");
        host
    }

    pub fn layout(&self) -> Layout {
        Layout::below(self.root.path())
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    pub fn write(&self, path: &str, content: &str) {
        fs::create_dir_all(self.at(path).parent().expect("has one")).expect("makes");
        fs::write(self.at(path), content).expect("writes");
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).expect("reads")
    }

    /// A session in which nothing was said yet, but the agent's hello.
    pub fn silent(&self) -> Peer {
        let (agent_in, to_agent) = io::pipe().expect("pipe");
        let (from_agent, agent_out) = io::pipe().expect("pipe");
        let session = Session::begin(self.layout(), agent_out).expect("begins");
        let running = Arc::clone(&session);
        let ended = thread::spawn(move || running.run(agent_in));
        let mut peer = Peer {
            to_agent: Some(to_agent),
            from_agent: Some(from_agent),
            ended: Some(ended),
            hello: None,
            events: Vec::new(),
            next: 0,
        };
        match peer.read() {
            Some(FromAgent::Hello(hello)) => peer.hello = Some(hello),
            other => panic!("no hello, but {other:?}"),
        }
        peer
    }

    /// A session after both have said hello.
    pub fn session(&self) -> Peer {
        let mut peer = self.silent();
        peer.hello(PROTOCOL_VERSION);
        peer
    }
}

pub struct Peer {
    to_agent: Option<PipeWriter>,
    from_agent: Option<PipeReader>,
    ended: Option<JoinHandle<Result<(), String>>>,
    hello: Option<Hello>,
    pub events: Vec<Event>,
    next: u64,
}

impl Peer {
    pub fn greeting(&self) -> &Hello {
        self.hello.as_ref().expect("was said")
    }

    pub fn hello(&mut self, protocol: u32) {
        self.send(&json!({ "hello": { "protocol": protocol, "version": "test" } }));
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        // A session that ended at the first bytes takes no more.
        let _ = self.to_agent.as_mut().expect("is open").write_all(bytes);
    }

    pub fn send(&mut self, message: &Value) {
        self.frame(&Frame::Message(message.to_string().into_bytes()));
    }

    pub fn frame(&mut self, frame: &Frame) {
        write_frame(self.to_agent.as_mut().expect("is open"), frame).expect("writes");
    }

    pub fn request(&mut self, request: Value) -> u64 {
        self.next += 1;
        self.send(&json!({ "request": { "id": self.next, "request": request } }));
        self.next
    }

    /// Reads one message; `None` at the end.
    pub fn read(&mut self) -> Option<FromAgent> {
        let frame = read_frame(self.from_agent.as_mut().expect("is open")).expect("reads")?;
        Some(serde_json::from_slice(frame.body()).expect("parses"))
    }

    /// Reads events up to the first that fits.
    pub fn until(&mut self, fits: impl Fn(&Event) -> bool) {
        loop {
            match self.read() {
                Some(FromAgent::Event { event, .. }) => {
                    let found = fits(&event);
                    self.events.push(event);
                    if found {
                        return;
                    }
                }
                other => panic!("no such event, but {other:?}"),
            }
        }
    }

    pub fn answer(&mut self, wanted: u64) -> Result<Answer, Refusal> {
        loop {
            match self.read() {
                Some(FromAgent::Event { event, .. }) => self.events.push(event),
                Some(FromAgent::Answer { id, answer }) if id == wanted => return answer,
                other => panic!("no answer to {wanted}, but {other:?}"),
            }
        }
    }

    pub fn ask(&mut self, request: Value) -> Result<Answer, Refusal> {
        let id = self.request(request);
        self.answer(id)
    }

    pub fn report(&mut self, request: Value) -> Report {
        match self.ask(request) {
            Ok(Answer::Report(report)) => report,
            other => panic!("no report, but {other:?}"),
        }
    }

    pub fn refusal(&mut self, request: Value) -> Refusal {
        self.ask(request).expect_err("is refused")
    }

    /// The controller vanishes as it is when its machine dies: nothing can be read or written any more.
    pub fn vanish(mut self) -> Result<(), String> {
        self.from_agent = None;
        self.hang_up()
    }

    /// The controller says nothing more; gives how the session ended.
    pub fn hang_up(mut self) -> Result<(), String> {
        self.to_agent = None;
        let reader = self
            .from_agent
            .take()
            .map(|mut input| thread::spawn(move || while let Ok(Some(_)) = read_frame(&mut input) {}));
        let ended = self.ended.take().expect("runs").join().expect("does not panic");
        if let Some(reader) = reader {
            reader.join().expect("does not panic");
        }
        ended
    }
}

/// A desired state of one section.
pub fn state(resources: Value, handlers: Value) -> Value {
    json!({ "sections": [{ "name": "cloud", "resources": resources, "handlers": handlers }], "secrets": ["correct horse"] })
}

pub fn apply(run: &str, state: &Value) -> Value {
    json!({ "apply": { "run": run, "holder": "anna, job 12", "desired": state } })
}

pub fn file(id: &str, content: &str) -> Value {
    json!({ "id": id, "spec": { "kind": "file", "path": format!("/etc/app/{id}"), "content": content } })
}

/// A command that tells that it runs, and then waits for a file to be made.
pub fn waits_for(path: &std::path::Path) -> Value {
    let script = format!(
        "echo waiting; while ! test -e {0}; do sleep 0.02; done",
        path.display()
    );
    json!({ "id": "wait", "spec": {
        "kind": "command", "argv": ["sh", "-c", script], "unless": ["test", "-e", path],
    } })
}
