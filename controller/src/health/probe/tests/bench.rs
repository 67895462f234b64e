//! Both ends of `tests/bench/probes.sh`, in two processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::check;
use super::servers::{Authority, page, request, server};
use crate::health::probe::{Means, Prober};
use crate::model::Status;

const NAME: &str = "cloud.kita.test";

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: this is for tests/bench/probes.sh"))
}

/// Answers until its input ends; then says how many connections were open at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a benchmark"]
async fn benchmark_server() {
    let folder = std::path::PathBuf::from(setting("BENCH_FOLDER"));
    let authority = Authority::new("Allmende authority");
    std::fs::write(folder.join("authority.pem"), authority.certificate.pem()).expect("writes");
    let acceptor = authority.issue(NAME, (-1, 60)).acceptor();
    let open = Arc::<AtomicUsize>::default();
    let most = Arc::<AtomicUsize>::default();
    let answer: Arc<str> = page(200, "Connection: close\r\n", &"<p>Guten Tag</p>".repeat(500)).into();
    let ports = [false, true].map(|secure| {
        let (open, most) = (Arc::clone(&open), Arc::clone(&most));
        let (acceptor, answer) = (acceptor.clone(), Arc::clone(&answer));
        server(move |mut stream| {
            let (open, most) = (Arc::clone(&open), Arc::clone(&most));
            let (acceptor, answer) = (acceptor.clone(), Arc::clone(&answer));
            async move {
                most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                if !secure {
                    request(&mut stream).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                    open.fetch_sub(1, Ordering::SeqCst);
                    let _ = stream.shutdown().await;
                } else if let Ok(mut stream) = acceptor.accept(stream).await {
                    request(&mut stream).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                    open.fetch_sub(1, Ordering::SeqCst);
                    let _ = stream.shutdown().await;
                } else {
                    open.fetch_sub(1, Ordering::SeqCst);
                }
            }
        })
    });
    let ports = futures_util::future::join_all(ports).await;
    let ports = format!("{} {}", ports[0], ports[1]);
    std::fs::write(folder.join("ports.part"), ports).expect("writes");
    std::fs::rename(folder.join("ports.part"), folder.join("ports")).expect("renames");
    while !folder.join("end").exists() {
        if folder.join("reset").exists() {
            let _ = std::fs::remove_file(folder.join("reset"));
            let peak = most.swap(0, Ordering::SeqCst);
            std::fs::write(folder.join("peak"), peak.to_string()).expect("writes");
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Asks as often as it is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a benchmark"]
async fn benchmark_prober() {
    let number = |name| setting(name).parse::<usize>().expect(name);
    let (count, limit) = (number("BENCH_COUNT"), number("BENCH_LIMIT"));
    let authority = std::fs::read_to_string(setting("BENCH_AUTHORITY")).expect("reads");
    let means = Means {
        authority: Some(authority),
        ..Means::default()
    };
    let prober = Prober::new(limit, means);
    let question = check(json!({
        "kind": "http",
        "url": setting("BENCH_URL"),
        "contains": "Guten Tag",
        "trust": "internal",
    }));
    let host = super::host().await;
    let begun = Instant::now();
    // More are asked at once than may be under way.
    let answers = stream::iter(0..count)
        .map(|_| prober.ask(&question, Some(&host)))
        .buffer_unordered(4 * limit);
    let bad = answers
        .filter(|answer| {
            let ok = answer.as_ref().is_some_and(|answer| answer.status == Status::Ok);
            std::future::ready(!ok)
        })
        .count()
        .await;
    let seconds = begun.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .map_or("?", str::trim);
    println!("BENCH {count} {seconds:.3} {bad} {memory}");
}
