//! Both ends of what `tests/bench/thousand.sh` measures: the data of a server that watches many hosts, and how late it was.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::model::{Host, Secret};
use crate::operations::{Controller, Watching};
use crate::vault::SecretScope;

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: this is for tests/bench/thousand.sh"))
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
            .filter(|sample| sample.status == crate::model::Status::Ok)
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
