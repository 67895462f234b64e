//! What `tests/bench/thousand.sh` and `tests/bench/sweep.sh` measure: the data of a server that watches many hosts, how late it
//! was, and how long it takes to ask a few of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;

use jiff::Timestamp;

use super::questions::{Item, Questions, items};
use crate::model::{Host, Secret, Status};
use crate::operations::{Controller, Watching};
use crate::vault::SecretScope;

fn setting(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: this is for tests/bench/thousand.sh and sweep.sh"))
}

fn data() -> PathBuf {
    PathBuf::from(setting("BENCH_FOLDER")).join("data")
}

/// Adds the simulated hosts to the inventory, each with the key that it accepts.
#[tokio::test]
#[ignore = "a benchmark"]
async fn benchmark_inventory() {
    let hosts = std::fs::read(PathBuf::from(setting("BENCH_FOLDER")).join("hosts.json")).expect("reads");
    let hosts: Vec<(Host, String)> = serde_json::from_slice(&hosts).expect("hosts");
    let controller = Controller::open(&data(), &[]).await.expect("opens");
    for (host, key) in hosts {
        controller.store.hosts().add(&host).await.expect("added");
        let scope = SecretScope::Host(host.name.clone());
        controller
            .vault
            .put(&scope, "ssh_key", &Secret::new(key))
            .await
            .expect("kept");
    }
}

/// Prints how much later than in their rhythm checks were asked, and how many answers were good.
#[tokio::test]
#[ignore = "a benchmark"]
async fn benchmark_lateness() {
    let controller = Controller::open(&data(), &[]).await.expect("opens");
    let list = Watching::default()
        .list(&controller)
        .await
        .expect("is worked out");
    assert_eq!(list.problems, []);
    let watch = controller.store.watch();
    let ended =
        Timestamp::from_millisecond(setting("BENCH_ENDED").parse().expect("milliseconds")).expect("a time");
    let (mut answers, mut good, mut late) = (0_usize, 0_usize, Vec::new());
    for watched in &list.watched {
        let every = i64::try_from(watched.check.every.seconds).expect("fits") * 1000;
        let samples = watch
            .answers(&watched.key, Timestamp::UNIX_EPOCH, ended)
            .await
            .expect("read");
        assert!(!samples.is_empty(), "{} was never asked", watched.key);
        answers += samples.len();
        good += samples
            .iter()
            .filter(|sample| sample.status == Status::Ok)
            .count();
        let times: Vec<i64> = samples
            .iter()
            .map(|sample| sample.at.as_millisecond())
            .chain([ended.as_millisecond()])
            .collect();
        late.extend(times.windows(2).map(|pair| (pair[1] - pair[0] - every).max(0)));
    }
    late.sort_unstable();
    println!(
        "BENCH {} checks, {answers} answers, {good} of them good, later than their rhythm: median {} ms, 99 of 100 {} ms, most {} ms",
        list.watched.len(),
        late[late.len() / 2],
        late[late.len() * 99 / 100],
        late[late.len() - 1],
    );
}

/// Asks hosts some checks again and again: each time with new connections, then over kept ones. Prints for each round its wall and
/// its processor time in milliseconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a benchmark"]
async fn benchmark_sweep() {
    let rounds: usize = setting("BENCH_ROUNDS").parse().expect("a number");
    let checks = setting("BENCH_CHECKS");
    let controller = Arc::new(Controller::open(&data(), &[]).await.expect("opens"));
    let list = Watching::default()
        .list(&controller)
        .await
        .expect("is worked out");
    let mut watched = list.watched;
    watched.retain(|watched| checks.split(' ').any(|id| id == watched.key.id));
    let mut hosts: Vec<Vec<Arc<Item>>> = Vec::new();
    for item in items(&controller, watched).await.expect("are made") {
        if item.host_name().is_none() {
            continue;
        }
        let item = Arc::new(item);
        match hosts.iter_mut().find(|host| host[0].group() == item.group()) {
            Some(host) => host.push(item),
            None => hosts.push(vec![item]),
        }
    }
    let sweep = async |questions: &Questions| {
        let (begun, processor) = (Instant::now(), processor_ms());
        let asked = join_all(hosts.iter().map(|items| questions.ask(items, Timestamp::now()))).await;
        let took = begun.elapsed();
        for asked in asked.iter().flatten() {
            assert_ne!(
                asked.answer.status,
                Status::Unknown,
                "{}: {:?}",
                asked.key,
                asked.answer
            );
        }
        let count = asked.iter().flatten().count();
        (count, took.as_secs_f64() * 1000.0, processor_ms() - processor)
    };
    for _ in 0..rounds {
        let questions = Questions::new(controller.clone()).await.expect("ready");
        let (count, wall, processor) = sweep(&questions).await;
        println!("BENCH cold {count} {wall:.1} {processor:.2}");
    }
    let questions = Questions::new(controller.clone()).await.expect("ready");
    sweep(&questions).await;
    for _ in 0..rounds {
        let (count, wall, processor) = sweep(&questions).await;
        println!("BENCH warm {count} {wall:.1} {processor:.2}");
    }
}

/// The processor time that this process had so far.
fn processor_ms() -> f64 {
    let schedstat = |task: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    let tasks = std::fs::read_dir("/proc/self/task").expect("is there");
    tasks.filter_map(schedstat).sum::<f64>() / 1e6
}
