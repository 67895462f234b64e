//! The bootstrap script, run by the machine's own `sh` in a directory of its own.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::remote_script::script;

const BLOB: &str = "AAAAC3NzaC1lZDI1NTE5AAAAItest";
const LINE: &str = "restrict,command=\"/usr/local/lib/allmende/allmende-agent serve\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAItest allmende";
const AGENT: &[u8] = b"\x7fELF\0 not really\n";

/// A host that is only a directory.
struct Host(tempfile::TempDir);

/// What the script printed.
struct Said {
    ok: bool,
    stdout: String,
    stderr: String,
}

impl Said {
    fn said(&self, line: &str) -> bool {
        self.stdout
            .lines()
            .any(|said| said.strip_prefix("@allmende ") == Some(line))
    }
}

impl Host {
    fn new() -> Self {
        let host = Self(tempfile::tempdir().expect("makes"));
        fs::create_dir_all(host.path("root")).expect("makes");
        fs::create_dir_all(host.path("usr/local/lib")).expect("makes");
        host
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn agent(&self) -> PathBuf {
        self.path("usr/local/lib/allmende/allmende-agent")
    }

    fn keys(&self) -> PathBuf {
        self.path("root/.ssh/authorized_keys")
    }

    fn write_keys(&self, text: &str) {
        fs::create_dir_all(self.path("root/.ssh")).expect("makes");
        fs::write(self.keys(), text).expect("writes");
    }

    fn read_keys(&self) -> String {
        fs::read_to_string(self.keys()).expect("reads")
    }

    fn run(&self, action: &str, more: &[(&'static str, &str)], input: &[u8]) -> Said {
        let sha256: String = Sha256::digest(AGENT)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let root = self.0.path().display().to_string();
        let mut settings = vec![
            ("root", root),
            ("agent", "/usr/local/lib/allmende/allmende-agent".to_owned()),
            ("sha256", sha256),
            ("size", AGENT.len().to_string()),
            ("upload", "yes".to_owned()),
            ("line", LINE.to_owned()),
            ("blob", BLOB.to_owned()),
        ];
        settings.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let mut sh = Command::new("/bin/sh")
            .args(["-c", &script(action, &settings)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sh is there");
        // A script that needs no input may have ended already.
        let _ = sh.stdin.take().expect("piped").write_all(input);
        let output = sh.wait_with_output().expect("ends");
        Said {
            ok: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn install(&self) -> Said {
        let said = self.run("install", &[], AGENT);
        assert!(said.ok && said.said("done"), "{}{}", said.stdout, said.stderr);
        said
    }

    fn undo(&self, agent: &str, key: &str) {
        let what = [
            ("undo_agent", agent),
            ("undo_key", key),
            ("undo_directory", "yes"),
            ("undo_ssh", "yes"),
        ];
        let said = self.run("undo", &what, b"");
        assert!(said.ok, "{}", said.stderr);
    }

    /// Everything on the host, to compare with later.
    fn everything(&self) -> Vec<String> {
        let found = Command::new("find")
            .arg(self.0.path())
            .args(["-printf", "%P %M\n"])
            .output()
            .expect("find is there");
        let mut found: Vec<String> = String::from_utf8_lossy(&found.stdout)
            .lines()
            .map(str::to_owned)
            .collect();
        found.sort();
        found
    }
}

fn mode(path: &PathBuf) -> u32 {
    fs::metadata(path).expect("is there").permissions().mode() & 0o777
}

#[test]
fn a_fresh_host_gets_agent_and_key_with_the_right_modes() {
    let host = Host::new();
    let said = host.install();
    assert!(
        said.said("ready") && said.said("agent new") && said.said("key first"),
        "{}",
        said.stdout
    );
    assert!(said.said("made_directory yes") && said.said("made_ssh yes"));
    assert_eq!(fs::read(host.agent()).expect("is there"), AGENT);
    assert_eq!(mode(&host.agent()), 0o755);
    assert_eq!(host.read_keys(), format!("{LINE}\n"));
    assert_eq!(mode(&host.keys()), 0o600);
    assert_eq!(mode(&host.path("root/.ssh")), 0o700);
}

#[test]
fn a_second_time_changes_nothing() {
    let host = Host::new();
    host.install();
    let before = host.everything();
    let said = host.run("install", &[("upload", "no")], b"");
    assert!(
        said.said("agent same") && said.said("key same"),
        "{}",
        said.stdout
    );
    assert_eq!(host.everything(), before);
    assert_eq!(host.read_keys(), format!("{LINE}\n"));
}

#[test]
fn other_keys_stay_as_they_are() {
    let host = Host::new();
    // No line break at the end: the new line must not be glued to it.
    let others = "# a comment with AAAAC3NzaC1lZDI1NTE5AAAAItest\nssh-ed25519 AAAAother anna@laptop\n\nssh-rsa AAAAbackup";
    host.write_keys(others);
    fs::set_permissions(host.keys(), fs::Permissions::from_mode(0o640)).expect("sets");
    let said = host.install();
    assert!(said.said("key added"), "{}", said.stdout);
    assert_eq!(host.read_keys(), format!("{others}\n{LINE}\n"));
    assert_eq!(mode(&host.keys()), 0o640);
}

#[test]
fn the_same_key_with_fewer_restrictions_is_replaced() {
    let host = Host::new();
    host.write_keys(&format!(
        "ssh-ed25519 {BLOB} pasted\n{LINE}\n{LINE}\nssh-rsa AAAAother\n"
    ));
    host.install();
    assert_eq!(host.read_keys(), format!("ssh-rsa AAAAother\n{LINE}\n"));
}

#[test]
fn a_link_to_the_keys_stays_a_link() {
    let host = Host::new();
    fs::create_dir_all(host.path("root/.ssh")).expect("makes");
    fs::create_dir_all(host.path("etc")).expect("makes");
    fs::write(host.path("etc/keys"), "ssh-rsa AAAAother\n").expect("writes");
    symlink(host.path("etc/keys"), host.keys()).expect("links");
    host.install();
    assert!(fs::symlink_metadata(host.keys()).expect("is there").is_symlink());
    assert_eq!(host.read_keys(), format!("ssh-rsa AAAAother\n{LINE}\n"));
}

#[test]
fn a_damaged_upload_changes_nothing() {
    let host = Host::new();
    host.write_keys("ssh-rsa AAAAother\n");
    let said = host.run("install", &[], &AGENT.to_ascii_uppercase());
    assert!(!said.ok);
    assert!(said.stderr.contains("damaged (17 bytes)"), "{}", said.stderr);
    assert!(!host.agent().exists());
    let left = host.everything();
    assert!(!left.iter().any(|path| path.contains("arriving")), "{left:?}");
    assert_eq!(host.read_keys(), "ssh-rsa AAAAother\n");
}

#[test]
fn an_upload_that_was_cut_goes_on_with_the_rest() {
    let host = Host::new();
    let (first, rest) = AGENT.split_at(6);
    let said = host.run("install", &[], first);
    assert!(
        !said.ok && said.stderr.contains("only 6 of 17 bytes"),
        "{}",
        said.stderr
    );
    assert!(!host.agent().exists());
    // What is left of another agent is of no use.
    fs::write(host.agent().with_file_name(".arriving.other"), "old").expect("writes");

    let said = host.run("install", &[], rest);
    assert!(
        said.ok && said.said("have 6") && said.said("agent new"),
        "{}{}",
        said.stdout,
        said.stderr
    );
    assert_eq!(fs::read(host.agent()).expect("reads"), AGENT);
    let left = host.everything();
    assert!(!left.iter().any(|path| path.contains("arriving")), "{left:?}");
}

#[test]
fn undo_takes_back_all_that_was_put_on_a_fresh_host() {
    let host = Host::new();
    let before = host.everything();
    host.install();
    host.undo("new", "first");
    assert_eq!(host.everything(), before);
}

#[test]
fn undo_brings_back_what_was_there() {
    let host = Host::new();
    fs::create_dir_all(host.path("usr/local/lib/allmende")).expect("makes");
    fs::write(host.agent(), "an older agent").expect("writes");
    let keys = format!("ssh-ed25519 {BLOB} pasted\nssh-rsa AAAAother");
    host.write_keys(&keys);
    let before = host.everything();
    let said = host.install();
    assert!(
        said.said("agent replaced") && said.said("key added"),
        "{}",
        said.stdout
    );
    host.undo("replaced", "added");
    assert_eq!(host.everything(), before);
    assert_eq!(
        fs::read_to_string(host.agent()).expect("is there"),
        "an older agent"
    );
    assert_eq!(host.read_keys(), keys);
}

#[test]
fn undo_leaves_what_was_right_already() {
    let host = Host::new();
    host.install();
    assert!(host.run("settle", &[], b"").ok);
    let before = host.everything();
    host.undo("same", "same");
    assert_eq!(host.everything(), before);
}

#[test]
fn settling_leaves_only_agent_and_keys() {
    let host = Host::new();
    host.write_keys("ssh-rsa AAAAother\n");
    fs::create_dir_all(host.path("usr/local/lib/allmende")).expect("makes");
    fs::write(host.agent(), "an older agent").expect("writes");
    host.install();
    assert!(host.run("settle", &[], b"").ok);
    let left = host.everything();
    assert!(
        !left.iter().any(|path| path.contains("before-allmende")),
        "{left:?}"
    );
}

#[test]
fn facts_say_what_the_host_is() {
    let host = Host::new();
    fs::create_dir_all(host.path("etc")).expect("makes");
    fs::write(
        host.path("etc/os-release"),
        "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n",
    )
    .expect("writes");
    let said = host.run("facts", &[], b"");
    assert!(said.ok, "{}", said.stderr);
    assert!(
        said.said("system Linux") && said.said("os linuxmint ubuntu debian"),
        "{}",
        said.stdout
    );
    assert!(!said.stdout.contains("@allmende agent"));
    host.install();
    let sha256: String = Sha256::digest(AGENT)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert!(host.run("facts", &[], b"").said(&format!("agent {sha256}")));
}

#[test]
fn a_host_without_os_release_is_looked_at_all_the_same() {
    let said = Host::new().run("facts", &[], b"");
    assert!(said.ok && said.said("done"), "{}", said.stderr);
}

#[test]
fn the_script_is_short_enough_for_every_ssh_server() {
    let text = script("install", &[("line", LINE.to_owned())]);
    assert!(!text.contains("# "), "comments stay at home");
    // Dropbear refuses command lines beyond 9000 bytes; base64 makes 4 of 3.
    assert!(text.len() * 4 / 3 < 8200, "{}", text.len());
}
