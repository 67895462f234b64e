use allmende_agent::AGENT_PATH;
use allmende_agent::protocol::{Answer, Frame};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::peer::{Host, Peer};

const NEW: &str = "#!/bin/sh\necho allmende-agent 9.9\n";

fn previous() -> String {
    format!("{AGENT_PATH}.previous")
}

/// Sends a new agent and puts it in place.
fn replace(peer: &mut Peer) {
    let sha256: String = Sha256::digest(NEW)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let id = peer.request(json!({ "put_blob": { "sha256": sha256, "size": NEW.len(), "offset": 0 } }));
    peer.frame(&Frame::Blob(NEW.as_bytes().to_vec()));
    assert_eq!(peer.answer(id), Ok(Answer::Done));
    assert_eq!(
        peer.ask(json!({ "replace": { "sha256": sha256 } })),
        Ok(Answer::Done)
    );
}

#[test]
fn a_new_agent_stays_when_the_controller_says_so() {
    let host = Host::new();
    // Also for a controller of another version: it could not bring the agent up to date otherwise.
    let mut peer = host.silent();
    peer.hello(7);
    replace(&mut peer);
    assert_eq!(host.read(AGENT_PATH), NEW);
    // The new agent's first session, in which it proves that it works, must not decide for the old one's.
    assert_eq!(host.session().hang_up(), Ok(()));
    assert!(host.at(&previous()).exists());
    assert_eq!(peer.ask(json!("keep_replacement")), Ok(Answer::Done));
    assert!(
        peer.refusal(json!("keep_replacement"))
            .message
            .contains("nothing was replaced")
    );
    assert_eq!(peer.hang_up(), Ok(()));
    assert_eq!(host.read(AGENT_PATH), NEW);
    assert!(!host.at(&previous()).exists());
}

#[test]
fn the_old_agent_comes_back_when_the_session_just_ends() {
    let host = Host::new();
    let old = host.read(AGENT_PATH);
    let mut peer = host.session();
    replace(&mut peer);
    assert_eq!(host.read(AGENT_PATH), NEW);
    assert_eq!(peer.vanish(), Ok(()));
    assert_eq!(host.read(AGENT_PATH), old);
    assert!(!host.at(&previous()).exists());
}

#[test]
fn an_uninstalled_agent_leaves_nothing_but_what_it_set_up() {
    let host = Host::new();
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMineMineMineMineMineMineMineMineMineMine";
    host.write(
        "/root/.ssh/authorized_keys",
        &format!("restrict,command=\"{AGENT_PATH} serve\" {key} x\n"),
    );
    let mut peer = host.session();
    assert_eq!(
        peer.ask(json!({ "uninstall": { "public_key": key } })),
        Ok(Answer::Done)
    );
    assert_eq!(host.read("/root/.ssh/authorized_keys"), "");
    assert!(!host.at(AGENT_PATH).exists() && !host.at("/var/lib/allmende-agent").exists());
    assert_eq!(peer.hang_up(), Ok(()));
}
