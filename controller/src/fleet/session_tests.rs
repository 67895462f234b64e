//! Sessions with an agent that a test plays.

use std::sync::atomic::Ordering;
use std::time::Duration;

use allmende_agent::protocol::{
    Answer, DesiredState, Event, PROTOCOL_VERSION, Refusal, RefusalKind, Report, Request,
};
use russh::Sig;
use tokio::time::timeout;

use super::test_host::{TestAgent, TestHost, another_host_key};
use super::{ControllerKey, FleetError, Session, fingerprint, probe, probe_for};

/// Longer than anything here takes, shorter than anybody waits.
pub(super) const SOON: Duration = Duration::from_secs(20);

pub(super) fn plan() -> Request {
    Request::Plan(DesiredState::default())
}

pub(super) fn report(stopped: &str) -> Answer {
    Answer::Report(Report {
        stopped: Some(stopped.to_owned()),
        ..Report::default()
    })
}

pub(super) async fn connect(host: &TestHost) -> Session {
    Session::connect(&host.host, &host.keys())
        .await
        .expect("connects")
}

/// The error of a session whose agent behaves like this after its hello and a request.
async fn failure_after_a_request<F>(play: impl Fn(TestAgent) -> F + Clone + Send + Sync + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let host = TestHost::start(move |mut agent, _| {
        let play = play.clone();
        async move {
            agent.hello().await;
            agent.request().await;
            play(agent).await;
        }
    })
    .await;
    let session = connect(&host).await;
    let outcome = timeout(SOON, session.request(plan(), |_| ()))
        .await
        .expect("in time");
    outcome.expect_err("fails").to_string()
}

/// The error of connecting to a host that does this instead of starting an agent.
async fn failure_to_connect<F>(play: impl Fn(TestAgent) -> F + Clone + Send + Sync + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let host = TestHost::start(move |agent, _| play(agent)).await;
    let outcome = timeout(SOON, Session::connect(&host.host, &host.keys()))
        .await
        .expect("in time");
    outcome.err().expect("fails").to_string()
}

#[tokio::test]
async fn events_come_in_order_before_the_answer() {
    let host = TestHost::start(|mut agent, _| async move {
        agent.hello().await;
        let (id, _) = agent.request().await.expect("asked");
        for line in ["one", "two"] {
            agent.event(id, Event::Output(line.to_owned())).await;
        }
        agent.answer(id, Ok(report("done"))).await;
        agent.until_input_ends().await;
        agent.exit(0).await;
    })
    .await;
    let session = connect(&host).await;
    assert!(session.is_current());
    let mut events = Vec::new();
    let answer = session
        .request(plan(), |event| events.push(event))
        .await
        .expect("answers");
    assert_eq!(events, ["one", "two"].map(|line| Event::Output(line.to_owned())));
    assert_eq!(answer, report("done"));
    timeout(SOON, session.close()).await.expect("in time");
}

#[tokio::test]
async fn answers_find_their_requests_in_any_order() {
    let host = TestHost::start(|mut agent, _| async move {
        agent.hello().await;
        let (first, _) = agent.request().await.expect("asked");
        let (second, _) = agent.request().await.expect("asked");
        agent.answer(second, Ok(report("second"))).await;
        agent.answer(first, Ok(report("first"))).await;
        agent.until_input_ends().await;
    })
    .await;
    let session = connect(&host).await;
    let (first, second) = tokio::join!(session.request(plan(), |_| ()), session.request(plan(), |_| ()));
    assert_eq!(first.expect("answers"), report("first"));
    assert_eq!(second.expect("answers"), report("second"));
}

#[tokio::test]
async fn a_request_that_is_dropped_harms_nobody() {
    let host = TestHost::start(|mut agent, _| async move {
        agent.hello().await;
        let (dropped, _) = agent.request().await.expect("asked");
        let (id, _) = agent.request().await.expect("asked");
        agent.event(dropped, Event::Output("late".to_owned())).await;
        agent.answer(dropped, Ok(Answer::Done)).await;
        agent.answer(id, Ok(report("kept"))).await;
        agent.until_input_ends().await;
    })
    .await;
    let session = connect(&host).await;
    let dropped = timeout(Duration::from_millis(200), session.request(plan(), |_| ())).await;
    assert!(dropped.is_err(), "nobody answered yet");
    let kept = timeout(SOON, session.request(plan(), |_| ()))
        .await
        .expect("in time");
    assert_eq!(kept.expect("answers"), report("kept"));
}

#[tokio::test]
async fn output_that_nobody_reads_is_left_out_and_said_so() {
    const LINES: usize = 200;
    let line = "x".repeat(10_000);
    let host = TestHost::start(move |mut agent, _| {
        let line = line.clone();
        async move {
            agent.hello().await;
            let (noisy, _) = agent.request().await.expect("asked");
            let (quiet, _) = agent.request().await.expect("asked");
            for _ in 0..LINES {
                agent.event(noisy, Event::Output(line.clone())).await;
            }
            agent.answer(quiet, Ok(report("quiet"))).await;
            agent.answer(noisy, Ok(report("noisy"))).await;
            agent.until_input_ends().await;
        }
    })
    .await;
    let session = connect(&host).await;
    let mut lines = 0;
    let mut left_out = String::new();
    let mut noisy = Box::pin(session.request(plan(), |event| match event {
        Event::Output(line) if line.starts_with('(') => left_out = line,
        _ => lines += 1,
    }));
    // Asked, then not listened to while the other request is answered.
    assert!(timeout(Duration::from_millis(100), &mut noisy).await.is_err());
    let quiet = timeout(SOON, session.request(plan(), |_| ()))
        .await
        .expect("is not held up");
    assert_eq!(quiet.expect("answers"), report("quiet"));
    assert_eq!((&mut noisy).await.expect("answers"), report("noisy"));
    drop(noisy);
    assert!(lines < LINES, "all {lines} lines were kept in memory");
    assert_eq!(left_out, format!("({} lines were left out)", LINES - lines));
}

#[tokio::test]
async fn a_noisy_login_shell_does_no_harm() {
    let host = TestHost::start(|mut agent, _| async move {
        agent.raw(b"Welcome to web1!\n{\"hello\":\x01\x00\x00").await;
        agent.stderr("stdin: is not a tty\n").await;
        agent.hello().await;
        let (id, _) = agent.request().await.expect("asked");
        agent.answer(id, Ok(report("done"))).await;
        agent.until_input_ends().await;
    })
    .await;
    let session = connect(&host).await;
    assert_eq!(
        session.request(plan(), |_| ()).await.expect("answers"),
        report("done")
    );
}

#[tokio::test]
async fn reports_that_wait_are_collected_but_not_those_of_another_controller() {
    let host = TestHost::start(|mut agent, _| async move {
        agent.hello().await;
        let (id, request) = agent.request().await.expect("asked");
        assert!(matches!(request, Request::TakeReport { run } if run == "run-1"));
        agent.answer(id, Ok(report("broke off"))).await;
        agent.until_input_ends().await;
    })
    .await;
    let reports = connect(&host)
        .await
        .take_reports("run-", |_| ())
        .await
        .expect("answers");
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].0, "run-1");
    assert!(
        matches!(&reports[0].1, Answer::Report(report) if report.stopped.as_deref() == Some("broke off"))
    );
}

#[tokio::test]
async fn another_host_key_stops_everything_before_the_login() {
    let mut host = TestHost::start(|_, _| async {}).await;
    let shown = fingerprint(&host.host.host_key).expect("parses");
    host.host.host_key = another_host_key();
    let pinned = fingerprint(&host.host.host_key).expect("parses");
    let error = Session::connect(&host.host, &host.keys())
        .await
        .err()
        .expect("refuses");
    assert!(matches!(error, FleetError::HostKeyChanged { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains(&pinned) && text.contains(&shown) && text.contains("nothing was sent"),
        "{text}"
    );
    assert_eq!(host.logins.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_first_contact_shows_the_key_and_logs_nobody_in() {
    let host = TestHost::start(|_, _| async {}).await;
    let seen = probe(&host.destination(), &host.key).await.expect("looks");
    assert_eq!(seen.key, host.host.host_key);
    assert_eq!(seen.fingerprint, fingerprint(&seen.key).expect("parses"));
    assert_eq!(
        probe_for(&host.destination(), &seen.fingerprint, &host.key)
            .await
            .expect("finds"),
        seen
    );
    let error = probe_for(&host.destination(), "SHA256:other", &host.key)
        .await
        .expect_err("is not there");
    assert!(matches!(error, FleetError::FingerprintMismatch { .. }), "{error}");
    assert!(error.to_string().contains(&seen.fingerprint), "{error}");
    assert_eq!(host.logins.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_refused_key_says_which_line_is_missing() {
    let mut host = TestHost::start(|_, _| async {}).await;
    host.key = ControllerKey::generate().expect("generates");
    let error = Session::connect(&host.host, &host.keys())
        .await
        .err()
        .expect("refuses");
    assert!(matches!(error, FleetError::KeyRefused { .. }), "{error}");
    assert!(error.to_string().contains(&host.key.authorized_line()), "{error}");
}

#[tokio::test]
async fn nothing_listening_is_told_from_no_ssh_server() {
    let mut host = TestHost::start(|_, _| async {}).await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    host.host.port = silent.local_addr().expect("is bound").port();
    drop(silent);
    let error = Session::connect(&host.host, &host.keys())
        .await
        .err()
        .expect("fails");
    assert!(matches!(error, FleetError::ConnectionRefused { .. }), "{error}");

    let web = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    host.host.port = web.local_addr().expect("is bound").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = web.accept().await {
            let hello = b"HTTP/1.1 400 Bad Request\r\n\r\n";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, hello).await;
        }
    });
    let error = timeout(SOON, Session::connect(&host.host, &host.keys()))
        .await
        .expect("in time");
    let error = error.err().expect("fails");
    assert!(matches!(error, FleetError::Handshake { .. }), "{error}");
}

#[tokio::test]
async fn a_missing_agent_is_no_agent() {
    let text = failure_to_connect(|mut agent| async move {
        agent
            .stderr("bash: line 1: /usr/local/lib/allmende/allmende-agent: No such file or directory\n")
            .await;
        agent.exit(127).await;
    })
    .await;
    assert!(text.starts_with("no agent answered on web1"), "{text}");
    assert!(
        text.contains("exit status 127") && text.contains("No such file"),
        "{text}"
    );
}

#[tokio::test]
async fn a_login_shell_that_only_complains_is_quoted() {
    let text = failure_to_connect(|mut agent| async move {
        agent.raw(b"This account is currently not available.\n").await;
        agent.exit(1).await;
    })
    .await;
    assert!(
        text.contains("\"This account is currently not available.\""),
        "{text}"
    );
}

#[tokio::test]
async fn endless_noise_is_no_agent() {
    let text = failure_to_connect(|mut agent| async move {
        for _ in 0..100 {
            agent.raw(&[b'y'; 1024]).await;
        }
        agent.until_input_ends().await;
    })
    .await;
    assert!(text.starts_with("no agent answered on web1"), "{text}");
    assert!(text.len() < 1500, "{text}");
}

#[tokio::test]
async fn an_agent_of_the_future_asks_for_an_update_of_the_controller() {
    let text = failure_to_connect(|mut agent| async move {
        agent.hello_as(PROTOCOL_VERSION + 1, "00").await;
        agent.until_input_ends().await;
    })
    .await;
    assert!(text.contains("update Allmende on the controller"), "{text}");
}

#[tokio::test]
async fn a_killed_agent_is_said_to_be_killed() {
    let text = failure_after_a_request(|mut agent| async move {
        agent.stderr("last words\n").await;
        agent.killed(Sig::KILL).await;
    })
    .await;
    assert!(
        text.contains("the agent on web1") && text.contains("killed by signal KILL"),
        "{text}"
    );
    assert!(text.contains("last words"), "{text}");
    assert!(
        text.contains("while comparing what is with what should be"),
        "{text}"
    );
}

#[tokio::test]
async fn an_agent_that_ends_inside_a_frame_is_noticed() {
    let text = failure_after_a_request(|mut agent| async move {
        agent.raw(&[0, 0, 1, 0, 1, b'{']).await;
        agent.exit(0).await;
    })
    .await;
    assert!(text.contains("in the middle of a message"), "{text}");
}

#[tokio::test]
async fn what_is_not_the_protocol_ends_the_session() {
    for (bytes, complaint) in [
        (&[0xff, 0xff, 0xff, 0xff, 1][..], "4294967295 bytes"),
        (&[0, 0, 0, 1, 9, 0][..], "unknown kind 9"),
        (&[0, 0, 0, 1, 2, 0][..], "a blob that nobody asked for"),
        (b"\0\0\0\x02\x01{]", "cannot be understood"),
        (b"\0\0\0\x0d\x01{\"goodbye\":1}", "cannot be understood"),
    ] {
        let text = failure_after_a_request(move |mut agent| async move {
            agent.raw(bytes).await;
            agent.until_input_ends().await;
        })
        .await;
        assert!(
            text.contains("broke the protocol") && text.contains(complaint),
            "{text}"
        );
    }
}

#[tokio::test]
async fn what_the_agent_refuses_is_told_as_it_says_it() {
    let host = TestHost::start(|mut agent, _| async move {
        agent.hello().await;
        let (id, _) = agent.request().await.expect("asked");
        let refusal = Refusal {
            kind: RefusalKind::Busy,
            message: "anna, job 12, is changing this host since 10:02".to_owned(),
        };
        agent.answer(id, Err(refusal)).await;
        agent.until_input_ends().await;
    })
    .await;
    let error = connect(&host)
        .await
        .request(plan(), |_| ())
        .await
        .expect_err("refuses");
    assert!(
        matches!(&error, FleetError::Refused { refusal, .. } if refusal.kind == RefusalKind::Busy),
        "{error}"
    );
    assert!(error.to_string().contains("anna, job 12"), "{error}");
}
