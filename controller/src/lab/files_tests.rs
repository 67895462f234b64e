//! Tests of the files that the lab writes on a host.

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
