//! From a backup and what a service's template says of it to what its host is asked for. Commands are built here and run
//! elsewhere.

use allmende_agent::protocol::{DrillOrder, DumpBack, EngineCall, PathBack, Proof, RestoreOrder};

use super::engine::dump_path;
use super::order::{call, source, steps};
use crate::catalogue::{Backup as Wanted, Care};
use crate::model::{Backup, Part, Secret, Snapshot};

/// What of a backup comes back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// These files and folders.
    pub paths: Vec<String>,
    /// These dumps.
    pub dumps: Vec<String>,
    /// Into this folder, beside; else each in its place.
    pub into: Option<String>,
}

impl Selection {
    /// Everything that the template backs up.
    pub fn everything(wanted: &Wanted) -> Self {
        Self {
            paths: wanted.paths.clone(),
            dumps: wanted.dumps.iter().map(|dump| dump.id.clone()).collect(),
            into: None,
        }
    }

    /// Only these files and folders.
    ///
    /// # Errors
    /// A path that the template does not back up.
    pub fn of_paths(wanted: &Wanted, paths: &[String]) -> Result<Self, String> {
        let kept = |path: &String| {
            let path = std::path::Path::new(path);
            wanted.paths.iter().any(|kept| path.starts_with(kept))
        };
        match paths.iter().find(|path| !kept(path)) {
            None => Ok(Self {
                paths: paths.to_vec(),
                ..Self::default()
            }),
            Some(strange) => Err(format!(
                "{strange} is not backed up; backed up are {}",
                wanted.paths.join(", ")
            )),
        }
    }
}

/// A way back from one backup.
#[derive(Debug)]
pub struct WayBack<'a> {
    /// The backup.
    pub backup: &'a Backup,
    /// Its snapshots in the repository that is read.
    pub snapshots: &'a [Snapshot],
    /// What the service's template says, with its secrets.
    pub care: &'a Care,
    /// What it says of backups.
    pub wanted: &'a Wanted,
    /// What the run is called on the host; bridges are called after it.
    pub run: &'a str,
    /// The repository's password.
    pub password: &'a Secret,
    /// Values that nobody may see.
    pub secrets: Vec<String>,
}

impl WayBack<'_> {
    /// What the host is asked for to restore `selection` of the service that it calls `instance`.
    ///
    /// # Errors
    /// Something that the backup does not hold.
    pub fn restore(self, instance: String, selection: &Selection) -> Result<RestoreOrder, String> {
        let mut paths = Vec::new();
        for path in &selection.paths {
            let arguments = ["--include".to_owned(), pattern(path)];
            paths.push(PathBack {
                path: path.clone(),
                engine: self.files(paths.len(), arguments)?,
            });
        }
        let dumps = self.dumps(paths.len(), |id| {
            selection.dumps.iter().any(|wanted| wanted == id)
        })?;
        if let Some(lost) = selection
            .dumps
            .iter()
            .find(|id| dumps.iter().all(|dump| dump.id != **id))
        {
            return Err(format!("{lost} is no dump of the template"));
        }
        let whole = selection.paths == self.wanted.paths;
        Ok(RestoreOrder {
            service: instance,
            into: selection.into.clone(),
            before: steps(&self.care.restore.before),
            after: steps(&self.care.restore.after),
            paths,
            dumps,
            bytes: if whole { self.backup.bytes.0 } else { 0 },
            owners: self.proof().owners,
            secrets: self.secrets,
        })
    }

    /// What the host is asked for to make a drill.
    ///
    /// # Errors
    /// Something that the backup does not hold.
    pub fn drill(self) -> Result<DrillOrder, String> {
        let files = match self.wanted.paths.is_empty() {
            true => None,
            false => Some(self.files(0, [])?),
        };
        Ok(DrillOrder {
            files,
            bytes: self.backup.bytes.0,
            dumps: self.dumps(1, |_| true)?,
            proof: self.proof(),
            secrets: self.secrets,
        })
    }

    fn files(
        &self,
        number: usize,
        arguments: impl IntoIterator<Item = String>,
    ) -> Result<EngineCall, String> {
        let restore = [
            "restore".to_owned(),
            "--json".to_owned(),
            self.snapshot(&Part::Files)?,
        ];
        Ok(self.call(number, restore.into_iter().chain(arguments).collect()))
    }

    fn dumps(&self, first: usize, wanted: impl Fn(&str) -> bool) -> Result<Vec<DumpBack>, String> {
        let dumps = self
            .wanted
            .dumps
            .iter()
            .filter(|dump| wanted(&dump.id))
            .enumerate();
        dumps
            .map(|(number, dump)| {
                let snapshot = self.snapshot(&Part::Dump(dump.id.clone()))?;
                let arguments = vec!["dump".to_owned(), snapshot, dump_path(&dump.id)];
                Ok(DumpBack {
                    id: dump.id.clone(),
                    engine: self.call(first + number, arguments),
                    to: source(&dump.source),
                    bytes: 0,
                })
            })
            .collect()
    }

    fn call(&self, number: usize, arguments: Vec<String>) -> EngineCall {
        call(self.run, number, self.password, arguments)
    }

    fn snapshot(&self, part: &Part) -> Result<String, String> {
        let found = self
            .snapshots
            .iter()
            .find(|snapshot| snapshot.part == *part && snapshot.removed_at.is_none());
        found.map(|snapshot| snapshot.id.clone()).ok_or_else(|| {
            format!(
                "backup {} holds no {part}; choose another one with --snapshot",
                self.backup.id
            )
        })
    }

    fn proof(&self) -> Proof {
        let proof = self.backup.proof.clone().unwrap_or_default();
        serde_json::from_value(proof).unwrap_or_default()
    }
}

/// A path as one of restic's patterns, in which it stands for itself.
fn pattern(path: &str) -> String {
    let mut pattern = String::new();
    for letter in path.chars() {
        if "\\*?[".contains(letter) {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stands_for_itself_whatever_letters_it_has() {
        assert_eq!(pattern("/srv/wiki/data"), "/srv/wiki/data");
        assert_eq!(pattern("/srv/a*[b]?\\c"), "/srv/a\\*\\[b]\\?\\\\c");
    }

    #[test]
    fn only_what_is_backed_up_can_come_back() {
        let wanted: Wanted =
            serde_json::from_value(serde_json::json!({ "paths": ["/srv/wiki/data"] })).expect("reads");
        let of = |path: &str| Selection::of_paths(&wanted, &[path.to_owned()]);
        assert!(of("/srv/wiki/data/pages/start.txt").is_ok() && of("/srv/wiki/data").is_ok());
        for strange in ["/etc/shadow", "/srv/wiki", "/srv/wiki/data2"] {
            let why = of(strange).expect_err(strange);
            assert!(
                why.contains("is not backed up; backed up are /srv/wiki/data"),
                "{why}"
            );
        }
    }
}
