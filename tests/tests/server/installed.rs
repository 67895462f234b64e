//! The server as a unit of systemd on a Debian of its own.

use std::process::Command;

use allmende_tests::{Finished, World, program};

use super::running::until;

/// What curl would do, which is not there.
const ASK: &str =
    "bash -c 'exec 3<>/dev/tcp/127.0.0.1/9425; printf \"GET /healthz HTTP/1.0\\r\\n\\r\\n\" >&3; cat <&3'";

#[test]
fn it_is_installed_runs_without_rights_and_starts_with_the_machine() {
    let (world, hosts) = World::with_hosts(1, "13");
    let host = hosts.into_iter().next().expect("one host");
    let identity = host.identity.display().to_string();
    let to = format!("root@{}:/root/allmende", host.address);
    let mut copy = Command::new("scp");
    copy.args([
        "-q",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "LogLevel=ERROR",
    ])
    .args(["-i", &identity])
    .arg(program())
    .arg(&to);
    Finished::of(&mut copy).expect(0);
    host.run("/root/allmende serve --install")
        .expect(1)
        .saying("allmende init");
    host.run("/root/allmende init").expect(0);
    host.run("/root/allmende serve --install")
        .expect(0)
        .saying("belongs to allmende")
        .saying("The server runs");
    let runs = || {
        host.run("systemctl is-active allmende.service").expect(0);
        until("it answers", || host.run(ASK).stdout.contains("200 OK"));
        host.run("ps -o user= -p $(systemctl show -P MainPID allmende)")
            .expect(0)
            .saying("allmende");
    };
    runs();
    host.run("systemctl show -P NoNewPrivileges,ProtectSystem allmende")
        .expect(0)
        .saying("strict")
        .saying("yes");
    // Root's own commands work on the same data, and a second installation is an update.
    host.run("/usr/local/bin/allmende org add kita-sonne --name 'KiTa Sonne' --sector kita")
        .expect(0);
    host.run("allmende serve --install")
        .expect(0)
        .not_saying("was made");
    runs();
    host.run("find /var/lib/allmende ! -user allmende")
        .expect(0)
        .not_saying("/");
    world.run(&["lab", "reboot", &host.name]).expect(0);
    runs();
    host.run("journalctl -u allmende -p warning --no-pager -q")
        .not_saying("Failed")
        .not_saying("denied");
}
