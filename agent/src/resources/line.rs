//! A line in a file that is not ours.

use regex_lite::Regex;
use rustix::fs::{FileType, Stat};
use serde::{Deserialize, Serialize};

use crate::atomic::{Candidate, Rights};
use crate::error::Error;
use crate::host::Host;
use crate::names;
use crate::place::{Place, kind, kind_shown};
use crate::resources::{Difference, Manage};

/// One line of a file that something else owns. The file's owner and mode stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineSpec {
    /// Absolute path; made with mode 0644 when it is missing.
    pub path: String,
    /// The line, without its end.
    pub line: String,
    /// A regular expression: the last line that matches is replaced, further ones stay. Without a match, or without this, the line is
    /// appended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<String>,
}

/// Larger files are not edited line by line.
const LARGEST: u64 = 8 * 1024 * 1024;

/// What has to happen to a file's lines.
#[derive(Debug, PartialEq, Eq)]
enum Edit {
    Nothing,
    Append,
    Replace { index: usize },
}

impl LineSpec {
    fn regex(&self) -> Result<Option<Regex>, String> {
        let Some(pattern) = &self.matches else {
            return Ok(None);
        };
        Regex::new(pattern)
            .map(Some)
            .map_err(|error| format!("{pattern:?} is no regular expression: {error}"))
    }

    fn edit(&self, lines: &[&[u8]]) -> Result<Edit, Error> {
        let is_there = lines.contains(&self.line.as_bytes());
        let Some(regex) = self.regex().map_err(Error::Invalid)? else {
            return Ok(if is_there { Edit::Nothing } else { Edit::Append });
        };
        // A line that its own pattern does not match is done once it is there: else each run would eat a further match.
        if is_there && !regex.is_match(&self.line) {
            return Ok(Edit::Nothing);
        }
        let last = lines
            .iter()
            .rposition(|line| regex.is_match(&String::from_utf8_lossy(line)));
        Ok(match last {
            Some(index) if lines.get(index).copied() == Some(self.line.as_bytes()) => Edit::Nothing,
            Some(index) => Edit::Replace { index },
            None if is_there => Edit::Nothing,
            None => Edit::Append,
        })
    }

    /// Whether the line itself is there.
    pub(super) fn holds(&self, place: Option<&Place>) -> Result<bool, Error> {
        let found = self.look(place)?;
        Ok(found.is_some_and(|(_, content)| lines_of(&content).contains(&self.line.as_bytes())))
    }

    /// Takes the line out, wherever it stands; the others stay.
    pub(super) fn take_out(&self, host: &mut Host) -> Result<(), Error> {
        let Some(place) = host.place(&self.path)? else {
            return Ok(());
        };
        let Some((found, content)) = self.look(Some(&place))? else {
            return Ok(());
        };
        let mut lines = lines_of(&content);
        lines.retain(|line| *line != self.line.as_bytes());
        self.write(host, &place, Rights::of(&found), &lines)
    }

    fn write(&self, host: &mut Host, place: &Place, rights: Rights, lines: &[&[u8]]) -> Result<(), Error> {
        let mut edited = lines.join(&b'\n');
        edited.push(b'\n');
        Candidate::write(place, &edited, rights)?.put(place)?;
        host.path_changed(&self.path);
        Ok(())
    }

    fn look(&self, place: Option<&Place>) -> Result<Option<(Stat, Vec<u8>)>, Error> {
        let Some(place) = place else {
            return Ok(None);
        };
        let Some(found) = place.stat()? else {
            return Ok(None);
        };
        if kind(&found) != FileType::RegularFile {
            return Err(Error::obstacle(
                format!("{} is {}, not a file", self.path, kind_shown(&found)),
                "name the file that is meant and apply again",
            ));
        }
        let content = place.read(LARGEST + 1)?;
        if content.len() as u64 > LARGEST {
            return Err(Error::obstacle(
                format!("{} is larger than 8 MiB", self.path),
                "look what it is: lines are only edited in configuration files",
            ));
        }
        Ok(Some((found, content)))
    }
}

fn lines_of(content: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = content.split(|byte| *byte == b'\n').collect();
    if lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    lines
}

impl Manage for LineSpec {
    fn check(&self) -> names::Verdict {
        names::path(&self.path)?;
        if self.line.contains(['\n', '\r', '\0']) {
            return Err(format!("the line for {} is more than one line", self.path));
        }
        self.regex().map(|_| ())
    }

    fn subject(&self) -> String {
        self.path.clone()
    }

    fn compare(&self, host: &mut Host) -> Result<Option<Difference>, Error> {
        let Some((_, content)) = self.look(host.place(&self.path)?.as_ref())? else {
            return Ok(Some(Difference::create().becomes("line", None, &self.line)));
        };
        let lines = lines_of(&content);
        Ok(match self.edit(&lines)? {
            Edit::Nothing => None,
            Edit::Append => Some(Difference::change().becomes("line", None, &self.line)),
            Edit::Replace { index } => {
                let from = String::from_utf8_lossy(lines.get(index).copied().unwrap_or_default());
                Some(Difference::change().becomes("line", Some(&from), &self.line))
            }
        })
    }

    fn change(&self, host: &mut Host, _: &Difference) -> Result<(), Error> {
        let place = host.place_made(&self.path)?;
        let (rights, content) = match self.look(Some(&place))? {
            Some((found, content)) => (Rights::of(&found), content),
            None => {
                let (uid, gid) = host.ids("root", "root")?;
                (
                    Rights {
                        uid,
                        gid,
                        mode: 0o644,
                    },
                    Vec::new(),
                )
            }
        };
        let mut lines = lines_of(&content);
        match self.edit(&lines)? {
            Edit::Nothing => return Ok(()),
            Edit::Append => lines.push(self.line.as_bytes()),
            Edit::Replace { index } => {
                if let Some(line) = lines.get_mut(index) {
                    *line = self.line.as_bytes();
                }
            }
        }
        self.write(host, &place, rights, &lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::difference::tests::Bench;
    use proptest::prelude::*;

    fn spec(line: &str, matches: Option<&str>) -> LineSpec {
        LineSpec {
            path: "/etc/conf".to_owned(),
            line: line.to_owned(),
            matches: matches.map(str::to_owned),
        }
    }

    #[test]
    fn a_line_is_appended_once_also_after_an_unfinished_one() {
        let bench = Bench::new();
        bench.write("/etc/conf", "a");
        bench.settles(&spec("b", None));
        assert_eq!(bench.read("/etc/conf"), "a\nb\n");
    }

    #[test]
    fn the_last_match_is_replaced_and_others_stay() {
        let bench = Bench::new();
        bench.write("/etc/conf", "port 1\n#port 2\nport 3\nend\n");
        let difference = bench.settles(&spec("port 22", Some("^port "))).expect("differs");
        assert_eq!(difference.described(), "line is port 3 and not port 22");
        assert_eq!(bench.read("/etc/conf"), "port 1\n#port 2\nport 22\nend\n");
    }

    #[test]
    fn a_missing_file_is_made_and_an_existing_ones_mode_stays() {
        let bench = Bench::new();
        bench.settles(&spec("a", Some("^b")));
        assert_eq!(
            (bench.read("/etc/conf").as_str(), bench.mode("/etc/conf")),
            ("a\n", 0o644)
        );
        std::fs::set_permissions(
            bench.at("/etc/conf"),
            std::os::unix::fs::PermissionsExt::from_mode(0o600),
        )
        .expect("sets");
        bench.settles(&spec("c", None));
        assert_eq!(bench.mode("/etc/conf"), 0o600);
    }

    #[test]
    fn a_line_its_pattern_does_not_match_is_settled_too() {
        let bench = Bench::new();
        bench.write("/etc/conf", "x=1\nx=2\n");
        bench.settles(&spec("y=1", Some("^x=")));
        assert_eq!(bench.read("/etc/conf"), "x=1\ny=1\n");
    }

    #[test]
    fn bytes_that_are_no_text_survive() {
        let bench = Bench::new();
        std::fs::write(bench.at("/etc/conf"), b"\xff\xfe\nx\n").expect("writes");
        bench.settles(&spec("y", Some("^x$")));
        assert_eq!(
            std::fs::read(bench.at("/etc/conf")).expect("reads"),
            b"\xff\xfe\ny\n"
        );
    }

    #[test]
    fn bad_patterns_are_refused() {
        assert!(spec("a", Some("(")).check().is_err());
        assert!(spec("a\nb", None).check().is_err());
        assert!(spec("a", Some(&"(".repeat(10_000))).check().is_err());
    }

    proptest! {
        #[test]
        fn one_edit_settles_every_file(
            content in "([ab=]{0,3}\n?){0,8}",
            line in "[ab=]{1,3}",
            matches in proptest::option::of(proptest::sample::select(vec!["a", "^a", "b$", "a*", "^=?b", "^$", "[ab]="])),
        ) {
            let spec = spec(&line, matches);
            let mut lines = lines_of(content.as_bytes());
            match spec.edit(&lines).expect("edits") {
                Edit::Nothing => {}
                Edit::Append => lines.push(line.as_bytes()),
                Edit::Replace { index } => lines[index] = line.as_bytes(),
            }
            prop_assert_eq!(spec.edit(&lines).expect("edits"), Edit::Nothing);
        }
    }
}
