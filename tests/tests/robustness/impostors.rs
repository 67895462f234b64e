//! Something else than the right agent answers on the host.

use std::time::{Duration, Instant};

use crate::stage::{SOON, Stage, one_error, wait_until};

const AGENT: &str = "/usr/local/lib/allmende/allmende-agent";

/// A frame with a JSON message.
fn frame(body: &str) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("short");
    [&length.to_be_bytes()[..], &[1], body.as_bytes()].concat()
}

fn hello(protocol: u32) -> Vec<u8> {
    frame(&format!(
        r#"{{"hello":{{"protocol":{protocol},"version":"9.8.7","sha256":"{}","facts":{{}},"waiting_reports":[]}}}}"#,
        "f".repeat(64)
    ))
}

/// Puts a program in the agent's place that says these bytes, then runs these shell lines.
fn pretend(stage: &Stage, says: &[u8], then: &str) {
    stage.put("/run/says", says, "0644");
    stage.put(
        AGENT,
        format!("#!/bin/sh\ncat /run/says\n{then}\n").as_bytes(),
        "0755",
    );
}

/// The real agent, to be put back.
fn keep_the_agent(stage: &Stage) {
    stage.on_host(&format!("cp -p {AGENT} /root/agent"));
}

fn put_the_agent_back(stage: &Stage) {
    stage.on_host(&format!(
        "cp -p /root/agent {AGENT}.new && mv -f {AGENT}.new {AGENT}"
    ));
}

#[test]
fn agents_that_do_not_behave_give_one_clear_error_in_time() {
    let stage = Stage::new();
    keep_the_agent(&stage);
    let round = stage.new_round();
    stage.let_go(&round);
    let four_gigabytes = [hello(1), vec![0xff, 0xff, 0xff, 0xff, 1, b'{']].concat();
    let large_hello = [&[0xff, 0xff, 0xff, 0xff, 1][..], b"{\"hello\":"].concat();
    let garbage: Vec<u8> = (0..2000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let wait = "exec cat >/dev/null";
    let cases: [(&str, Vec<u8>, &str, &[&str]); 12] = [
        (
            "a newer protocol",
            hello(99),
            wait,
            &["9.8.7", "protocol 99", "update Allmende"],
        ),
        (
            "an older protocol that cannot be replaced",
            hello(0),
            "head -c 100 >/dev/null; exit 1",
            &["the agent on web", "ended unexpectedly"],
        ),
        (
            "a claim of 4 GB",
            four_gigabytes,
            wait,
            &["the agent on web", "broke the protocol", "host repair web"],
        ),
        (
            "a hello of 4 GB",
            large_hello,
            wait,
            &["no agent answered on web", "host repair web"],
        ),
        (
            "garbage",
            garbage.clone(),
            wait,
            &["no agent answered on web", "host repair web"],
        ),
        (
            "garbage and the end",
            garbage,
            "exit 3",
            &["no agent answered on web", "exit status 3", "host repair web"],
        ),
        (
            "garbage after the hello",
            [hello(1), b"nonsense nonsense".to_vec()].concat(),
            wait,
            &["the agent on web", "broke the protocol", "host repair web"],
        ),
        (
            "silence",
            Vec::new(),
            wait,
            &[
                "no agent answered on web",
                "nothing came back within 20 seconds",
                "host repair web",
            ],
        ),
        (
            "silence after the hello",
            hello(1),
            wait,
            &[
                "the agent on web",
                "has said nothing for 2",
                "although the host answers",
            ],
        ),
        (
            "the end at once",
            Vec::new(),
            "exit 0",
            &["no agent answered on web", "host repair web"],
        ),
        (
            "a complaint",
            Vec::new(),
            "echo 'no such library' >&2; exit 127",
            &["no agent answered on web", "no such library", "host repair web"],
        ),
        (
            "half a hello",
            hello(1)[..40].to_vec(),
            "exit 1",
            &["web", "exit status 1", "host repair web"],
        ),
    ];
    for (what, says, then, words) in &cases {
        eprintln!("the agent shows {what}");
        pretend(&stage, says, then);
        for arguments in [&["apply", "disturbed", "--yes"][..], &["plan", "disturbed"]] {
            if what.starts_with("silence") && arguments[0] == "plan" {
                // Once is long enough.
                continue;
            }
            let began = Instant::now();
            let refused = stage.run(arguments);
            one_error(&refused, words);
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{what}: {:?}",
                began.elapsed()
            );
        }
    }
    put_the_agent_back(&stage);
    stage.apply_ends_well();
    stage.round_is_done_once(&round);
}

#[test]
fn an_agent_that_floods_standard_error_neither_stalls_nor_fills_the_controller() {
    let stage = Stage::new();
    keep_the_agent(&stage);
    let round = stage.new_round();
    stage.let_go(&round);
    // Behind the flood works the real one.
    pretend(
        &stage,
        b"",
        "head -c 50000000 /dev/zero | tr '\\0' 'x' >&2 &\nexec /root/agent serve",
    );
    let began = Instant::now();
    stage.apply_ends_well();
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    stage.round_is_done_once(&round);
}

#[test]
fn another_agent_of_the_same_protocol_is_replaced_and_the_apply_ends_well() {
    let stage = Stage::new();
    let right = stage.on_host(&format!("sha256sum <{AGENT}"));
    let round = stage.new_round();
    stage.let_go(&round);
    stage.on_host(&format!(
        "cp -p {AGENT} {AGENT}.x; printf xyz >>{AGENT}.x; mv -f {AGENT}.x {AGENT}"
    ));
    assert_ne!(stage.on_host(&format!("sha256sum <{AGENT}")), right);
    stage.apply_ends_well();
    stage.round_is_done_once(&round);
    assert_eq!(stage.on_host(&format!("sha256sum <{AGENT}")), right);
    stage.nothing_half_written();

    // Killed while it replaces: an agent is there at every moment, and the next apply has the right one.
    for pause in [100, 200, 300] {
        stage.on_host(&format!(
            "cp -p {AGENT} {AGENT}.x; printf xyz >>{AGENT}.x; mv -f {AGENT}.x {AGENT}"
        ));
        let apply = stage.start(&["apply", "disturbed", "--yes"]);
        // Not waiting for something, but hitting different moments.
        std::thread::sleep(Duration::from_millis(pause));
        apply.kill_wherever_it_is();
        stage.wait_on_host("the agents to end", "! pgrep -x allmende-agent");
        stage.on_host(&format!("{AGENT} --version"));
    }
    stage.apply_ends_well();
    assert_eq!(stage.on_host(&format!("sha256sum <{AGENT}")), right);
    stage.nothing_half_written();
}

#[test]
fn a_new_agent_that_cannot_start_there_leaves_the_old_one_in_place() {
    let stage = Stage::new();
    stage.on_host(&format!(
        "cp -p {AGENT} {AGENT}.x; printf xyz >>{AGENT}.x; mv -f {AGENT}.x {AGENT}"
    ));
    let old = stage.on_host(&format!("sha256sum <{AGENT}"));
    let round = stage.new_round();
    stage.let_go(&round);
    // Nothing new may be executed there: the folder is mounted so that the old one, which is bound into it, is the
    // only program that starts.
    stage.on_host(
        "d=/usr/local/lib/allmende; mkdir /root/kept && cp -p $d/allmende-agent /root/kept/ && \
         mount -t tmpfs -o noexec,mode=755 none $d && cp -p /root/kept/allmende-agent $d/allmende-agent && \
         mount --bind /root/kept/allmende-agent $d/allmende-agent",
    );
    let refused = stage.run(&["apply", "disturbed", "--yes"]);
    one_error(&refused, &["agent", "web", "the old one stays"]);
    assert_eq!(stage.on_host(&format!("sha256sum <{AGENT}")), old);
    stage.on_host("ls -A /usr/local/lib/allmende | grep -vx allmende-agent && exit 1; true");
    stage.on_host("umount /usr/local/lib/allmende/allmende-agent /usr/local/lib/allmende");
    wait_until("the agent to be back", SOON, || {
        stage.on_host(&format!("sha256sum <{AGENT}")) == old
    });
    stage.apply_ends_well();
    stage.round_is_done_once(&round);
    assert_ne!(stage.on_host(&format!("sha256sum <{AGENT}")), old);
}
