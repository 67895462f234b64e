//! What a person's own `known_hosts` says about a host.

use std::path::Path;

use russh::keys::known_hosts::known_host_keys_path;

use super::keys::fingerprint_of;
use super::{Destination, FleetError};

/// The fingerprints of the keys under which a file knows a host; plain and hashed entries. Empty if the file is missing.
///
/// # Errors
/// [`FleetError::KnownHosts`] if the file cannot be read, or the host's entry in it.
pub fn trusted_fingerprints(file: &Path, host: &Destination) -> Result<Vec<String>, FleetError> {
    let unusable = |reason: String| FleetError::KnownHosts {
        path: file.to_owned(),
        reason,
    };
    if !file.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(file).map_err(|error| unusable(error.to_string()))?;
    let address = host.bare_address().to_lowercase();
    let keys =
        known_host_keys_path(&address, host.port, file).map_err(|error| unusable(error.to_string()))?;
    let revoked: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("@revoked"))
        .filter_map(|line| line.split_whitespace().nth(2))
        .collect();
    Ok(keys
        .into_iter()
        .filter(|(_, key)| {
            let text = key.to_openssh().unwrap_or_default();
            !text.split(' ').any(|part| revoked.contains(&part))
        })
        .map(|(_, key)| fingerprint_of(&key))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB2dCxDlYnCOys5hdwwa+wFYYR1DVLXLuoxhn8hl0NbH";
    const FINGERPRINT: &str = "SHA256:aKUi3YRk94I4uZA3Jau2cspv9Ua5rRHmHn/T+GQNYlc";

    fn host(address: &str, port: u16) -> Destination {
        Destination {
            name: "web1".to_owned(),
            address: address.to_owned(),
            port,
            jumps: std::sync::Arc::default(),
        }
    }

    #[test]
    fn hosts_are_found_by_name_port_and_hash_and_revoked_keys_are_not_trusted() {
        let folder = tempfile::tempdir().expect("makes");
        let file = folder.path().join("known_hosts");
        let known = |host: &Destination| trusted_fingerprints(&file, host).expect("reads");
        assert!(known(&host("web1", 22)).is_empty(), "there is no file yet");
        // The last one was made by `ssh-keygen -H` from "hidden.example.org".
        let text = format!(
            "# a comment\nweb1.example.org,192.0.2.7 {KEY} anna\n[2001:db8::7]:2222 {KEY}\n{HASHED} {KEY}\n"
        );
        std::fs::write(&file, &text).expect("writes");
        for host in [
            host("web1.example.org", 22),
            host("WEB1.example.org", 22),
            host("192.0.2.7", 22),
            host("[2001:db8::7]", 2222),
            host("hidden.example.org", 22),
        ] {
            assert_eq!(known(&host), [FINGERPRINT], "{host}");
        }
        for host in [
            host("web1.example.org", 2222),
            host("other", 22),
            host("2001:db8::7", 22),
        ] {
            assert!(known(&host).is_empty(), "{host}");
        }
        std::fs::write(&file, format!("{text}@revoked * {KEY}\n")).expect("writes");
        assert!(known(&host("web1.example.org", 22)).is_empty());
        std::fs::write(&file, "web1 ssh-ed25519 AAAAnothing\n").expect("writes");
        assert!(trusted_fingerprints(&file, &host("web1", 22)).is_err());
    }

    const HASHED: &str = "|1|oRMH7mplWrCrzyA5eJ8xHCfK4TE=|WxhqDgxJBp3QasuYuH2xbGWYyqM=";
}
