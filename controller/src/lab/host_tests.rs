//! Tests of how a host is booted and known.

use super::*;

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
