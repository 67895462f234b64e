//! A restored copy held against what the backup wrote down, and the damage that such a comparison has to notice.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::databases::Database;
use crate::blobs::sha256_of;
use crate::error::{Attempt, Error};
use crate::host::Host;
use crate::protocol::{DrillFinding, Proof};

/// Where a copy is.
pub(super) struct Copy {
    /// The folder that stands for `/`.
    pub(super) files: PathBuf,
    /// Databases, by the part that they come from.
    pub(super) databases: Vec<(String, Database)>,
}

impl Copy {
    /// Where a file of the copy is. A link in it could lead to what is in use.
    fn file(&self, path: &str) -> Result<PathBuf, Error> {
        let place = self.files.join(path.strip_prefix('/').unwrap_or(path));
        let of = |path: &Path| fs::canonicalize(path).attempt("finding", path);
        let file = of(&place)?;
        if file.starts_with(of(&self.files)?) {
            return Ok(file);
        }
        Err(Error::obstacle(
            format!("a link leads out of the copy: {path}"),
            "back up what it leads to",
        ))
    }

    fn hash(&self, path: &str) -> Result<String, Error> {
        let file = self.file(path)?;
        sha256_of(&file).attempt("reading", &file)
    }

    /// Compares all that the backup wrote down.
    pub(super) fn compare(&self, host: &mut Host, proof: &Proof) -> Vec<DrillFinding> {
        let mut findings = Vec::new();
        for counted in &proof.counts {
            let (least, most) = (
                counted.before.min(counted.after),
                counted.before.max(counted.after),
            );
            let database = self.databases.iter().find(|(part, _)| *part == counted.part);
            let found = match database {
                Some((_, database)) => database
                    .count(host, &counted.query)
                    .unwrap_or_else(|error| error.to_string()),
                None => "no such dump".to_owned(),
            };
            findings.push(DrillFinding {
                what: counted.query.clone(),
                expected: if least == most {
                    least.to_string()
                } else {
                    format!("{least} to {most}")
                },
                fits: found
                    .parse::<i64>()
                    .is_ok_and(|found| (least..=most).contains(&found)),
                found,
            });
        }
        for hashed in &proof.sample {
            let found = self.hash(&hashed.path).unwrap_or_else(|error| error.to_string());
            findings.push(DrillFinding {
                what: hashed.path.clone(),
                expected: hashed.sha256.clone(),
                fits: found == hashed.sha256,
                found,
            });
        }
        findings
    }

    /// Changes a sampled file and takes the rows out of each database that was counted. Says what it did.
    pub(super) fn damage(&self, host: &mut Host, proof: &Proof) -> Result<Vec<String>, Error> {
        let mut damaged = Vec::new();
        if let Some(hashed) = proof.sample.first() {
            append(&self.file(&hashed.path)?)?;
            damaged.push(hashed.path.clone());
        }
        for (part, database) in &self.databases {
            if proof.counts.iter().any(|counted| counted.part == *part) {
                database.empty(host)?;
                damaged.push(part.clone());
            }
        }
        Ok(damaged)
    }
}

/// Whether the comparison after the damage noticed all that it had to. A count of nothing cannot become less.
pub(super) fn noticed(proof: &Proof, findings: &[DrillFinding]) -> bool {
    let missed = |what: &str| {
        findings
            .iter()
            .any(|finding| finding.what == what && finding.fits)
    };
    let file = proof.sample.first().is_none_or(|hashed| !missed(&hashed.path));
    let rows = proof
        .counts
        .iter()
        .filter(|counted| counted.before.min(counted.after) > 0)
        .all(|counted| !missed(&counted.query));
    file && rows
}

/// Whether there is anything that a copy could be measured by, and damage be seen in.
pub(super) fn proves_something(proof: &Proof) -> bool {
    !proof.sample.is_empty()
        || proof
            .counts
            .iter()
            .any(|counted| counted.before.min(counted.after) > 0)
}

fn append(path: &Path) -> Result<(), Error> {
    let mut file = OpenOptions::new()
        .append(true)
        .open(path)
        .attempt("damaging", path)?;
    file.write_all(b"damaged").attempt("damaging", path)
}

/// The bytes of all files below a folder.
pub(super) fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_below(&entry.path()),
            Ok(found) if found.is_file() => found.len(),
            _ => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Intent;
    use crate::layout::Layout;
    use crate::protocol::{Counted, HashedFile};

    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    fn proof() -> Proof {
        Proof {
            sample: vec![HashedFile {
                path: "/srv/page".to_owned(),
                size: 5,
                sha256: HELLO.to_owned(),
            }],
            ..Proof::default()
        }
    }

    #[test]
    fn a_damaged_file_is_noticed_and_so_is_one_that_is_missing() {
        let root = tempfile::tempdir().expect("temporary directory");
        let mut host = Host::new(Layout::below(root.path()), Intent::Apply, Box::new(|_| ()));
        let copy = Copy {
            files: root.path().join("copy"),
            databases: Vec::new(),
        };
        fs::create_dir_all(root.path().join("copy/srv")).expect("makes");
        fs::write(root.path().join("copy/srv/page"), "hello").expect("writes");
        let findings = copy.compare(&mut host, &proof());
        assert!(
            findings.len() == 1 && findings.iter().all(|finding| finding.fits),
            "{findings:?}"
        );
        assert!(!noticed(&proof(), &findings));
        assert_eq!(copy.damage(&mut host, &proof()).expect("damages"), ["/srv/page"]);
        let findings = copy.compare(&mut host, &proof());
        assert!(noticed(&proof(), &findings), "{findings:?}");
        fs::remove_file(root.path().join("copy/srv/page")).expect("removes");
        assert!(
            copy.compare(&mut host, &proof())
                .iter()
                .all(|finding| !finding.fits)
        );
    }

    #[test]
    fn a_proof_of_nothing_proves_nothing() {
        let counted = |before, after| Proof {
            counts: vec![Counted {
                part: "dump:database".to_owned(),
                query: "SELECT 1".to_owned(),
                before,
                after,
            }],
            ..Proof::default()
        };
        assert!(!proves_something(&Proof::default()) && !proves_something(&counted(0, 3)));
        assert!(proves_something(&counted(3, 3)) && proves_something(&proof()));
    }
}
