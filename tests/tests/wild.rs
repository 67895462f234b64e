//! Hosts as one meets them outside: behind others, on other ports, with sudo, with keys that are known already or change.

use std::process::{Command, Stdio};
use std::time::Duration;

use allmende_tests::{Finished, HostAccess, World};
use tempfile::TempDir;

const PASSWORD: &str = "ein-geheimes-wort";

/// Two practice hosts: a gate, and one behind it whose second port only the gate reaches.
struct Wild {
    world: World,
    gate: HostAccess,
    inner: HostAccess,
    /// The home of the person at the controller.
    home: TempDir,
}

impl Wild {
    fn new() -> Self {
        let (world, mut hosts) = World::with_hosts(2, "13");
        let inner = hosts.pop().expect("two hosts");
        let gate = hosts.pop().expect("two hosts");
        let home = tempfile::tempdir().expect("makes a folder");
        std::fs::create_dir(home.path().join(".ssh")).expect("makes a folder");
        world
            .run(&[
                "org",
                "add",
                "kita-sonne",
                "--name",
                "KiTa Sonne e.V.",
                "--sector",
                "kita",
            ])
            .expect(0);
        let wild = Self {
            world,
            gate,
            inner,
            home,
        };
        wild.gate
            .run(&format!(
                "set -e; useradd -m -s /bin/bash -G sudo anna; echo anna:{PASSWORD} | chpasswd
                 install -d -m 700 -o anna /home/anna/.ssh
                 install -m 600 -o anna /root/.ssh/authorized_keys /home/anna/.ssh/authorized_keys"
            ))
            .expect(0);
        wild.inner
            .run(
                "set -e; printf 'Port 22\\nPort 2222\\n' >/etc/ssh/sshd_config.d/ports.conf; systemctl restart ssh
                 apt-get -q update >/dev/null; apt-get -qy install nftables >/dev/null
                 nft add table inet wild
                 nft add chain inet wild in '{ type filter hook input priority 0; }'
                 nft add rule inet wild in ip saddr ${SSH_CLIENT%% *} tcp dport 2222 drop",
            )
            .expect(0);
        wild
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        Finished::of(self.world.command(arguments).env("HOME", self.home.path()))
    }

    /// Runs the program at a terminal, at which somebody types this.
    fn run_typing(&self, arguments: &[&str], typed: &str) -> Finished {
        let plain = self.world.command(arguments);
        let line: Vec<String> = std::iter::once(plain.get_program())
            .chain(plain.get_args())
            .map(|word| format!("'{}'", word.to_string_lossy()))
            .collect();
        let input = self.home.path().join("typed");
        std::fs::write(&input, typed).expect("writes");
        Finished::of(
            Command::new("sh")
                .arg("-c")
                .arg(format!(
                    "(sleep 5; cat '{}'; sleep 30) | script -qec \"{}\" /dev/null",
                    input.display(),
                    line.join(" ")
                ))
                .env("ALLMENDE_DATA_DIR", self.world.data_dir())
                .env("HOME", self.home.path())
                .env_remove("SSH_AUTH_SOCK"),
        )
    }

    fn in_home(&self, path: &str, text: &str) {
        std::fs::write(self.home.path().join(path), text).expect("writes");
    }

    /// The public key that a host shows, in known_hosts' form.
    fn key_of(&self, host: &HostAccess) -> String {
        let shown = host
            .run("cut -d ' ' -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub")
            .expect(0);
        shown.stdout.trim().to_owned()
    }

    fn keys_of_allmende(&self, host: &HostAccess) -> Vec<String> {
        let keys = host.run("cat /root/.ssh/authorized_keys").expect(0);
        let ours = keys
            .stdout
            .lines()
            .filter(|line| line.contains("allmende-agent serve"));
        ours.map(str::to_owned).collect()
    }

    fn add_gate(&self) {
        let identity = self.gate.identity.display().to_string();
        let (address, fingerprint) = (&self.gate.address, &self.gate.fingerprint);
        self.run(&[
            "host",
            "add",
            "gate",
            "--org",
            "kita-sonne",
            "--address",
            address,
            "--identity",
            &identity,
            "--fingerprint",
            fingerprint,
        ])
        .expect(0);
    }
}

/// The device on which this machine reaches an address.
fn device_to(address: &str) -> String {
    let route = Finished::of(Command::new("ip").args(["route", "get", address])).expect(0);
    let mut words = route.stdout.split_whitespace().skip_while(|word| *word != "dev");
    words.nth(1).expect("a device").to_owned()
}

#[test]
fn a_host_behind_another_is_added_with_what_ssh_knows_already() {
    let wild = Wild::new();
    let identity = wild.inner.identity.display().to_string();
    let (gate, inner) = (&wild.gate.address, &wild.inner.address);
    wild.in_home(
        ".ssh/config",
        &format!(
            "Host inner\n  HostName {inner}\n  Port 2222\n  User root\n  IdentityFile {identity}\n  ProxyJump gate\n\
             Host gate\n  HostName {gate}\n  User anna\n"
        ),
    );
    let add = [
        "host",
        "add",
        "inner",
        "--org",
        "kita-sonne",
        "--address",
        "inner",
    ];
    // Nobody to ask, and nothing known yet.
    wild.run(&add)
        .expect(1)
        .saying(&format!("--jump-fingerprint {}", wild.gate.fingerprint));

    // Another key than the known one is told nothing.
    let (gate_key, inner_key) = (wild.key_of(&wild.gate), wild.key_of(&wild.inner));
    wild.in_home(".ssh/known_hosts", &format!("{gate} {inner_key}\n"));
    wild.run(&add)
        .expect(1)
        .saying("knows another key")
        .saying(&wild.gate.fingerprint);

    let known = format!("{gate} {gate_key}\n[{inner}]:2222 {inner_key}\n");
    wild.in_home(".ssh/known_hosts", &known);
    let file = wild.home.path().join(".ssh/known_hosts");
    Finished::of(Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&file)).expect(0);
    assert!(std::fs::read_to_string(&file).expect("reads").starts_with("|1|"));
    wild.run(&add)
        .expect(0)
        .saying("From your ~/.ssh/config")
        .saying("inner is in Allmende's care");

    wild.run(&["host", "show", "inner"])
        .expect(0)
        .saying(&format!("anna@{gate}"))
        .saying("port 2222");
    wild.run(&["host", "facts", "inner"]).expect(0);
    // The key on the gate may pass through and do nothing else.
    let line = wild
        .gate
        .run("grep allmende-jump /home/anna/.ssh/authorized_keys")
        .expect(0)
        .stdout;
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(
        line.starts_with("restrict,port-forwarding,command=\"/bin/false\" ssh-ed25519 "),
        "{line}"
    );

    // An IPv6 address behind the gate.
    wild.gate
        .run("ip -6 addr add fd42:a11::1/64 dev host0 nodad")
        .expect(0);
    wild.inner
        .run("ip -6 addr add fd42:a11::2/64 dev host0 nodad")
        .expect(0);
    for address in ["fd42:a11::2", "[fd42:a11::2]"] {
        wild.run(&["host", "edit", "inner", "--address", address])
            .expect(0);
        wild.run(&["host", "facts", "inner"]).expect(0);
    }
    wild.run(&["host", "edit", "inner", "--address", inner]).expect(0);

    // A gate that lets nobody through says so.
    wild.gate
        .run("echo 'AllowTcpForwarding no' >/etc/ssh/sshd_config.d/00-closed.conf; systemctl restart ssh")
        .expect(0);
    wild.run(&["host", "facts", "inner"])
        .expect(1)
        .saying("could not be reached through")
        .saying("AllowTcpForwarding");
    wild.gate
        .run("rm /etc/ssh/sshd_config.d/00-closed.conf; systemctl restart ssh")
        .expect(0);

    // There is no other way, and the way is found again.
    wild.run(&["host", "edit", "inner", "--clear", "jump"]).expect(0);
    wild.run(&["host", "facts", "inner"])
        .expect(1)
        .saying("did not answer");
    let way = format!("anna@{gate}");
    wild.run(&["host", "repair", "inner", "--identity", &identity, "--jump", &way])
        .expect(0);
    wild.run(&["host", "facts", "inner"]).expect(0);
    wild.run(&["host", "remove", "inner", "--yes"])
        .expect(0)
        .saying("allmende-jump");
    assert!(wild.keys_of_allmende(&wild.inner).is_empty());
}

#[test]
fn sudo_asks_for_its_password_once_and_nothing_keeps_it() {
    let wild = Wild::new();
    let identity = wild.gate.identity.display().to_string();
    let (address, fingerprint) = (&wild.gate.address, &wild.gate.fingerprint);
    let add = [
        "host",
        "add",
        "gate",
        "--org",
        "kita-sonne",
        "--address",
        address,
        "--user",
        "anna",
        "--identity",
        &identity,
        "--fingerprint",
        fingerprint,
    ];
    wild.run(&add).expect(1).saying("sudo wants a password");
    // At a terminal the key is shown and asked for, then the password.
    wild.run_typing(&add[..add.len() - 2], &format!("yes\n{PASSWORD}\n"))
        .expect(0)
        .saying("This is the first contact with gate")
        .saying(fingerprint)
        .saying("is in Allmende's care");
    assert_eq!(wild.world.files_with(PASSWORD), Vec::<std::path::PathBuf>::new());
    wild.run(&["host", "facts", "gate"]).expect(0);

    // Directly over IPv6, by the address that every interface has.
    let address = wild
        .gate
        .run("ip -6 -o addr show dev host0 scope link")
        .expect(0)
        .stdout;
    let mut words = address.split_whitespace().skip_while(|word| *word != "inet6");
    let bare = words
        .nth(1)
        .and_then(|word| word.split('/').next())
        .expect("a link-local address");
    let link_local = format!("{bare}%{}", device_to(&wild.gate.address));
    wild.run(&["host", "edit", "gate", "--address", &link_local])
        .expect(0);
    wild.run(&["host", "facts", "gate"]).expect(0);
}

#[test]
fn keys_change_and_nobody_is_locked_out() {
    let wild = Wild::new();
    wild.add_gate();
    let first = wild.keys_of_allmende(&wild.gate);
    assert_eq!(first.len(), 1);

    wild.run(&[
        "host",
        "lock",
        "gate",
        "--reason",
        "the provider moves the machine",
    ])
    .expect(0);
    for arguments in [
        &["host", "rotate-key", "gate"][..],
        &["host", "remove", "gate", "--yes"],
        &[
            "host",
            "accept-key",
            "gate",
            "--fingerprint",
            &wild.gate.fingerprint,
        ],
    ] {
        wild.run(arguments)
            .expect(1)
            .saying("gate is locked by")
            .saying("the provider moves the machine")
            .saying("allmende host unlock gate");
    }
    for arguments in [&["status"][..], &["host", "list"], &["host", "show", "gate"]] {
        wild.run(arguments)
            .expect(0)
            .saying("the provider moves the machine");
    }
    wild.run(&["host", "unlock", "gate"]).expect(0);
    wild.run(&["host", "unlock", "gate"])
        .expect(0)
        .saying("was not locked");

    wild.run(&["host", "rotate-key", "gate"]).expect(0);
    let second = wild.keys_of_allmende(&wild.gate);
    assert!(second.len() == 1 && second != first, "{second:?}");
    wild.run(&["host", "facts", "gate"]).expect(0);

    // Whenever a rotation ends, some key works, and the next rotation finishes it.
    for moment in 0..12 {
        let mut rotation = wild
            .world
            .command(&["host", "rotate-key", "gate"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        std::thread::sleep(Duration::from_millis(100 + 120 * moment));
        let _ = rotation.kill();
        rotation.wait().expect("ends");
        wild.run(&["host", "facts", "gate"]).expect(0);
    }
    wild.run(&["host", "rotate-key", "gate"]).expect(0);
    assert_eq!(wild.keys_of_allmende(&wild.gate).len(), 1);
    wild.run(&["host", "facts", "gate"]).expect(0);

    a_changed_host_key_is_accepted_by_a_person(&wild);
    wild.run(&["host", "remove", "gate", "--yes"]).expect(0);
    assert!(wild.keys_of_allmende(&wild.gate).is_empty());
}

fn a_changed_host_key_is_accepted_by_a_person(wild: &Wild) {
    let old = &wild.gate.fingerprint;
    let accept = ["host", "accept-key", "gate"];
    wild.run(&accept).expect(0).saying("nothing was to be accepted");
    wild.gate
        .run("rm /etc/ssh/ssh_host_*; ssh-keygen -q -A; systemctl restart ssh")
        .expect(0);
    let new = wild
        .gate
        .run("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub")
        .expect(0)
        .stdout;
    let new = new.split_whitespace().nth(1).expect("a fingerprint");
    wild.run(&["host", "facts", "gate"])
        .expect(1)
        .saying("nothing was sent");
    wild.run(&accept)
        .expect(1)
        .saying(old)
        .saying(&format!("--fingerprint {new}"));
    wild.run(&["host", "accept-key", "gate", "--dry-run"])
        .expect(0)
        .saying(old)
        .saying(new);
    wild.run(&["host", "accept-key", "gate", "--fingerprint", old])
        .expect(1);
    wild.run(&["host", "accept-key", "gate", "--fingerprint", new])
        .expect(0)
        .saying("its agent answers");
    wild.run(&["host", "facts", "gate"]).expect(0);
}

#[test]
fn a_firewall_that_somebody_flushed_is_noticed_and_put_back() {
    let wild = Wild::new();
    wild.add_gate();
    wild.run(&["apply", "--host", "gate", "--yes"]).expect(0);
    wild.run(&["plan", "--host", "gate"]).expect(0);
    wild.gate.run("nft flush ruleset").expect(0);
    wild.run(&["plan", "--host", "gate"]).expect(3).saying("firewall");
    wild.run(&["apply", "--host", "gate", "--yes"]).expect(0);
    wild.gate
        .run("nft list chain inet allmende input | grep 'policy drop'; nft list set inet allmende open_tcp | grep 22")
        .expect(0);
    wild.run(&["plan", "--host", "gate"]).expect(0);
}

#[test]
fn a_host_that_is_no_debian_is_told_apart_by_its_facts() {
    let wild = Wild::new();
    // A practice host is always a Debian; what tells the systems apart is this file.
    wild.gate
        .run("sed -i 's/^ID=.*/ID=ubuntu\\nID_LIKE=debian/; s/^VERSION_ID=.*/VERSION_ID=\"24.04\"/' /usr/lib/os-release")
        .expect(0);
    wild.add_gate();
    wild.run(&["host", "show", "gate"])
        .expect(0)
        .saying("ubuntu 24.04");
    let add = [
        "service",
        "add",
        "wiki",
        "--org",
        "kita-sonne",
        "--host",
        "gate",
        "--template",
        "dokuwiki",
        "--set",
        "domain=wiki.kita.test",
        "--set",
        "admin_email=anna@kita.test",
    ];
    wild.run(&add)
        .expect(1)
        .saying("Debian 12")
        .saying("ubuntu 24.04");
    wild.run(&["apply", "--host", "gate", "--yes"])
        .expect(1)
        .saying("gate runs ubuntu 24.04");
}
