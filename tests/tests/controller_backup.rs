//! Allmende's own data, lost and brought back: hosts notice nothing of it.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use allmende_tests::{Cluster, Finished, World};
use tempfile::TempDir;

const TEMPLATE: &str = r#"
format = 1
name = "note"
title = { de = "Zettel", en = "Note" }
summary = { de = "Ein Zettel.", en = "A note." }
no_backup = { de = "Er wird jederzeit neu geschrieben.", en = "It can be written anew at any time." }

[params.word]
type = "secret"
help = { de = "Wort", en = "Word" }

[[resources]]
kind = "file"
path = "/root/note"
content = "{{ word }}\n"
owner = "root"
group = "root"
mode = "0600"
"#;

const PASSPHRASE: &str = "vier Worte reichen hier";

/// A server that ends with this value.
struct Server(Child);

impl Server {
    fn start(world: &World) -> Self {
        let said = world.data_dir().join("serve.txt");
        let file = File::create(&said).expect("made");
        let server = world
            .command(&["serve"])
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("cloned"))
            .stderr(file)
            .spawn();
        let server = Self(server.expect("starts"));
        let since = Instant::now();
        while !fs::read_to_string(&said).unwrap_or_default().contains("serving ") {
            assert!(
                since.elapsed() < Duration::from_secs(60),
                "the server does not start"
            );
            sleep(Duration::from_millis(100));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A file that is its owner's alone.
fn write(path: &Path, text: &str) -> PathBuf {
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("tightened");
    path.to_owned()
}

/// The program on another data directory.
fn run(world: &World, data_dir: &Path, arguments: &[&str]) -> Finished {
    Finished::of(world.command(arguments).env("ALLMENDE_DATA_DIR", data_dir))
}

#[test]
fn a_lost_controller_comes_back_and_finds_its_hosts_as_they_should_be() {
    let world = World::in_a_file();
    let elsewhere = TempDir::new().expect("a folder");
    let data_dir = world.data_dir();
    let passphrase = write(&elsewhere.path().join("passphrase"), &format!("{PASSPHRASE}\n"));
    let passphrase = passphrase.to_str().expect("a path");
    fs::create_dir_all(data_dir.join("templates/note")).expect("made");
    fs::write(data_dir.join("templates/note/service.toml"), TEMPLATE).expect("written");
    write(&data_dir.join("own.passphrase"), "noch andere vier Worte\n");
    let folder = elsewhere.path().join("copies");
    fs::create_dir(&folder).expect("made");
    world.set(&format!(
        "templates = [{:?}]\nlisten = \"127.0.0.1:0\"\n[self_backup]\nfolder = {folder:?}\nkeep = 2\npassphrase_file = \"own.passphrase\"\n",
        data_dir.join("templates")
    ));
    let host = world.raise(1, "13", &[]).remove(0);
    world.care_for("web1", &host);
    let add = [
        "service",
        "add",
        "note",
        "--org",
        "kita-sonne",
        "--host",
        "web1",
        "--template",
        "note",
    ];
    world.run(&add).expect(0);
    world.run(&["apply", "note", "--yes"]).expect(0);

    // While a server runs: by hand, and as the settings say, which is handed to it.
    let server = Server::start(&world);
    let copy = elsewhere.path().join("copy.tar.gz.age");
    let copy_text = copy.to_str().expect("a path");
    let backup = ["controller", "backup", copy_text, "--passphrase-file", passphrase];
    world
        .run(&[backup.as_slice(), &["--dry-run"]].concat())
        .expect(0)
        .saying("vault.key");
    assert!(!copy.exists());
    world
        .run(&backup)
        .expect(0)
        .saying("Only the passphrase opens it");
    world.run(&backup).expect(1).saying("is there already");
    for _ in 0..3 {
        world
            .run(&["controller", "backup"])
            .expect(0)
            .saying("copies/allmende-");
        sleep(Duration::from_secs(1));
    }
    assert_eq!(fs::read_dir(&folder).expect("read").count(), 2, "two are kept");
    world
        .run(&[
            "schedule",
            "add",
            "own",
            "--at",
            "daily 03:30",
            "--operation",
            "controller.backup",
        ])
        .expect(0);
    drop(server);
    let mode = fs::metadata(&copy).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let bytes = fs::read(&copy).expect("read");
    assert!(!bytes.windows(6).any(|window| window == b"kita-s"));

    // What is wrong with a copy is said, each in its own words, and nothing is written.
    let back = elsewhere.path().join("back");
    let restore = |file: &str, passphrase: &str| {
        let arguments = [
            "controller",
            "restore",
            file,
            "--yes",
            "--passphrase-file",
            passphrase,
        ];
        run(&world, &back, &arguments)
    };
    let other = write(&elsewhere.path().join("other"), "vier ganz andere Worte\n");
    restore(copy_text, other.to_str().expect("a path"))
        .expect(1)
        .saying("this passphrase does not open it");
    let spoiled = elsewhere.path().join("spoiled");
    let spoiled_text = spoiled.to_str().expect("a path");
    fs::write(&spoiled, &bytes[..bytes.len() - 1000]).expect("written");
    restore(spoiled_text, passphrase)
        .expect(1)
        .saying("its end was cut off");
    let mut changed = bytes.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    fs::write(&spoiled, changed).expect("written");
    restore(spoiled_text, passphrase)
        .expect(1)
        .saying("damaged or changed");
    assert!(!back.exists());
    restore(copy_text, passphrase)
        .expect(0)
        .saying("1 organisations, 1 hosts and 1 services are back");
    restore(copy_text, passphrase).expect(1).saying("is not empty");

    // The old data are gone; the new ones work as if nothing had happened.
    for name in ["allmende.db", "allmende.db-wal", "allmende.db-shm", "vault.key"] {
        let _ = fs::remove_file(data_dir.join(name));
    }
    let settings = fs::read_to_string(back.join("allmende.toml")).expect("read");
    let here = back.join("templates");
    let settings = settings.replace(
        data_dir.join("templates").to_str().expect("a path"),
        here.to_str().expect("a path"),
    );
    fs::write(back.join("allmende.toml"), settings).expect("written");
    run(&world, &back, &["audit", "verify"])
        .expect(0)
        .saying("none was changed");
    run(&world, &back, &["audit", "list"])
        .expect(0)
        .saying("controller.restore");
    run(&world, &back, &["plan", "note"]).expect(0);

    // Out of a file, into PostgreSQL.
    let database = Cluster::of_this_process().database(None);
    let shared = elsewhere.path().join("shared");
    fs::create_dir(&shared).expect("made");
    let settings = format!("database = {:?}\ntemplates = [{here:?}]\n", database.address());
    fs::write(shared.join("allmende.toml"), settings).expect("written");
    let arguments = [
        "controller",
        "restore",
        copy_text,
        "--yes",
        "--passphrase-file",
        passphrase,
    ];
    run(&world, &shared, &arguments).expect(0).saying("postgres://");
    run(&world, &shared, &["plan", "note"]).expect(0);
    assert_eq!(database.ask("SELECT name FROM services"), "note");
    for file in ["vault.key", "allmende.toml"] {
        fs::rename(shared.join(file), elsewhere.path().join(file)).expect("moved");
    }
    fs::remove_dir_all(&shared).expect("removed");
    fs::create_dir(&shared).expect("made");
    fs::copy(
        elsewhere.path().join("allmende.toml"),
        shared.join("allmende.toml"),
    )
    .expect("copied");
    run(&world, &shared, &arguments)
        .expect(1)
        .saying("only an empty one can be filled");
    assert_eq!(
        fs::read_dir(&shared).expect("read").count(),
        1,
        "nothing is left lying about"
    );
}
