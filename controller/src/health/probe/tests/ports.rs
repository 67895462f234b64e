//! Ports and SSH servers.

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::servers::server;
use super::{assert_is, check, finds, host};
use crate::fleet::test_host::{TestHost, another_host_key};
use crate::health::probe::{Means, Prober};
use crate::model::{Host, Status};

/// A port on which nothing listens.
async fn closed() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    listener.local_addr().expect("is bound").port()
}

#[tokio::test]
async fn a_port_is_open_or_closed_and_says_who_it_is() {
    let port = server(|mut stream| async move {
        let _ = stream.write_all(b"220 mail.").await;
        let _ = stream.write_all(b"kita.test ESMTP\r\n").await;
        std::future::pending::<()>().await;
    })
    .await;
    let question = |further: &str| json!({ "kind": "tcp", "port": port, "banner": further, "timeout": 1 });
    let open = json!({ "kind": "tcp", "port": port });
    let answer = finds(open, Status::Ok, "takes connections").await;
    assert_eq!(answer.figure.expect("a figure").unit, "ms");
    finds(question("ESMTP"), Status::Ok, "takes connections").await;
    finds(
        question("IMAP"),
        Status::Critical,
        "says \"220 mail.kita.test ESMTP\" instead of \"IMAP\"",
    )
    .await;
    let port = closed().await;
    finds(
        json!({ "kind": "tcp", "port": port }),
        Status::Critical,
        "nothing runs on that port",
    )
    .await;
}

#[tokio::test]
async fn what_says_nothing_is_waited_for_and_what_hangs_up_is_told() {
    let silent = server(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let question = |port: u16| json!({ "kind": "tcp", "port": port, "banner": "220", "timeout": 1 });
    finds(question(silent), Status::Critical, "had not finished").await;
    let rude = server(|_| async {}).await;
    finds(question(rude), Status::Critical, "hung up").await;
}

async fn ssh(test: &TestHost, host: &Host) -> crate::model::Answer {
    let means = Means {
        jump_key: Some(test.key.clone()),
        ..Means::default()
    };
    let prober = Prober::new(1, means);
    let answer = prober.ask(&check(json!({ "kind": "ssh" })), Some(host)).await;
    answer.expect("it is asked from outside")
}

#[tokio::test]
async fn an_ssh_server_has_to_show_the_key_that_is_known() {
    let test = TestHost::start(|_, _| async {}).await;
    let answer = ssh(&test, &test.host).await;
    assert_is(&answer, Status::Ok, "shows the key that is known", "good");
    assert_eq!(test.logins.load(std::sync::atomic::Ordering::SeqCst), 0);
    let mut other = test.host.clone();
    other.host_key = another_host_key();
    let answer = ssh(&test, &other).await;
    assert_is(
        &answer,
        Status::Critical,
        "shows another key than before",
        "other key",
    );
    let next = answer.advice.expect("a next step").en;
    assert!(next.contains("allmende host accept-key web1"), "{next}");
    let mut gone = test.host.clone();
    gone.port = closed().await;
    let answer = ssh(&test, &gone).await;
    assert_is(&answer, Status::Critical, "no SSH server runs", "closed");
    gone.port = server(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let answer = ssh(&test, &gone).await;
    assert_is(&answer, Status::Critical, "No SSH connection", "no ssh");
    gone.address = "nobody.invalid".to_owned();
    let answer = ssh(&test, &gone).await;
    assert_is(
        &answer,
        Status::Critical,
        "nobody.invalid cannot be found",
        "no name",
    );
}

#[tokio::test]
async fn what_only_the_agent_can_answer_is_not_asked_from_outside() {
    let prober = Prober::new(1, Means::default());
    let unit = check(json!({ "kind": "unit", "unit": "nginx.service" }));
    assert_eq!(prober.ask(&unit, Some(&host().await)).await, None);
}

#[tokio::test]
async fn without_a_host_only_names_lead_anywhere() {
    let prober = Prober::new(1, Means::default());
    for question in [json!({ "kind": "tcp", "port": 80 }), json!({ "kind": "ssh" })] {
        let answer = prober.ask(&check(question.clone()), None).await.expect("asked");
        assert_is(&answer, Status::Unknown, "which host", &question.to_string());
    }
    let unknown = json!({ "kind": "http", "url": "http://nobody.invalid/" });
    let answer = prober.ask(&check(unknown), None).await.expect("asked");
    assert_is(&answer, Status::Critical, "nobody.invalid cannot be found", "");
    let next = answer.advice.expect("a next step").en;
    assert!(next.contains("no public name"), "{next}");
}
