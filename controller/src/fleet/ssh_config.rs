//! What a person's own `~/.ssh/config` says about a host: the few words that tell how it is reached.

use std::path::{Path, PathBuf};

/// How deep files may include others.
const DEPTH: usize = 4;

/// What `~/.ssh/config` says about one host. As for ssh, the first value counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SshConfig {
    /// `HostName`: the real address.
    pub host_name: Option<String>,
    /// `Port`.
    pub port: Option<u16>,
    /// `User`.
    pub user: Option<String>,
    /// `IdentityFile`, with `~` expanded; the first one.
    pub identity: Option<PathBuf>,
    /// `ProxyJump`: names or `[user@]host[:port]`, the first hop first.
    pub jumps: Vec<String>,
    jump_is_known: bool,
}

impl SshConfig {
    /// What `~/.ssh/config` of this home says about a host, by the name that a person gave for it.
    pub fn of(home: &Path, name: &str) -> Self {
        let mut config = Self::default();
        let folder = home.join(".ssh");
        config.read(&folder.join("config"), home, name, true, DEPTH);
        config
    }

    fn read(&mut self, file: &Path, home: &Path, name: &str, applies: bool, depth: usize) {
        // A file that is missing or is not to be read says nothing, as for ssh.
        let Ok(text) = std::fs::read_to_string(file) else {
            return;
        };
        let mut applies_here = applies;
        for line in text.lines() {
            let words = words(line);
            let Some((keyword, values)) = words.split_first() else {
                continue;
            };
            let first = values.first().map(String::as_str).unwrap_or_default();
            match keyword.to_ascii_lowercase().as_str() {
                "host" => applies_here = applies && fits(values, name),
                // Conditions are for ssh alone; without any, it is for all.
                "match" => applies_here = applies && first.eq_ignore_ascii_case("all"),
                "include" if depth > 0 => {
                    for value in values {
                        for path in included(value, home) {
                            self.read(&path, home, name, applies_here, depth - 1);
                        }
                    }
                }
                keyword if applies_here && !first.is_empty() => self.take(keyword, first, home, name),
                _ => {}
            }
        }
    }

    fn take(&mut self, keyword: &str, value: &str, home: &Path, name: &str) {
        match keyword {
            "hostname" => {
                self.host_name.get_or_insert_with(|| value.replace("%h", name));
            }
            "port" if self.port.is_none() => self.port = value.parse().ok().filter(|port| *port > 0),
            "user" => {
                self.user.get_or_insert_with(|| value.to_owned());
            }
            "identityfile" if !value.eq_ignore_ascii_case("none") => {
                self.identity.get_or_insert_with(|| expand(value, home));
            }
            "proxyjump" if !self.jump_is_known => {
                self.jump_is_known = true;
                if !value.eq_ignore_ascii_case("none") {
                    self.jumps = value.split(',').map(|jump| jump.trim().to_owned()).collect();
                }
            }
            _ => {}
        }
    }
}

/// Keyword and values: separated by blanks or one `=`, in double quotes where they hold blanks.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    let mut begun = false;
    for c in line.trim().chars() {
        match c {
            '"' => {
                quoted = !quoted;
                begun = true;
            }
            '#' if !quoted && !begun => break,
            c if !quoted && (c.is_whitespace() || (c == '=' && words.is_empty())) => {
                if begun {
                    words.push(std::mem::take(&mut word));
                    begun = false;
                }
            }
            // `Port = 22`: the sign stands alone.
            '=' if !quoted && words.len() == 1 && !begun => {}
            c => {
                word.push(c);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

/// Whether one of the patterns fits, and none that begins with `!`.
fn fits(patterns: &[String], name: &str) -> bool {
    let fits = |pattern: &str| matches(pattern.as_bytes(), name.as_bytes());
    let mut any = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(pattern) if fits(pattern) => return false,
            Some(_) => {}
            None => any |= fits(pattern),
        }
    }
    any
}

/// Whether a pattern with `*` and `?` fits the whole text; takes at most as many steps as both are long, multiplied.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last `*` stands, and up to where it has taken the text.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || text.get(t) == Some(c) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == b'*')
}

fn expand(value: &str, home: &Path) -> PathBuf {
    let value = value.replace("%d", &home.to_string_lossy());
    match value.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None => PathBuf::from(value),
    }
}

/// The files that an `Include` means, sorted; patterns in the last part of the path.
fn included(value: &str, home: &Path) -> Vec<PathBuf> {
    let path = expand(value, home);
    let path = if path.is_absolute() {
        path
    } else {
        home.join(".ssh").join(path)
    };
    let (Some(folder), Some(pattern)) = (path.parent(), path.file_name()) else {
        return Vec::new();
    };
    let pattern = pattern.to_string_lossy();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| matches(pattern.as_bytes(), entry.file_name().to_string_lossy().as_bytes()))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(files: &[(&str, &str)], name: &str) -> (tempfile::TempDir, SshConfig) {
        let home = tempfile::tempdir().expect("makes");
        for (path, text) in files {
            let path = home.path().join(".ssh").join(path);
            std::fs::create_dir_all(path.parent().expect("has one")).expect("makes");
            std::fs::write(path, text).expect("writes");
        }
        let config = SshConfig::of(home.path(), name);
        (home, config)
    }

    #[test]
    fn the_first_value_that_fits_counts() {
        let text = "# mine\nInclude extra/*.conf\nHost web? !web9\n  HostName = %h.example.org\n  Port 2222\n\
                    Host *\n  Port 22\n  User anna\n  IdentityFile \"~/.ssh/my key\"\nMatch exec \"true\"\n  User nobody\n";
        let extra = "Host web1\n  ProxyJump gate,ben@inner:2022\nHost other\n  User other\n";
        let (home, found) = config(&[("config", text), ("extra/a.conf", extra)], "web1");
        assert_eq!(found.host_name.as_deref(), Some("web1.example.org"));
        assert_eq!((found.port, found.user.as_deref()), (Some(2222), Some("anna")));
        assert_eq!(found.identity, Some(home.path().join(".ssh/my key")));
        assert_eq!(found.jumps, ["gate", "ben@inner:2022"]);
        let (_home, found) = config(&[("config", text)], "web9");
        assert_eq!((found.host_name, found.port), (None, Some(22)));
    }

    #[test]
    fn none_is_an_answer_and_a_file_that_includes_itself_ends() {
        let text = "Include config\nHost web1\nProxyJump none\nHost *\nProxyJump gate\nPort 0\nPort 70000\n";
        let (_home, found) = config(&[("config", text)], "web1");
        assert_eq!(found.jumps, Vec::<String>::new());
        assert_eq!(found.port, None);
        assert_eq!(config(&[], "web1").1, SshConfig::default());
    }

    #[test]
    fn patterns_fit_the_whole_name() {
        for (pattern, text, fit) in [
            ("*", "", true),
            ("web*", "web", true),
            ("*.example.org", "a.b.example.org", true),
            ("w?b", "web", true),
            ("w?b", "wb", false),
            ("web", "web1", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                fit,
                "{pattern} {text}"
            );
        }
    }
}
