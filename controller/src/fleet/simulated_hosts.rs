//! Many hosts in one process, for `tests/bench/thousand.sh`: each an SSH server with its own key, behind which an agent looks at
//! this machine. What it found is kept, so that the machine looks once at each thing and not a thousand times.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use allmende_agent::layout::Layout;
use allmende_agent::observe::{Asked, Finding, Inquiry, Observation, Observations};
use allmende_agent::protocol::{
    Answer, Frame, FromAgent, PROTOCOL_VERSION, Refusal, RefusalKind, Request, ToAgent, read_frame,
};
use allmende_agent::serve::Session;
use jiff::Timestamp;

use super::frames::encode;
use super::test_host::{TestAgent, TestHost};

/// What was found, by question.
type Found = Arc<Mutex<HashMap<String, Result<Finding, String>>>>;

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: this is for tests/bench/thousand.sh"))
}

/// Serves hosts until the file `end` appears; `hosts.json` says how to get to them, and with which key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a benchmark"]
async fn benchmark_hosts() {
    let folder = PathBuf::from(setting("BENCH_FOLDER"));
    let count: usize = setting("BENCH_HOSTS").parse().expect("a number");
    // What the agent keeps is its own; what it looks at is this machine's.
    let root = folder.join("root");
    std::fs::create_dir(&root).expect("makes");
    for part in ["etc", "proc", "run", "sys"] {
        std::os::unix::fs::symlink(format!("/{part}"), root.join(part)).expect("links");
    }
    let found = Found::default();
    let mut hosts = Vec::new();
    for number in 0..count {
        let (found, root) = (Arc::clone(&found), root.clone());
        let mut host = TestHost::start(move |agent, _| play(agent, Arc::clone(&found), root.clone())).await;
        host.host.name = format!("web{number}").parse().expect("a name");
        hosts.push((
            host.host,
            host.key.to_openssh().expect("encodes").reveal().to_owned(),
        ));
    }
    let part = folder.join("hosts.part");
    std::fs::write(&part, serde_json::to_vec(&hosts).expect("serialises")).expect("writes");
    std::fs::rename(part, folder.join("hosts.json")).expect("renames");
    while !folder.join("end").exists() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// An agent that answers what it is asked about its host, and nothing else.
async fn play(mut agent: TestAgent, found: Found, root: PathBuf) {
    agent.hello().await;
    while let Some((id, request)) = agent.request().await {
        let answer = match request {
            Request::Observe(inquiry) => Ok(Answer::Observations(
                observations(inquiry, &found, root.clone()).await,
            )),
            _ => Err(Refusal {
                kind: RefusalKind::Invalid,
                message: "this host is simulated".to_owned(),
            }),
        };
        agent.answer(id, answer).await;
    }
    agent.exit(0).await;
}

async fn observations(inquiry: Inquiry, found: &Found, root: PathBuf) -> Observations {
    let now = u64::try_from(Timestamp::now().as_millisecond()).expect("after 1970");
    let name = |asked: &Asked| serde_json::to_string(&asked.question).expect("serialises");
    let known = |found: &Found| {
        let found = found.lock().expect("whole");
        let observations = inquiry.questions.iter().map(|asked| {
            Some(Observation {
                id: asked.id.clone(),
                finding: found.get(&name(asked))?.clone(),
            })
        });
        observations.collect::<Option<Vec<_>>>()
    };
    let all = match known(found) {
        Some(all) => all,
        None => {
            let asked = inquiry.clone();
            let looked = tokio::task::spawn_blocking(move || look(asked, root)).await;
            let looked = looked.expect("looks").found;
            let mut kept = found.lock().expect("whole");
            for (asked, observation) in inquiry.questions.iter().zip(&looked) {
                kept.insert(name(asked), observation.finding.clone());
            }
            looked
        }
    };
    Observations {
        began_ms: now,
        ended_ms: now,
        found: all,
    }
}

/// What the real agent finds on this machine; its own files are below `root`.
fn look(inquiry: Inquiry, root: PathBuf) -> Observations {
    let (input, mut to_agent) = io::pipe().expect("a pipe");
    let (mut from_agent, output) = io::pipe().expect("a pipe");
    let session = Session::begin(Layout::below(root), output).expect("begins");
    let running = std::thread::spawn(move || session.run(input));
    for message in [
        ToAgent::Hello {
            protocol: PROTOCOL_VERSION,
            version: "0.0.1".to_owned(),
        },
        ToAgent::Request {
            id: 1,
            request: Request::Observe(inquiry),
        },
    ] {
        let body = serde_json::to_vec(&message).expect("serialises");
        let frame = encode(&Frame::Message(body)).expect("fits");
        to_agent.write_all(&frame).expect("writes");
    }
    let observations = loop {
        let frame = read_frame(&mut from_agent).expect("reads").expect("answers");
        let Frame::Message(body) = frame else {
            panic!("a blob came");
        };
        if let FromAgent::Answer { answer, .. } = serde_json::from_slice(&body).expect("is a message") {
            match answer {
                Ok(Answer::Observations(observations)) => break observations,
                other => panic!("{other:?}"),
            }
        }
    };
    drop(to_agent);
    running.join().expect("ends").expect("ends well");
    observations
}
