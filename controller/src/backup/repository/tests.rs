//! The server against requests that restic makes, against those that it never makes, and against restic itself.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::header::{ACCEPT, CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, RANGE};
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;

const APPEND: Permission = Permission::Append { may_create: false };
const CREATE: Permission = Permission::Append { may_create: true };

/// Somebody at the other end who asks for whatever the test wants.
struct Host {
    requests: SendRequest<Full<Bytes>>,
    served: JoinHandle<Served>,
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

fn repository(folder: &TempDir, permission: Permission) -> Repository {
    Repository {
        folder: folder.path().join("repository"),
        permission,
        allowance: None,
        reserve_percent: 0,
    }
}

impl Host {
    async fn connect(repository: Repository) -> Self {
        let (near, far) = tokio::io::duplex(64 << 10);
        let served = tokio::spawn(serve(near, repository));
        let (requests, connection) = handshake(TokioExecutor::new(), TokioIo::new(far)).await.unwrap();
        tokio::spawn(connection);
        Self { requests, served }
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Reply {
        let answer = self.requests.send_request(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        Reply {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes().to_vec(),
        }
    }

    async fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> Reply {
        self.send(request(method, path, body)).await
    }

    async fn status(&mut self, method: &str, path: &str, body: &[u8]) -> u16 {
        self.ask(method, path, body).await.status.as_u16()
    }

    async fn leave(self) -> Served {
        drop(self.requests);
        self.served.await.unwrap()
    }
}

fn request(method: &str, path: &str, body: &[u8]) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(format!("http://localhost{path}"))
        .body(Full::new(Bytes::copy_from_slice(body)))
        .unwrap()
}

fn name(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn deeds(served: &Served) -> Vec<Deed> {
    served.refused.iter().map(|refused| refused.deed).collect()
}

/// Every file below the folder, with its content.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(contents(&entry.path()));
        } else {
            found.push((
                entry.path().display().to_string(),
                fs::read(entry.path()).unwrap(),
            ));
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn every_route_does_what_the_protocol_says() {
    let folder = TempDir::new().unwrap();
    let mut host = Host::connect(repository(&folder, CREATE)).await;
    assert_eq!(host.status("GET", "/file-123", b"").await, 404);
    assert_eq!(host.status("HEAD", "/config", b"").await, 404);
    assert_eq!(host.status("POST", "/?create=true", b"").await, 200);
    assert_eq!(host.status("POST", "/config", b"settings").await, 200);
    assert_eq!(host.ask("GET", "/config", b"").await.body, b"settings");
    let head = host.ask("HEAD", "/config", b"").await;
    assert_eq!(head.headers[CONTENT_LENGTH], "8");

    for kind in Kind::ALL.map(Kind::folder) {
        let content = vec![b'x'; 100_000 / kind.len()];
        let name = name(&content);
        let path = format!("/{kind}/{name}");
        assert_eq!(host.status("GET", &path, b"").await, 404, "{kind}");
        assert_eq!(host.status("POST", &path, &content).await, 200, "{kind}");
        assert_eq!(host.ask("GET", &path, b"").await.body, content);
        let head = host.ask("HEAD", &path, b"").await;
        assert_eq!(head.headers[CONTENT_LENGTH], content.len().to_string());

        let mut part = request("GET", &path, b"");
        part.headers_mut().insert(RANGE, "bytes=7-10".parse().unwrap());
        let part = host.send(part).await;
        assert_eq!((part.status.as_u16(), part.body.len()), (206, 4));
        assert_eq!(
            part.headers[CONTENT_RANGE],
            format!("bytes 7-10/{}", content.len())
        );

        let list = format!("/{kind}/");
        let names = host.ask("GET", &list, b"").await.body;
        assert_eq!(String::from_utf8(names).unwrap(), format!("[\"{name}\"]"));
        let mut sized = request("GET", &list, b"");
        sized
            .headers_mut()
            .insert(ACCEPT, "application/vnd.x.restic.rest.v2".parse().unwrap());
        assert_eq!(
            String::from_utf8(host.send(sized).await.body).unwrap(),
            format!("[{{\"name\":\"{name}\",\"size\":{}}}]", content.len())
        );
        if kind == "locks" {
            assert_eq!(host.status("DELETE", &path, b"").await, 200);
            assert_eq!(host.status("GET", &path, b"").await, 404);
        }
    }
    let served = host.leave().await;
    assert_eq!(served.refused, []);
    assert_eq!(served.failures, Vec::<String>::new());
    assert_eq!(served.locks_left, Vec::<String>::new());
    assert!(served.bytes_in > 100_000 && served.bytes_out > 100_000);
}

#[tokio::test]
async fn what_is_there_stays_as_it_is_whatever_a_host_tries_and_each_misdeed_is_told() {
    let folder = TempDir::new().unwrap();
    let old = name(b"old");
    let mut first = Host::connect(repository(&folder, CREATE)).await;
    for path in ["/?create=true", "/config"] {
        assert_eq!(first.status("POST", path, b"settings").await, 200);
    }
    for kind in Kind::ALL.map(Kind::folder) {
        let path = format!("/{kind}/{old}");
        assert_eq!(first.status("POST", &path, b"old").await, 200);
    }
    assert_eq!(first.leave().await.locks_left, std::slice::from_ref(&old));
    fs::create_dir(folder.path().join("other")).unwrap();
    fs::write(folder.path().join("other/config"), "of another").unwrap();
    let before = contents(folder.path());

    let mut host = Host::connect(repository(&folder, APPEND)).await;
    let mut expected = Vec::new();
    let mut try_it = async |method: &str, path: &str, body: &[u8], status: u16, deed: Deed| {
        assert_eq!(host.status(method, path, body).await, status, "{method} {path}");
        expected.push(deed);
    };
    for kind in ["data", "index", "keys", "snapshots"] {
        let path = format!("/{kind}/{old}");
        try_it("DELETE", &path, b"", 403, Deed::Delete).await;
    }
    let lock = format!("/locks/{old}");
    try_it("DELETE", &lock, b"", 403, Deed::ForeignLock).await;
    try_it("DELETE", "/config", b"", 403, Deed::Delete).await;
    try_it("DELETE", "/data/", b"", 403, Deed::Delete).await;
    let pack = format!("/data/{old}");
    try_it("POST", &pack, b"new", 403, Deed::Overwrite).await;
    let unknown = format!("/data/{}", name(b"unknown"));
    try_it("POST", &unknown, b"poison", 400, Deed::Poison).await;
    try_it("POST", "/config", b"new", 403, Deed::Write).await;
    try_it("POST", "/?create=true", b"", 403, Deed::Write).await;
    let key = format!("/keys/{}", name(b"key"));
    try_it("POST", &key, b"key", 403, Deed::Write).await;
    let large = format!("/locks/{}", name(b"large"));
    try_it("POST", &large, &[0; 65 << 10], 413, Deed::TooLarge).await;
    for path in [
        "/other/config",
        "/../other/config",
        "/data/../../other/config",
        "/data/%2e%2e",
    ] {
        try_it("GET", path, b"", 404, Deed::Outside).await;
        try_it("POST", path, b"x", 404, Deed::Outside).await;
    }
    try_it("PUT", &pack, b"x", 404, Deed::Outside).await;

    let served = host.leave().await;
    assert_eq!(deeds(&served), expected);
    assert!(served.refused.iter().all(|refused| refused.deed.is_misdeed()));
    assert_eq!(contents(folder.path()), before);
}

#[tokio::test]
async fn who_only_reads_writes_nothing_but_locks() {
    let folder = TempDir::new().unwrap();
    let mut host = Host::connect(repository(&folder, Permission::Read)).await;
    for kind in ["data", "index", "keys", "snapshots"] {
        let path = format!("/{kind}/{}", name(b"x"));
        assert_eq!(host.status("POST", &path, b"x").await, 403);
    }
    let path = format!("/locks/{}", name(b"x"));
    assert_eq!(host.status("POST", &path, b"x").await, 200);
    let served = host.leave().await;
    assert_eq!(deeds(&served), [Deed::Write; 4]);
    assert_eq!(served.locks_left, [name(b"x")]);
}

#[tokio::test]
async fn what_restic_removes_after_an_upload_that_failed_is_no_misdeed() {
    let folder = TempDir::new().unwrap();
    let mut host = Host::connect(repository(&folder, APPEND)).await;
    let path = format!("/data/{}", name(b"x"));
    assert_eq!(host.status("DELETE", &path, b"").await, 404);
    assert_eq!(host.leave().await.refused, []);
}

#[tokio::test]
async fn where_the_quota_is_reached_the_connection_ends_at_once() {
    let folder = TempDir::new().unwrap();
    let mut full = repository(&folder, APPEND);
    full.allowance = Some(10);
    let mut host = Host::connect(full).await;
    let path = format!("/data/{}", name(b"12345678"));
    assert_eq!(host.status("POST", &path, b"12345678").await, 200);
    let path = format!("/data/{}", name(b"123"));
    assert_eq!(host.status("POST", &path, b"123").await, 507);
    // The host holds its end: it is not asked whether it wants to leave.
    let served = host.served.await.unwrap();
    assert_eq!(deeds(&served), [Deed::NoRoom]);
    assert!(!served.refused[0].deed.is_misdeed());
}

#[tokio::test]
async fn the_reserve_of_the_disk_is_not_written_to() {
    let folder = TempDir::new().unwrap();
    let mut full = repository(&folder, APPEND);
    full.reserve_percent = 100;
    let mut host = Host::connect(full).await;
    let path = format!("/data/{}", name(b"x"));
    assert_eq!(host.status("POST", &path, b"x").await, 507);
    assert_eq!(deeds(&host.served.await.unwrap()), [Deed::NoRoom]);
    assert_eq!(contents(folder.path()), []);
}

#[tokio::test]
async fn after_a_hundred_misdeeds_nobody_listens() {
    let folder = TempDir::new().unwrap();
    let mut host = Host::connect(repository(&folder, APPEND)).await;
    for _ in 0..100 {
        host.ask("GET", "/elsewhere", b"").await;
    }
    assert_eq!(host.served.await.unwrap().refused.len(), 100);
}

#[tokio::test]
async fn locks_are_not_set_without_end() {
    let folder = TempDir::new().unwrap();
    let mut host = Host::connect(repository(&folder, APPEND)).await;
    for number in 0..17u8 {
        let path = format!("/locks/{}", name(&[number]));
        let status = host.status("POST", &path, &[number]).await;
        assert_eq!(status, if number < 16 { 200 } else { 403 });
    }
    let served = host.leave().await;
    assert_eq!(deeds(&served), [Deed::ManyLocks]);
    assert_eq!(served.locks_left.len(), 16);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_bytes_whatever_bring_it_down(bytes in proptest::collection::vec(any::<u8>(), 0..2000), greets: bool) {
        use tokio::io::AsyncWriteExt;

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = TempDir::new().unwrap();
            let (near, mut far) = tokio::io::duplex(64 << 10);
            let served = tokio::spawn(serve(near, repository(&folder, CREATE)));
            if greets {
                let _ = far.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
            }
            let _ = far.write_all(&bytes).await;
            drop(far);
            served.await.expect("no panic");
            assert_eq!(contents(folder.path()), []);
        });
    }

    #[test]
    fn no_request_whatever_brings_it_down_or_removes_anything(
        asked in proptest::collection::vec(
            (
                prop_oneof![Just("GET"), Just("HEAD"), Just("POST"), Just("DELETE"), Just("PUT"), Just("OPTIONS")],
                prop_oneof![
                    Just("/config".to_owned()),
                    Just("/?create=true".to_owned()),
                    Just(format!("/data/{}", name(b"old"))),
                    "/(data|keys|locks|snapshots|index|tmp)/[a-f0-9./%]{0,66}",
                    "/[a-z0-9./%?=&]{0,40}",
                ],
                "[ -~]{0,30}",
                proptest::collection::vec(any::<u8>(), 0..200),
            ),
            1..20,
        )
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = TempDir::new().unwrap();
            let mut first = Host::connect(repository(&folder, CREATE)).await;
            first.ask("POST", "/config", b"settings").await;
            first.ask("POST", &format!("/data/{}", name(b"old")), b"old").await;
            first.leave().await;
            let before = contents(folder.path());

            let mut host = Host::connect(repository(&folder, APPEND)).await;
            for (method, path, range, body) in asked {
                let mut request = request(method, &path, &body);
                request.headers_mut().insert(RANGE, range.parse().unwrap());
                host.send(request).await;
            }
            let served = host.leave().await;
            assert_eq!(served.failures, Vec::<String>::new());
            let after = contents(folder.path());
            assert!(before.iter().all(|file| after.contains(file)));
        });
    }
}

/// restic, whose storage is the server; it answers as many connections as restic makes, one after another.
struct Restic {
    folder: TempDir,
}

impl Restic {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("password"), "secret").unwrap();
        fs::create_dir(folder.path().join("source")).unwrap();
        for number in 0..50u32 {
            let content: Vec<u8> = (0..20_000 * number)
                .map(|place| (place ^ (place >> 8) ^ number) as u8)
                .collect();
            fs::write(folder.path().join(format!("source/{number}")), content).unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Runs it on the folder itself.
    async fn local(&self, arguments: &[&str]) -> Output {
        run(self.command(&self.path("repository"), &[], arguments)).await
    }

    /// Runs it against the server.
    async fn served(&self, repository: Repository, arguments: &[&str]) -> (Output, Served) {
        use tokio::net::unix::pipe;

        let (to, from, splice) = (self.path("to"), self.path("from"), self.path("splice"));
        for pipe in [&to, &from] {
            let _ = fs::remove_file(pipe);
            assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
        }
        fs::write(&splice, format!("cat {from} & exec cat >{to}\n")).unwrap();
        let splice = format!("rclone.args={splice}");
        let options = ["-o", "rclone.program=sh", "-o", &splice];
        let restic = tokio::spawn(run(self.command("rclone:x", &options, arguments)));
        let (to, from) = tokio::task::spawn_blocking(move || {
            let from = fs::OpenOptions::new().write(true).open(from).unwrap();
            (fs::File::open(to).unwrap(), from)
        })
        .await
        .unwrap();
        let stream = tokio::io::join(
            pipe::Receiver::from_file(to).unwrap_or_else(|_| unreachable!()),
            pipe::Sender::from_file(from).unwrap_or_else(|_| unreachable!()),
        );
        let served = serve(stream, repository).await;
        (restic.await.unwrap(), served)
    }

    fn command(&self, repository: &str, options: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new("restic");
        command
            .args([
                "--no-cache",
                "--repo",
                repository,
                "--password-file",
                &self.path("password"),
            ])
            .args(options)
            .args(arguments)
            .current_dir(self.folder.path());
        command
    }
}

async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().expect("restic is there: ./prerequisites test"))
        .await
        .unwrap()
}

fn well(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn restic_makes_writes_and_reads_a_repository_and_cannot_remove_anything() {
    let restic = Restic::new();
    let (made, served) = restic.served(repository(&restic.folder, CREATE), &["init"]).await;
    well(&made);
    assert_eq!((served.refused, served.locks_left), (vec![], vec![]));

    let (backup, served) = restic
        .served(repository(&restic.folder, APPEND), &["backup", "source"])
        .await;
    well(&backup);
    assert_eq!((&served.refused, &served.locks_left), (&vec![], &vec![]));
    assert!(served.bytes_in > 1_000_000, "{served:?}");
    well(&restic.local(&["check", "--read-data"]).await);

    let snapshots = contents(&restic.folder.path().join("repository/snapshots"));
    let [(snapshot, _)] = &snapshots[..] else {
        panic!("one snapshot, not {}", snapshots.len());
    };
    let (_, id) = snapshot.rsplit_once('/').unwrap();
    let (forget, served) = restic
        .served(repository(&restic.folder, APPEND), &["forget", id])
        .await;
    assert!(deeds(&served).contains(&Deed::Delete), "{forget:?} {served:?}");
    assert_eq!(
        contents(&restic.folder.path().join("repository/snapshots")),
        snapshots
    );

    let target = restic.path("restored");
    let (restored, served) = restic
        .served(
            repository(&restic.folder, Permission::Read),
            &["restore", "latest", "--target", &target],
        )
        .await;
    well(&restored);
    assert_eq!((served.refused, served.locks_left), (vec![], vec![]));
    let content = |folder: &str| {
        let files = contents(&restic.folder.path().join(folder));
        files.into_iter().map(|(_, content)| content).collect::<Vec<_>>()
    };
    assert_eq!(content("restored/source"), content("source"));
}

#[tokio::test(flavor = "multi_thread")]
async fn restic_gives_up_soon_where_there_is_no_room() {
    let restic = Restic::new();
    well(
        &restic
            .served(repository(&restic.folder, CREATE), &["init"])
            .await
            .0,
    );
    let mut full = repository(&restic.folder, APPEND);
    full.allowance = Some(100_000);
    let began = std::time::Instant::now();
    let (backup, served) = restic.served(full, &["backup", "source"]).await;
    assert!(!backup.status.success(), "{backup:?}");
    assert_eq!(deeds(&served).first(), Some(&Deed::NoRoom));
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}
