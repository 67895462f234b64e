//! Blobs, and replacing the agent, with an agent that a test plays.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use allmende_agent::protocol::{Answer, Frame, PROTOCOL_VERSION, Refusal, RefusalKind, Request};
use tokio::time::timeout;

use super::session_tests::{SOON, connect, plan, report};
use super::test_host::{TestAgent, TestHost};
use super::{BlobSource, EMBEDDED_AGENT, FleetError};

#[tokio::test]
async fn a_blob_goes_on_where_it_stopped() {
    let received = Arc::<std::sync::Mutex<Vec<u8>>>::default();
    let taken = Arc::clone(&received);
    let host = TestHost::start(move |mut agent, number| {
        let taken = Arc::clone(&taken);
        async move {
            agent.hello().await;
            let Some((id, request)) = agent.request().await else {
                return;
            };
            if number == 0 {
                let missing = BTreeMap::from([("abc".to_owned(), 1000)]);
                assert!(matches!(request, Request::Blobs { .. }));
                agent.answer(id, Ok(Answer::Blobs(missing))).await;
                agent.until_input_ends().await;
                return;
            }
            let Request::PutBlob { size, offset, .. } = request else {
                panic!("{request:?}")
            };
            assert_eq!((size, offset), (400_000, 1000));
            let mut left = size - offset;
            while left > 0 {
                let Some(Frame::Blob(bytes)) = agent.frame().await else {
                    panic!("a blob was announced")
                };
                left -= bytes.len() as u64;
                taken.lock().expect("is whole").extend(bytes);
            }
            agent.answer(id, Ok(Answer::Done)).await;
            agent.until_input_ends().await;
        }
    })
    .await;
    let session = connect(&host).await;
    let blob: Vec<u8> = (0..400_000u32).map(|number| (number % 251) as u8).collect();
    let file = tempfile::NamedTempFile::new().expect("makes");
    std::fs::write(file.path(), &blob).expect("writes");
    let mut heard = Vec::new();
    let sent = session
        .put_blob(BlobSource::File(file.path()), "abc", |at, of| {
            heard.push((at, of))
        })
        .await;
    assert_eq!(sent.expect("is taken"), 399_000);
    assert_eq!(*received.lock().expect("is whole"), blob[1000..]);
    assert_eq!(heard.first(), Some(&(1000, 400_000)));
    assert_eq!(heard.last(), Some(&(400_000, 400_000)));
}

#[tokio::test]
async fn a_blob_that_is_there_is_not_sent() {
    let host = TestHost::start(|mut agent, _| async move {
        agent.hello().await;
        let (id, _) = agent.request().await.expect("asked");
        agent.answer(id, Ok(Answer::Blobs(BTreeMap::new()))).await;
        agent.until_input_ends().await;
    })
    .await;
    let session = connect(&host).await;
    let sent = session
        .put_blob(BlobSource::Bytes(b"there"), "abc", |_, _| ())
        .await;
    assert_eq!(sent.expect("is there"), 0);
}

#[tokio::test]
async fn a_full_disk_is_heard_before_everything_was_sent() {
    let host = TestHost::start(|mut agent, number| async move {
        agent.hello().await;
        let (id, _) = agent.request().await.expect("asked");
        if number == 0 {
            agent
                .answer(id, Ok(Answer::Blobs(BTreeMap::from([("abc".to_owned(), 0)]))))
                .await;
        } else {
            // Nothing more is read: the sender would wait for ever.
            let refusal = Refusal {
                kind: RefusalKind::Failed,
                message: "the disk is full".to_owned(),
            };
            agent.answer(id, Err(refusal)).await;
            tokio::time::sleep(SOON).await;
        }
        agent.until_input_ends().await;
    })
    .await;
    let session = connect(&host).await;
    let blob = vec![0; 30_000_000];
    let sending = session.put_blob(BlobSource::Bytes(&blob), "abc", |_, _| ());
    let error = timeout(SOON, sending)
        .await
        .expect("in time")
        .expect_err("is refused");
    assert!(error.to_string().contains("the disk is full"), "{error}");
}

/// Plays an agent that is replaced; `new` is what the second channel's agent does.
async fn replacing<F>(
    kept: Arc<AtomicUsize>,
    new: impl Fn(TestAgent) -> F + Clone + Send + Sync + 'static,
) -> TestHost
where
    F: Future<Output = ()> + Send + 'static,
{
    TestHost::start(move |mut agent, number| {
        let (kept, new) = (Arc::clone(&kept), new.clone());
        async move {
            if number == 1 {
                return new(agent).await;
            }
            agent.hello_as(PROTOCOL_VERSION, "0ld").await;
            while let Some((id, request)) = agent.request().await {
                let answer = match request {
                    // As if it had been sent before.
                    Request::Blobs { .. } => Answer::Blobs(BTreeMap::new()),
                    Request::Replace { sha256 } => {
                        assert_eq!(sha256, EMBEDDED_AGENT.sha256);
                        Answer::Done
                    }
                    Request::KeepReplacement => {
                        kept.fetch_add(1, Ordering::SeqCst);
                        Answer::Done
                    }
                    _ => report("the old one"),
                };
                agent.answer(id, Ok(answer)).await;
            }
            agent.exit(0).await;
        }
    })
    .await
}

#[tokio::test]
async fn an_old_agent_is_replaced_once_the_new_one_said_hello() {
    let kept = Arc::<AtomicUsize>::default();
    let host = replacing(Arc::clone(&kept), |mut agent| async move {
        agent.hello().await;
        while let Some((id, _)) = agent.request().await {
            agent.answer(id, Ok(report("the new one"))).await;
        }
        agent.exit(0).await;
    })
    .await;
    let mut session = connect(&host).await;
    assert!(!session.is_current());
    assert!(session.ensure_current().await.expect("replaces"));
    assert!(session.is_current());
    assert_eq!(kept.load(Ordering::SeqCst), 1);
    assert_eq!(
        session.request(plan(), |_| ()).await.expect("answers"),
        report("the new one")
    );
    assert!(!session.ensure_current().await.expect("is current"));
}

#[tokio::test]
async fn a_new_agent_that_does_not_start_is_rolled_back() {
    let kept = Arc::<AtomicUsize>::default();
    let host = replacing(Arc::clone(&kept), |mut agent| async move {
        agent.stderr("Exec format error\n").await;
        agent.exit(126).await;
    })
    .await;
    let mut session = connect(&host).await;
    let error = session.ensure_current().await.expect_err("fails");
    assert!(matches!(error, FleetError::Replacement { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("Exec format error") && text.contains("old agent is in place again"),
        "{text}"
    );
    assert_eq!(kept.load(Ordering::SeqCst), 0, "the old one was let go");
    assert_eq!(
        session.request(plan(), |_| ()).await.expect("answers"),
        report("the old one")
    );
}

#[tokio::test]
async fn another_agent_than_the_one_sent_is_rolled_back() {
    let kept = Arc::<AtomicUsize>::default();
    let host = replacing(Arc::clone(&kept), |mut agent| async move {
        agent.hello_as(PROTOCOL_VERSION, "0ther").await;
        agent.until_input_ends().await;
        agent.exit(0).await;
    })
    .await;
    let mut session = connect(&host).await;
    let error = session.ensure_current().await.expect_err("fails");
    assert!(error.to_string().contains("0ther"), "{error}");
    assert_eq!(kept.load(Ordering::SeqCst), 0);
}
