//! A file with its content.

use rustix::fs::{FileType, Stat};
use serde::{Deserialize, Serialize};

use crate::atomic::{Candidate, Rights};
use crate::diff;
use crate::error::Error;
use crate::host::Host;
use crate::names;
use crate::place::{Place, kind, kind_shown};
use crate::process::Program;
use crate::resources::rights::{check_rights, compare_rights, new_rights};
use crate::resources::{Difference, Manage};

/// A regular file with its content, owner and mode; replaced as a whole, atomically.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    /// Absolute path.
    pub path: String,
    /// The whole content.
    pub content: String,
    /// Owner.
    #[serde(default = "super::root")]
    pub owner: String,
    /// Group.
    #[serde(default = "super::root")]
    pub group: String,
    /// Permission bits in octal.
    #[serde(default = "mode")]
    pub mode: String,
    /// A program that must end with 0 before the new content takes its place; `{}` stands for the candidate's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate: Option<Vec<String>>,
}

fn mode() -> String {
    "0644".to_owned()
}

impl FileSpec {
    /// Whether the content must not be shown: it holds a secret, or not everybody may read it, now or then. What is
    /// there now may hold an old secret that nobody told us.
    fn is_confidential(&self, host: &Host, found: Option<&Stat>) -> Option<&'static str> {
        let everybody_may_read = |mode: u32| mode & 0o004 != 0;
        if host.masker.is_in(&self.content) {
            return Some("it holds secrets");
        }
        let now = found.is_none_or(|found| everybody_may_read(found.st_mode));
        let then = names::mode(&self.mode).is_ok_and(everybody_may_read);
        (!now || !then).then_some("not everybody may read it")
    }

    fn content_differs(&self, place: &Place, found: &Stat) -> Result<Option<Vec<u8>>, Error> {
        let wanted = self.content.as_bytes();
        let length = u64::try_from(found.st_size).unwrap_or(0);
        let content = place.read(diff::MOST.max(wanted.len() as u64 + 1))?;
        Ok((content != wanted || length != wanted.len() as u64).then_some(content))
    }

    /// The candidate is shown to the validator before it takes its place.
    fn validator(&self, candidate: &str) -> Option<Program> {
        let argv = self.validate.as_ref()?;
        Some(Program::new(
            argv.iter().map(|argument| argument.replace("{}", candidate)),
        ))
    }
}

impl Manage for FileSpec {
    fn check(&self) -> names::Verdict {
        names::path(&self.path)?;
        check_rights(&self.owner, &self.group, &self.mode)?;
        self.validate.as_deref().map_or(Ok(()), names::argv)
    }

    fn subject(&self) -> String {
        self.path.clone()
    }

    fn compare(&self, host: &mut Host) -> Result<Option<Difference>, Error> {
        let place = host.place(&self.path)?;
        let found = match &place {
            Some(place) => place.stat()?,
            None => None,
        };
        let (Some(place), Some(found)) = (place, found) else {
            let content = diff::content(None, &self.content, self.is_confidential(host, None));
            let difference = Difference::create().with(content);
            return Ok(Some(new_rights(difference, &self.owner, &self.group, &self.mode)));
        };
        match kind(&found) {
            FileType::RegularFile => {}
            FileType::Symlink => {
                let from = format!("a symbolic link to {}", place.target()?);
                let difference = Difference::change().becomes("type", Some(&from), "a file of its own");
                let content = diff::content(None, &self.content, self.is_confidential(host, None));
                return Ok(Some(difference.with(content)));
            }
            _ => {
                return Err(Error::obstacle(
                    format!("{} is {}, not a file", self.path, kind_shown(&found)),
                    "look what it is, move it away and apply again",
                ));
            }
        }
        let mut difference = compare_rights(host, &found, &self.owner, &self.group, &self.mode)?;
        if let Some(content) = self.content_differs(&place, &found)? {
            let secret = self.is_confidential(host, Some(&found));
            difference
                .changes
                .insert(0, diff::content(Some(&content), &self.content, secret));
        }
        Ok(difference.if_any())
    }

    fn change(&self, host: &mut Host, difference: &Difference) -> Result<(), Error> {
        let (uid, gid) = host.ids(&self.owner, &self.group)?;
        let mode = names::mode(&self.mode).map_err(Error::Invalid)?;
        let rights = Rights { uid, gid, mode };
        let place = host.place_made(&self.path)?;
        if !difference.is_about("content") {
            return rights.give(place.open_file()?, &place.path);
        }
        let candidate = Candidate::write(&place, self.content.as_bytes(), rights)?;
        let path = host.layout.at(candidate.path());
        if let Some(validator) = self.validator(&path.to_string_lossy()) {
            host.succeed(&validator).map_err(|source| Error::ProgramWith {
                source,
                more: format!(
                    "\nso {} stays as it is; mend the new content and apply again",
                    self.path
                ),
            })?;
        }
        candidate.put(&place)?;
        host.path_changed(&self.path);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::difference::tests::Bench;

    fn spec(content: &str) -> FileSpec {
        FileSpec {
            path: "/etc/app/app.conf".to_owned(),
            content: content.to_owned(),
            owner: "root".to_owned(),
            group: "root".to_owned(),
            mode: "0644".to_owned(),
            validate: None,
        }
    }

    #[test]
    fn it_is_written_and_changed_with_a_diff() {
        let bench = Bench::new();
        bench.settles(&spec("a\nb\n"));
        assert_eq!(bench.read("/etc/app/app.conf"), "a\nb\n");
        let difference = bench.settles(&spec("a\nc\n")).expect("differs");
        let diff = difference
            .changes
            .first()
            .and_then(|change| change.diff.clone())
            .expect("is text");
        assert!(diff.contains("-b\n+c\n"), "{diff}");
    }

    #[test]
    fn only_the_mode_is_changed_when_only_the_mode_differs() {
        let bench = Bench::new();
        bench.settles(&spec("a\n"));
        let before = bench.inode("/etc/app/app.conf");
        bench.settles(&FileSpec {
            mode: "0600".to_owned(),
            ..spec("a\n")
        });
        assert_eq!(
            (bench.inode("/etc/app/app.conf"), bench.mode("/etc/app/app.conf")),
            (before, 0o600)
        );
    }

    #[test]
    fn content_with_a_secret_is_never_shown() {
        let mut bench = Bench::new();
        bench.secrets = vec!["hunter22".to_owned()];
        bench.write("/etc/app/app.conf", "password=older\n");
        let shown = format!("{:?}", bench.settles(&spec("password=hunter22\n")));
        assert!(
            !shown.contains("older") && !shown.contains("hunter") && shown.contains("secrets"),
            "{shown}"
        );
        // Nor what was there, when the new content holds no secret any more but the old file was closed to others.
        bench.settles(&FileSpec {
            mode: "0600".to_owned(),
            ..spec("password=hunter22\n")
        });
        bench.secrets.clear();
        let shown = format!("{:?}", bench.settles(&spec("nothing\n")));
        assert!(!shown.contains("hunter"), "{shown}");
    }

    #[test]
    fn a_validator_that_says_no_leaves_the_old_content() {
        let bench = Bench::new();
        bench.settles(&spec("good\n"));
        let validate = ["grep", "-q", "good", "{}"].map(str::to_owned).to_vec();
        let bad = FileSpec {
            validate: Some(validate.clone()),
            ..spec("bad\n")
        };
        let error = bench.fails(&bad);
        assert!(error.contains("stays as it is"), "{error}");
        assert_eq!(bench.read("/etc/app/app.conf"), "good\n");
        assert_eq!(std::fs::read_dir(bench.at("/etc/app")).expect("reads").count(), 1);
        bench.settles(&FileSpec {
            validate: Some(validate),
            ..spec("good too\n")
        });
    }

    #[test]
    fn a_link_in_its_place_is_replaced_with_a_note() {
        let bench = Bench::new();
        bench.write("/etc/precious", "same\n");
        bench.link("/etc/app/app.conf", "/etc/precious");
        let difference = bench.settles(&spec("same\n")).expect("differs");
        assert!(
            difference
                .described()
                .starts_with("type is a symbolic link to /etc/precious")
        );
        assert_eq!(bench.read("/etc/precious"), "same\n");
    }

    #[test]
    fn a_directory_in_its_place_is_refused() {
        let bench = Bench::new();
        bench.folder("/etc/app/app.conf");
        assert!(bench.fails(&spec("x")).contains("is a directory, not a file"));
    }

    #[test]
    fn an_empty_and_a_binary_file_are_no_trouble() {
        let bench = Bench::new();
        bench.settles(&spec(""));
        std::fs::write(bench.at("/etc/app/app.conf"), b"\0\xff").expect("writes");
        assert!(format!("{:?}", bench.settles(&spec("text"))).contains("binary"));
    }
}
