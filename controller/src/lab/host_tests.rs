//! Tests of what is written for a host and how it is booted.

use std::net::Ipv4Addr;

use super::*;
use crate::lab::network::Subnet;

fn registry() -> Registry {
    let mut registry = Registry::new(Subnet::new(Ipv4Addr::new(10, 1, 2, 0)));
    for number in [1, 2] {
        let record = HostRecord {
            release: "12".into(),
            address: registry.subnet.host(number),
            base: "/cache/debian-12".into(),
            disk_mb: None,
            authorized_keys: vec![],
            made: true,
            started: None,
        };
        registry.hosts.insert(number, record);
    }
    registry
}

#[test]
fn a_host_boots_on_the_labs_bridge_and_leaves_no_trace() {
    let names = Names::new("/lab".into());
    let line = nspawn_command(&names, 2, false, true).line();
    assert!(
        line.contains("--keep-unit") && line.contains("--link-journal=no") && line.ends_with("--boot"),
        "{line}"
    );
    assert!(
        line.contains(&format!("--network-bridge={}", names.bridge())),
        "{line}"
    );
    assert!(line.contains("--directory=/lab/hosts/practice2/root"), "{line}");
    assert!(
        !nspawn_command(&names, 2, true, true)
            .line()
            .contains("--keep-unit")
    );
}

#[test]
fn layers_and_disks_are_mount_options() {
    let folder = Path::new("/lab/hosts/practice1");
    assert_eq!(
        overlay_command(folder, Path::new("/cache/b")).line(),
        "mount -t overlay overlay -o lowerdir=/cache/b,upperdir=/lab/hosts/practice1/disk/upper,workdir=/lab/hosts/practice1/disk/work /lab/hosts/practice1/root"
    );
    assert!(disk_command(folder, 64).line().contains("size=64m,"));
}

#[test]
fn every_host_knows_every_host_and_itself_first() {
    let block = hosts_block(&registry(), 2);
    let lines: Vec<&str> = block.lines().collect();
    assert_eq!(
        lines[1..5],
        [
            "127.0.0.1 localhost",
            "::1 localhost ip6-localhost ip6-loopback",
            "10.1.2.12 practice2.practice.test practice2",
            "10.1.2.11 practice1.practice.test practice1"
        ]
    );
}

#[test]
fn what_others_wrote_into_hosts_stays() {
    let block = hosts_block(&registry(), 1);
    let first = merge_hosts("127.0.0.1 localhost\n10.9.9.9 cloud.example\n", &block);
    assert_eq!(first.matches("127.0.0.1 localhost").count(), 1);
    assert!(first.contains("10.9.9.9 cloud.example"));
    assert_eq!(merge_hosts(&first, &block), first);
    let mut fewer = registry();
    fewer.hosts.remove(&2);
    let second = merge_hosts(&first, &hosts_block(&fewer, 1));
    assert!(
        !second.contains("practice2") && second.contains("10.9.9.9 cloud.example"),
        "{second}"
    );
}

#[test]
fn name_servers_for_this_machine_only_are_left_out() {
    assert_eq!(name_servers("nameserver 127.0.0.53\noptions edns0\n"), None);
    assert_eq!(
        name_servers("search x\nnameserver 192.0.2.53\nnameserver ::1\n"),
        Some("nameserver 192.0.2.53\n".into())
    );
}

#[test]
fn links_in_a_host_lead_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("hosts"), "precious").unwrap();
    std::os::unix::fs::symlink(outside.join("hosts"), root.join("etc/hosts")).unwrap();
    write_hosts(&root, &registry(), 1).unwrap();
    assert_eq!(fs::read_to_string(outside.join("hosts")).unwrap(), "precious");
    assert!(
        fs::read_to_string(root.join("etc/hosts"))
            .unwrap()
            .contains("practice2")
    );
    fs::remove_dir_all(root.join("etc")).unwrap();
    std::os::unix::fs::symlink(&outside, root.join("etc")).unwrap();
    assert!(write_hosts(&root, &registry(), 1).is_err());
}

#[test]
fn fingerprints_are_those_of_ssh_keygen() {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f root@x";
    assert!(fingerprint_of(key).unwrap().starts_with("SHA256:"));
    assert_eq!(fingerprint_of(key).unwrap().len(), 50);
    assert_eq!(fingerprint_of("nonsense"), None);
    assert_eq!(fingerprint_of("ssh-ed25519 ***"), None);
}

#[test]
fn only_a_host_folder_of_a_lab_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let host = folder.path().join("hosts/practice3");
    assert!(from_folder(&host).is_err());
    fs::write(folder.path().join("lab.json"), "{}").unwrap();
    assert_eq!(from_folder(&host).unwrap().1, 3);
    assert!(from_folder(&folder.path().join("hosts/practice03")).is_err());
    assert!(from_folder(&folder.path().join("practice3")).is_err());
    assert!(from_folder(Path::new("/")).is_err());
}
