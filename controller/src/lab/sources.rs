//! Where practice hosts get their packages from: the same Debian archives that this machine uses, for another release.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::LabError;

/// A Debian release that practice hosts can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// The number, as in "Debian 12".
    pub number: u32,
    /// The name that archives use.
    pub codename: &'static str,
}

/// The releases that practice hosts can have, newest first.
pub const RELEASES: [Release; 2] = [
    Release {
        number: 13,
        codename: "trixie",
    },
    Release {
        number: 12,
        codename: "bookworm",
    },
];

impl Release {
    /// Understands a number or a codename.
    pub fn parse(text: &str) -> Option<Release> {
        RELEASES
            .into_iter()
            .find(|release| text == release.codename || text == release.number.to_string())
    }
}

/// The fields of `os-release` that matter here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Machine {
    pub id: String,
    pub codename: String,
    pub pretty: String,
}

impl Machine {
    /// What this machine runs.
    pub fn here() -> Machine {
        Machine::parse(&fs::read_to_string("/etc/os-release").unwrap_or_default())
    }

    fn parse(text: &str) -> Machine {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        let fields: BTreeMap<&str, &str> = pairs
            .map(|(k, v)| (k.trim(), v.trim().trim_matches(['"', '\''])))
            .collect();
        let field = |name: &str| fields.get(name).map(|v| v.to_string()).unwrap_or_default();
        Machine {
            id: field("ID"),
            codename: field("VERSION_CODENAME"),
            pretty: field("PRETTY_NAME"),
        }
    }
}

/// One archive, in either of apt's two notations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub uris: Vec<String>,
    pub suites: Vec<String>,
    pub components: Vec<String>,
    /// Other fields in their deb822 names, `Signed-By` above all.
    pub options: BTreeMap<String, String>,
}

const COMPONENTS: [&str; 4] = ["main", "contrib", "non-free", "non-free-firmware"];

/// Reads a file in the one-line notation.
pub(super) fn parse_list(text: &str) -> Vec<Source> {
    let parse = |line: &str| {
        let line = line.split('#').next()?.trim();
        let mut rest = line.strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
        let mut options = BTreeMap::new();
        if let Some(inner) = rest.strip_prefix('[') {
            let (inside, after) = inner.split_once(']')?;
            for (name, value) in inside
                .split_whitespace()
                .filter_map(|option| option.split_once('='))
            {
                options.insert(field_name(name), value.replace(',', " "));
            }
            rest = after;
        }
        let mut words = rest.split_whitespace().map(str::to_string);
        let (uri, suite) = (words.next()?, words.next()?);
        Some(Source {
            uris: vec![uri],
            suites: vec![suite],
            components: words.collect(),
            options,
        })
    };
    text.lines().filter_map(parse).collect()
}

/// The deb822 name of an option of the one-line notation.
fn field_name(option: &str) -> String {
    match option {
        "arch" => "Architectures".into(),
        "lang" => "Languages".into(),
        "target" => "Targets".into(),
        other => {
            let word = |w: &str| {
                w.split_at_checked(1)
                    .map(|(a, b)| a.to_uppercase() + b)
                    .unwrap_or_default()
            };
            other.split('-').map(word).collect::<Vec<_>>().join("-")
        }
    }
}

/// Reads a file in the deb822 notation.
pub(super) fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.trim().is_empty() {
            sources.extend(source_of(std::mem::take(&mut fields)));
        } else if line.starts_with('#') {
        } else if let (true, Some((_, value))) = (line.starts_with([' ', '\t']), fields.last_mut()) {
            value.push('\n');
            value.push_str(line.trim_end());
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_string(), value.trim().to_string()));
        }
    }
    sources
}

fn source_of(fields: Vec<(String, String)>) -> Option<Source> {
    let mut options: BTreeMap<String, String> = fields.into_iter().collect();
    let mut take = |wanted: &str| {
        let name = options
            .keys()
            .find(|name| name.eq_ignore_ascii_case(wanted))?
            .clone();
        options.remove(&name)
    };
    let words = |text: Option<String>| {
        text.unwrap_or_default()
            .split_whitespace()
            .map(str::to_string)
            .collect::<Vec<_>>()
    };
    let types = words(take("Types"));
    let enabled = take("Enabled")
        .is_none_or(|value| !["no", "false", "0", "off"].contains(&value.to_lowercase().as_str()));
    let (uris, suites, components) = (
        words(take("URIs")),
        words(take("Suites")),
        words(take("Components")),
    );
    let useful = enabled && types.iter().any(|t| t == "deb") && !uris.is_empty() && !suites.is_empty();
    useful.then_some(Source {
        uris,
        suites,
        components,
        options,
    })
}

/// The machine's Debian archives, for the wanted release: entries of Debian's own suites and components only, addresses
/// as they are.
pub(super) fn translate(
    sources: &[Source],
    machine: &Machine,
    release: Release,
) -> Result<Vec<Source>, LabError> {
    if machine.id != "debian" {
        let name = if machine.pretty.is_empty() {
            "an unknown system"
        } else {
            &machine.pretty
        };
        return Err(LabError::Sources(format!(
            "this machine runs {name}, so its package sources hold no Debian packages; practice hosts are made on Debian machines only: run Allmende's lab on one"
        )));
    }
    let translated: Vec<Source> = sources
        .iter()
        .filter_map(|source| translate_one(source, &machine.codename, release))
        .collect();
    if !translated
        .iter()
        .any(|source| source.suites.iter().any(|suite| suite == release.codename))
    {
        return Err(LabError::Sources(format!(
            "no package source of this machine offers the suite {0:?} with the component main over the network, so nothing tells where Debian packages come from; \
             add Debian's archive to /etc/apt/sources.list.d/debian.sources (Suites: {0}) and try again",
            machine.codename
        )));
    }
    Ok(translated)
}

fn translate_one(source: &Source, codename: &str, release: Release) -> Option<Source> {
    let suite = |suite: &String| {
        let rest = suite.strip_prefix(codename)?;
        ["", "-updates", "-security"]
            .contains(&rest)
            .then(|| format!("{}{rest}", release.codename))
    };
    let suites: Vec<String> = source.suites.iter().filter_map(suite).collect();
    // A host cannot see this machine's own files and discs.
    let local = |uri: &String| {
        ["file:", "copy:", "cdrom:"]
            .iter()
            .any(|scheme| uri.starts_with(scheme))
    };
    let uris: Vec<String> = source.uris.iter().filter(|uri| !local(uri)).cloned().collect();
    let debian = source.components.iter().any(|c| c == "main")
        && source.components.iter().all(|c| COMPONENTS.contains(&c.as_str()));
    if suites.is_empty() || uris.is_empty() || !debian {
        return None;
    }
    let mut options = source.options.clone();
    for name in ["Targets", "Languages", "Architectures"] {
        options.remove(name);
    }
    Some(Source {
        uris,
        suites,
        components: source.components.clone(),
        options,
    })
}

/// Leaves out archives that are known not to be Debian's. `origins` is the output of
/// `apt-get indextargets --format '$(REPO_URI) $(ORIGIN)'`; an archive that it does not know stays.
pub(super) fn only_debian(sources: Vec<Source>, origins: &str) -> Vec<Source> {
    let foreign = |uri: &String| {
        let uri = uri.trim_end_matches('/');
        let lines = origins.lines().filter_map(|line| line.split_once(' '));
        let mut known = lines
            .filter(|(repository, _)| repository.trim_end_matches('/') == uri)
            .peekable();
        known.peek().is_some() && !known.any(|(_, origin)| origin == "Debian" || origin.trim().is_empty())
    };
    sources
        .into_iter()
        .filter(|source| !source.uris.iter().any(foreign))
        .collect()
}

/// The archives as one file in the deb822 notation.
pub(super) fn render(sources: &[Source]) -> String {
    let stanza = |source: &Source| {
        let mut text = format!(
            "Types: deb\nURIs: {}\nSuites: {}\nComponents: {}\n",
            source.uris.join(" "),
            source.suites.join(" "),
            source.components.join(" ")
        );
        for (name, value) in &source.options {
            text.push_str(&format!("{name}: {value}\n"));
        }
        text
    };
    sources.iter().map(stanza).collect::<Vec<_>>().join("\n")
}

/// Files of this machine that the archives refer to: keyrings and lists of mirrors.
pub(super) fn files(sources: &[Source]) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for source in sources {
        let keys = source
            .options
            .get("Signed-By")
            .map(|value| value.split_whitespace())
            .into_iter()
            .flatten();
        let mirrors = source
            .uris
            .iter()
            .filter_map(|uri| uri.strip_prefix("mirror+file:"));
        paths.extend(
            keys.chain(mirrors)
                .filter(|p| p.starts_with('/'))
                .map(|p| PathBuf::from(format!("/{}", p.trim_start_matches('/')))),
        );
    }
    paths.sort();
    paths.dedup();
    paths
}

/// All archives that this machine has configured.
pub(super) fn of_machine(apt: &Path) -> Vec<Source> {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let mut sources = parse_list(&read(&apt.join("sources.list")));
    let entries = fs::read_dir(apt.join("sources.list.d")).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        match path.extension().and_then(|e| e.to_str()) {
            Some("list") => sources.extend(parse_list(&read(&path))),
            Some("sources") => sources.extend(parse_deb822(&read(&path))),
            _ => {}
        }
    }
    sources
}

/// What of apt's configuration a host needs in order to reach the same archives, from the output of `apt-config dump`.
/// Hooks and settings of taste stay behind.
pub(super) fn settings(dump: &str) -> String {
    const WANTED: [&str; 13] = [
        "http",
        "https",
        "retries",
        "check-valid-until",
        "check-date",
        "max-validtime",
        "min-validtime",
        "forceipv4",
        "forceipv6",
        "allowinsecurerepositories",
        "allowweakrepositories",
        "allowdowngradetoinsecurerepositories",
        "queue-mode",
    ];
    let wanted = |line: &&str| {
        let name = line
            .split_once(' ')
            .map(|(name, _)| name.to_lowercase())
            .unwrap_or_default();
        let Some(name) = name.strip_prefix("acquire::") else {
            return false;
        };
        let mut parts = name.split("::");
        // A program of this machine that finds a proxy does not exist on the host.
        let detects = name.ends_with("proxy-auto-detect") || name.ends_with("proxyautodetect");
        parts.next().is_some_and(|first| WANTED.contains(&first)) && !detects && !line.ends_with(" \"\";")
    };
    dump.lines()
        .filter(wanted)
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Points settings that mean "this machine itself" to its address in the lab's network.
pub(super) fn reachable(text: &str, gateway: &str) -> Option<String> {
    let mut changed = text.to_string();
    for own in ["127.0.0.1", "localhost", "[::1]"] {
        changed = changed
            .replace(&format!("://{own}:"), &format!("://{gateway}:"))
            .replace(&format!("://{own}/"), &format!("://{gateway}/"));
    }
    (changed != text).then_some(changed)
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
