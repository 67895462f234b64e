//! Whatever comes from a host or from a person's files: no panic, and no more memory than it deserves.

use std::sync::Arc;

use allmende_agent::protocol::frame::{Frame, read_frame};
use allmende_agent::protocol::{Answer, Change, Facts, FromAgent, Hello, Report, ResourceReport};
use proptest::prelude::*;
use tokio::sync::oneshot;

use super::agent_desk::{Desk, Listener};
use super::frames::encode;
use super::{Destination, SshConfig, trusted_fingerprints};
use crate::fuzz::{corpus, peak_of, spoiled};

/// What reading may hold: the structures of a message are larger than its text, a `Change` of three bytes (`{},`) most of all.
fn limit(bytes: usize) -> usize {
    256 * 1024 + 128 * bytes
}

/// What an agent says, as bytes: conversations that make sense, and those kept in the corpus.
fn conversations() -> Vec<Vec<u8>> {
    let report = Report {
        resources: vec![ResourceReport {
            section: "base".to_owned(),
            id: "packages".to_owned(),
            kind: "package".to_owned(),
            subject: "curl".to_owned(),
            action: allmende_agent::protocol::Action::Create,
            changes: vec![Change::default(); 3],
        }],
        ..Report::default()
    };
    let messages = [
        FromAgent::Hello(Hello {
            protocol: 1,
            version: "1.0".to_owned(),
            sha256: "0".repeat(64),
            facts: Facts {
                os: "debian".to_owned(),
                release: "13".to_owned(),
                memory_mb: u64::MAX,
                ..Facts::default()
            },
            waiting_reports: vec!["run-1".to_owned()],
            standing_restores: Vec::new(),
        }),
        FromAgent::Alive {},
        FromAgent::Answer {
            id: 1,
            answer: Ok(Answer::Report(report)),
        },
        FromAgent::Answer {
            id: 2,
            answer: Ok(Answer::Blobs([("0".repeat(64), 7)].into())),
        },
    ];
    let frames = messages
        .iter()
        .map(|message| Frame::Message(serde_json::to_vec(message).expect("encodes")))
        .chain([Frame::Blob(vec![0; 100])]);
    let whole: Vec<u8> = frames.flat_map(|frame| encode(&frame).expect("fits")).collect();
    let mut all = corpus("agent");
    all.push(whole);
    all
}

proptest! {
    #[test]
    fn an_agent_may_say_anything(said in spoiled(conversations()), piece in 1usize..2000) {
        let peak = peak_of(|| {
            let desk = Arc::<Desk>::default();
            let trays: Vec<_> = (0..4).map(|id| desk.expect(id)).collect();
            let (hello, _heard) = oneshot::channel();
            let mut listener = Listener::new(desk, hello);
            for piece in said.chunks(piece) {
                if listener.take(piece).is_err() {
                    break;
                }
            }
            let ended = listener.process_ended("it ended");
            listener.close(ended);
            drop(trays);
        });
        prop_assert!(peak <= limit(said.len()), "{peak} bytes for {}", said.len());
    }

    #[test]
    fn frames_may_hold_anything(said in spoiled(conversations())) {
        let peak = peak_of(|| {
            let mut input = said.as_slice();
            while let Ok(Some(_)) = read_frame(&mut input) {}
        });
        prop_assert!(peak <= limit(said.len()), "{peak} bytes for {}", said.len());
    }

    #[test]
    fn a_persons_files_may_hold_anything(config in spoiled(vec![
        b"Include config\nHost web? !web9\n  HostName %h.example.org\n  Port 2222\n  ProxyJump a,b@c:1\n".to_vec(),
    ]), known in spoiled(vec![
        b"web1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB2dCxDlYnCOys5hdwwa+wFYYR1DVLXLuoxhn8hl0NbH\n\
          |1|oRMH7mplWrCrzyA5eJ8xHCfK4TE=|WxhqDgxJBp3QasuYuH2xbGWYyqM= ssh-ed25519 AAAA\n@revoked * ssh-rsa AAAA\n".to_vec(),
    ])) {
        let home = tempfile::tempdir().expect("makes");
        std::fs::create_dir(home.path().join(".ssh")).expect("makes");
        std::fs::write(home.path().join(".ssh/config"), config).expect("writes");
        let file = home.path().join(".ssh/known_hosts");
        std::fs::write(&file, known).expect("writes");
        let _ = SshConfig::of(home.path(), "web1");
        let host = Destination { name: "web1".into(), address: "web1".into(), port: 22, jumps: Arc::default() };
        let _ = trusted_fingerprints(&file, &host);
    }
}
