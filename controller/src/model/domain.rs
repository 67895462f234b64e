//! Names of the Domain Name System.

/// Endings that no public name has: for tests and examples (RFC 6761), for networks of one's own (RFC 6762, RFC 8375, ICANN's
/// `internal`), and what routers give out.
const PRIVATE: [&str; 12] = [
    "test",
    "example",
    "invalid",
    "localhost",
    "local",
    "internal",
    "home.arpa",
    "lan",
    "home",
    "intranet",
    "localdomain",
    "fritz.box",
];

/// Whether everybody on the internet may look this name up. Practice hosts and internal networks have names that mean something
/// only there; addresses are no names.
pub fn is_public_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let is_below = |ending: &&str| {
        name.strip_suffix(*ending)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    name.contains('.')
        && name.parse::<std::net::IpAddr>().is_err()
        && !name.contains(':')
        && !PRIVATE.iter().any(|ending| is_below(&ending))
}

#[cfg(test)]
mod tests {
    use super::is_public_name;

    #[test]
    fn names_of_practice_hosts_and_internal_networks_are_not_public() {
        for public in [
            "cloud.kita-sonne.de",
            "example.org",
            "a.b.c.test.de",
            "LATEST.DE.",
        ] {
            assert!(is_public_name(public), "{public}");
        }
        for private in [
            "cloud.kita.test",
            "Cloud.Kita.TEST.",
            "nas.local",
            "a.home.arpa",
            "db.internal",
            "web1",
            "localhost",
            "192.0.2.7",
            "2001:db8::7",
            "",
            ".",
        ] {
            assert!(!is_public_name(private), "{private}");
        }
    }
}
