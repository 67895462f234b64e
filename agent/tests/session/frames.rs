use std::process::{Command, Stdio};

use allmende_agent::protocol::{Answer, Frame, FromAgent, PROTOCOL_VERSION, RefusalKind};
use proptest::prelude::*;
use serde_json::json;

use crate::peer::{Host, apply, file, state};

const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

#[test]
fn the_agent_says_hello_unasked() {
    let host = Host::new();
    let peer = host.silent();
    let hello = peer.greeting();
    assert_eq!((hello.protocol, hello.sha256.len()), (PROTOCOL_VERSION, 64));
    assert!(hello.facts.cpus > 0);
    assert_eq!(peer.hang_up(), Ok(()));
}

#[test]
fn what_is_no_message_ends_the_session_with_a_sentence() {
    for (bytes, sentence) in [
        (&b"\xff\xff\xff\xff\x01"[..], "4294967295 bytes was announced"),
        (b"\0\0\0\x01\x07x", "unknown kind 7"),
        (b"\0\0\0\x03\x01{x}", "is no JSON"),
        (b"\0\0\0\x0d\x01{\"strange\":1}", "does not know"),
        (b"GET / HTTP/1.1\r\n\r\n", "does not speak this protocol"),
    ] {
        let mut peer = Host::new().silent();
        peer.bytes(bytes);
        let problem = peer.hang_up().expect_err("ends with a problem");
        assert!(problem.contains(sentence), "{problem}");
    }
}

#[test]
fn a_session_that_breaks_off_inside_a_frame_just_ends() {
    let mut peer = Host::new().session();
    peer.bytes(b"\0\0\x10\0\x01{\"request\"");
    assert_eq!(peer.hang_up(), Ok(()));
}

#[test]
fn requests_that_are_not_understood_are_refused_and_secrets_not_repeated() {
    let mut peer = Host::new().session();
    let refusal = peer.refusal(json!({ "make_coffee": {} }));
    assert_eq!(refusal.kind, RefusalKind::Invalid);
    assert!(refusal.message.contains("make_coffee"), "{refusal}");
    let mut state = state(json!([file("a", "")]), json!([]));
    state["sections"][0]["resources"][0]["spec"]["mode"] = json!({ "x": 1 });
    state["sections"][0]["resources"][0]["spec"]["path"] = json!(7);
    assert!(
        peer.refusal(json!({ "plan": state }))
            .message
            .contains("could not be understood")
    );
    state["sections"] = json!("correct horse");
    let refusal = peer.refusal(json!({ "plan": state }));
    assert!(
        refusal.message.contains("•••") && !refusal.message.contains("horse"),
        "{refusal}"
    );
    assert!(
        peer.ask(json!({ "blobs": { "wanted": [] } })).is_ok(),
        "the session goes on"
    );
}

#[test]
fn requests_before_the_hello_are_refused() {
    let mut peer = Host::new().silent();
    assert!(
        peer.refusal(json!({ "blobs": { "wanted": [] } }))
            .message
            .contains("say hello first")
    );
}

#[test]
fn another_version_may_only_replace_the_agent() {
    let host = Host::new();
    let state = state(json!([file("a", "")]), json!([]));
    for (version, sentence) in [
        (PROTOCOL_VERSION + 1, "update the agent"),
        (0, "hello"),
        (99, "update the agent"),
    ] {
        let mut peer = host.silent();
        // A hello of the future may say more.
        peer.send(&json!({ "hello": { "protocol": version, "version": "x", "colour": "green" } }));
        for request in [
            json!({ "plan": state }),
            apply("run-1", &state),
            json!({ "dance": {} }),
        ] {
            let refusal = peer.refusal(request);
            assert_eq!(refusal.kind, RefusalKind::Invalid);
            assert!(refusal.message.contains(sentence) || version == 0, "{refusal}");
        }
        if version > 0 {
            assert!(matches!(
                peer.ask(json!({ "blobs": { "wanted": [HELLO] } })),
                Ok(Answer::Blobs(_))
            ));
        }
    }
    assert!(!host.at("/etc/app/a").exists());
}

#[test]
fn a_blob_is_sent_in_pieces_and_resumed() {
    let host = Host::new();
    let mut peer = host.session();
    let put = |offset| json!({ "put_blob": { "sha256": HELLO, "size": 5, "offset": offset } });
    let first = peer.request(put(0));
    peer.frame(&Frame::Blob(b"he".to_vec()));
    let second = peer.request(json!({ "blobs": { "wanted": [HELLO] } }));
    assert!(
        peer.answer(first)
            .expect_err("was cut off")
            .message
            .starts_with("3 bytes of the blob did not come")
    );
    assert_eq!(
        peer.answer(second).ok(),
        Some(Answer::Blobs([(HELLO.to_owned(), 2)].into()))
    );
    let id = peer.request(put(2));
    peer.frame(&Frame::Blob(b"l".to_vec()));
    peer.frame(&Frame::Blob(b"lo".to_vec()));
    assert_eq!(peer.answer(id), Ok(Answer::Done));
    assert_eq!(
        peer.ask(json!({ "blobs": { "wanted": [HELLO] } })),
        Ok(Answer::Blobs([].into()))
    );
}

#[test]
fn pieces_that_nobody_waits_for_are_passed_over() {
    let host = Host::new();
    let mut peer = host.session();
    peer.frame(&Frame::Blob(b"stray".to_vec()));
    let id = peer.request(json!({ "put_blob": { "sha256": "nonsense", "size": 5, "offset": 0 } }));
    peer.frame(&Frame::Blob(b"hello".to_vec()));
    assert_eq!(
        peer.answer(id).expect_err("is refused").kind,
        RefusalKind::Invalid
    );
    let id = peer.request(json!({ "put_blob": { "sha256": HELLO, "size": 5, "offset": 0 } }));
    peer.frame(&Frame::Blob(b"hallo".to_vec()));
    peer.frame(&Frame::Blob(b"more".to_vec()));
    assert!(
        peer.answer(id)
            .expect_err("is wrong")
            .message
            .contains("it was removed")
    );
    assert!(peer.ask(json!({ "blobs": { "wanted": [] } })).is_ok());
}

#[test]
fn empty_blobs_are_blobs() {
    let mut peer = Host::new().session();
    let sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(
        peer.ask(json!({ "put_blob": { "sha256": sha256, "size": 0, "offset": 0 } })),
        Ok(Answer::Done)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn arbitrary_bytes_end_a_session_without_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        framed: bool,
    ) {
        let mut peer = Host::new().silent();
        if framed {
            peer.frame(&Frame::Message(bytes));
        } else {
            peer.bytes(&bytes);
        }
        let _ = peer.hang_up();
    }
}

fn agent(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_allmende-agent"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("starts")
}

#[test]
fn the_program_says_what_it_is() {
    let said = agent(&["--version"]);
    assert!(said.status.success() && said.stdout.starts_with(b"allmende-agent "));
    for wrong in [&[][..], &["--help"], &["serve", "now"]] {
        let said = agent(wrong);
        assert_eq!(said.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&said.stderr).contains("started by sshd"));
    }
}

#[test]
fn the_program_serves_and_ends_with_its_input() {
    let said = agent(&["serve"]);
    assert!(said.status.success(), "{said:?}");
    let frame = allmende_agent::protocol::read_frame(&mut said.stdout.as_slice())
        .expect("reads")
        .expect("is there");
    let message: FromAgent = serde_json::from_slice(frame.body()).expect("parses");
    assert!(matches!(message, FromAgent::Hello(hello) if !hello.facts.kernel.is_empty()));
}
