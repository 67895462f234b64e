//! Which packages are installed, as `/var/lib/dpkg/status` has it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use crate::error::{Attempt, Error};
use crate::layout::Layout;

/// The longest line that is read whole; descriptions and file lists may be longer and don't matter.
const LINE: u64 = 64 * 1024;

/// What dpkg knows.
#[derive(Debug, Default)]
pub(crate) struct Packages {
    /// The third word of a package's status: `installed`, `half-configured` …
    states: HashMap<String, String>,
    /// Names that installed packages provide beside their own.
    provided: HashMap<String, String>,
    /// Whether an earlier run of dpkg did not come to its end.
    pub(crate) interrupted: bool,
    /// Packages whose unpacking was interrupted. apt takes them for installed and leaves them as they are.
    pub(crate) half_unpacked: Vec<String>,
}

impl Packages {
    pub(super) fn read(layout: &Layout) -> Result<Packages, Error> {
        let path = layout.at("/var/lib/dpkg/status");
        let file = File::open(&path).attempt("reading", &path)?;
        let mut packages =
            Packages::parse(&mut BufReader::with_capacity(64 * 1024, file)).attempt("reading", &path)?;
        // dpkg leaves numbered files here until all of them are merged into the status file.
        let updates = std::fs::read_dir(layout.at("/var/lib/dpkg/updates"))
            .into_iter()
            .flatten()
            .flatten();
        packages.interrupted |= updates
            .filter_map(|entry| entry.file_name().into_string().ok())
            .any(|name| name.chars().all(|character| character.is_ascii_digit()));
        Ok(packages)
    }

    fn parse(input: &mut impl BufRead) -> std::io::Result<Packages> {
        let mut packages = Packages::default();
        let mut stanza = Stanza::default();
        let mut line = Vec::new();
        loop {
            line.clear();
            let count = input.by_ref().take(LINE).read_until(b'\n', &mut line)?;
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end();
            if text.is_empty() {
                packages.add(std::mem::take(&mut stanza));
                if count == 0 {
                    return Ok(packages);
                }
            } else if let Some(name) = text.strip_prefix("Package: ") {
                stanza.name = name.to_owned();
            } else if let Some(status) = text.strip_prefix("Status: ") {
                stanza.status = status.to_owned();
            } else if let Some(provides) = text.strip_prefix("Provides: ") {
                stanza.provides = provides.to_owned();
            }
        }
    }

    fn add(&mut self, stanza: Stanza) {
        let mut words = stanza.status.split_whitespace();
        let (Some(_wanted), Some(flag), Some(state)) = (words.next(), words.next(), words.next()) else {
            return;
        };
        let unfinished = [
            "half-installed",
            "unpacked",
            "half-configured",
            "triggers-awaited",
            "triggers-pending",
        ];
        self.interrupted |= flag != "ok" || unfinished.contains(&state);
        if flag == "reinstreq" || state == "half-installed" {
            self.half_unpacked.push(stanza.name.clone());
        }
        if state == "installed" {
            for provided in stanza
                .provides
                .split(',')
                .filter_map(|part| part.split_whitespace().next())
            {
                self.provided
                    .entry(provided.to_owned())
                    .or_insert_with(|| stanza.name.clone());
            }
        }
        // With several architectures an installed one wins.
        let known = self.states.entry(stanza.name).or_default();
        if known != "installed" {
            *known = state.to_owned();
        }
    }

    /// The state of a package; `None` when there is nothing of it, or only its configuration.
    pub(crate) fn state(&self, name: &str) -> Option<&str> {
        match self.states.get(name).map(String::as_str) {
            None | Some("not-installed" | "config-files") => self.provided.get(name).map(|_| "installed"),
            state => state,
        }
    }
}

#[derive(Debug, Default)]
struct Stanza {
    name: String,
    status: String,
    provides: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Packages {
        Packages::parse(&mut text.as_bytes()).expect("reads")
    }

    #[test]
    fn states_and_provided_names_are_known() {
        let packages = parse(
            "Package: exim4\nStatus: install ok installed\nProvides: mail-transport-agent, default-mta (= 1)\n\n\
             Package: gone\nStatus: deinstall ok config-files\nProvides: ghost\n\n\
             Package: libc6\nStatus: install ok installed\nArchitecture: amd64\n\n\
             Package: libc6\nStatus: install ok not-installed\nArchitecture: i386",
        );
        assert_eq!(packages.state("exim4"), Some("installed"));
        assert_eq!(packages.state("default-mta"), Some("installed"));
        assert_eq!(packages.state("libc6"), Some("installed"));
        assert_eq!(
            (
                packages.state("gone"),
                packages.state("ghost"),
                packages.state("x")
            ),
            (None, None, None)
        );
        assert!(!packages.interrupted);
    }

    #[test]
    fn an_interrupted_dpkg_is_noticed() {
        assert!(parse("Package: a\nStatus: install ok half-configured\n\n").interrupted);
        let packages = parse("Package: a\nStatus: install reinstreq half-installed\n\n");
        assert!(packages.interrupted);
        assert_eq!(packages.half_unpacked, ["a"]);
        let packages = parse("Package: a\nStatus: install ok unpacked\n");
        assert_eq!(
            (packages.state("a"), packages.interrupted),
            (Some("unpacked"), true)
        );
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Packages::parse(&mut bytes.as_slice());
        }
    }
}
