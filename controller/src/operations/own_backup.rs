//! Copies of Allmende's own data.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::database::{Database, first_line};
use super::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::backup::own::{self, Contents, Manifest, OwnBackups, OwnCopy, OwnFile};
use crate::model::{Actor, JobEventKind, Outcome, Secret};
use crate::settings::{self, SelfBackup, Settings};
use crate::store::{AuditPhase, AuditRecord, FILE_NAME, Store};

/// The fewest characters of a passphrase: it stands between the copy and whoever finds it.
pub const SHORTEST_PASSPHRASE: usize = 12;

/// Copies Allmende's own data into a file that a passphrase opens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BackUpController {
    /// The file; without one, a new one in the folder of the settings.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// The passphrase for such a file; without one, that of the settings.
    #[serde(skip)]
    pub passphrase: Option<Secret>,
}

impl BackUpController {
    /// The settings, for whoever leaves the file or the passphrase to them.
    fn settings(controller: &Controller) -> Result<&SelfBackup, OperationError> {
        controller.settings.self_backup.as_ref().ok_or_else(|| {
            OperationError::Refused(
                "nothing says where the copy of Allmende's own data goes: name a file, or write [self_backup] into allmende.toml (docs/controller-backup.md)".to_owned(),
            )
        })
    }

    fn file(&self, controller: &Controller) -> Result<PathBuf, OperationError> {
        match &self.file {
            Some(file) => Ok(file.clone()),
            None => Ok(OwnBackups(&Self::settings(controller)?.folder).at(Timestamp::now())),
        }
    }

    fn passphrase(&self, controller: &Controller) -> Result<Secret, OperationError> {
        match &self.passphrase {
            Some(passphrase) => check_passphrase(passphrase.clone()),
            None => {
                let path = &Self::settings(controller)?.passphrase_file;
                passphrase_in(&controller.data_dir.join(path))
            }
        }
    }
}

/// The passphrase in a file that nobody else may read.
///
/// # Errors
/// When it cannot be read, others may read it, or it is too short.
pub fn passphrase_in(path: &Path) -> Result<Secret, OperationError> {
    check_passphrase(Secret::new(first_line("the passphrase", path)?.to_string()))
}

/// A new passphrase, unless it is too short.
///
/// # Errors
/// When it is.
pub fn check_passphrase(passphrase: Secret) -> Result<Secret, OperationError> {
    if passphrase.reveal().chars().count() < SHORTEST_PASSPHRASE {
        return Err(OperationError::Refused(format!(
            "the passphrase must have at least {SHORTEST_PASSPHRASE} characters: take four or five words that have nothing to do with one another"
        )));
    }
    Ok(passphrase)
}

impl Operation for BackUpController {
    const NAME: &'static str = "controller.backup";
    const RISK: Risk = Risk::Safe;
    const REPEATABLE: bool = true;

    fn title(&self) -> String {
        "back up Allmende's own data".to_owned()
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        self.file(controller)?;
        Ok(Scope::default())
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        self.passphrase(controller)?;
        let contents = Contents::of(&controller.data_dir, &controller.settings)?;
        let files = contents.files.iter().map(|file| file.path.display().to_string());
        let files: Vec<String> = files.collect();
        Ok(Preview::of([format!(
            "The database and {} would be copied to {}",
            files.join(", "),
            self.file(controller)?.display()
        )]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let file = self.file(controller)?;
        let passphrase = self.passphrase(controller)?;
        let contents = Contents::of(&controller.data_dir, &controller.settings)?;
        for path in &contents.left_out {
            context.notify(JobEventKind::Warning {
                text: format!(
                    "{} is not in the copy, because it lies outside {}.",
                    path.display(),
                    controller.data_dir.display()
                ),
            });
        }
        let written = own::write(&file, &passphrase, &controller.store, &contents).await?;
        if let (None, Some(own)) = (&self.file, &controller.settings.self_backup) {
            OwnBackups(&own.folder).keep(own.keep)?;
        }
        Ok(Outcome {
            message: format!(
                "Allmende's own data are in {} ({} kB, {} rows). Only the passphrase opens it: keep that somewhere else.",
                file.display(),
                written.bytes.div_ceil(1000),
                written.rows
            ),
            changed: true,
            ..Outcome::default()
        })
    }
}

/// What came back from a copy.
#[derive(Debug)]
pub struct Restored {
    /// What the copy says of itself.
    pub manifest: Manifest,
    /// How many organisations, hosts and services there are.
    pub counts: [u64; 3],
    /// The database, for people.
    pub database: String,
}

/// Where a copy that was looked at goes, once somebody wants it.
pub struct Restoration {
    copy: OwnCopy,
    settings: Settings,
    data_dir: PathBuf,
}

/// Files of a data directory that are being brought back lie here until all of them are there.
const STAGING: &str = ".restoring";

impl Restoration {
    /// Looks at a copy and at the place where it shall go, and changes nothing. Settings that are in the directory already count
    /// instead of those in the copy: so the data can go into another database.
    ///
    /// # Errors
    /// What is wrong with the copy, or a directory that is not empty.
    pub fn prepare(data_dir: &Path, file: &Path, passphrase: &Secret) -> Result<Self, OperationError> {
        let given = data_dir.join(settings::FILE).exists();
        let kept = if given {
            Some(Settings::load(data_dir)?)
        } else {
            None
        };
        refuse_furnished(data_dir, kept.as_ref())?;
        let mut copy = own::read(file, passphrase)?;
        let settings = match kept {
            Some(settings) => {
                let named: Vec<&Path> = settings.files().collect();
                let there = |file: &OwnFile| {
                    file.path == Path::new(settings::FILE)
                        || (named.contains(&file.path.as_path()) && data_dir.join(&file.path).exists())
                };
                copy.files.retain(|file| !there(file));
                settings
            }
            None => settings_in(&copy, file)?,
        };
        Ok(Self {
            copy,
            settings,
            data_dir: data_dir.to_owned(),
        })
    }

    /// What the copy says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.copy.manifest
    }

    /// Brings everything back, or nothing, and writes into the audit log that it did.
    ///
    /// # Errors
    /// A database that is not empty, or what the system says.
    pub async fn run(self, actor: &Actor, file: &Path) -> Result<Restored, OperationError> {
        let staging = self.data_dir.join(STAGING);
        let failed = |error: std::io::Error| {
            OperationError::Refused(format!("cannot write into {}: {error}", self.data_dir.display()))
        };
        match fs::remove_dir_all(&staging) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let mut folders = fs::DirBuilder::new();
        folders.recursive(true).mode(0o700);
        folders.create(&staging).map_err(failed)?;
        for file in &self.copy.files {
            let path = staging.join(&file.path);
            folders
                .create(path.parent().unwrap_or(&staging))
                .map_err(failed)?;
            put(&path, &file.content).map_err(failed)?;
        }
        // The password of the database is among the files, or in the directory already.
        let database = Database::with_files_in(&self.settings, &[&staging, &self.data_dir])?;
        let filled = async {
            let store = match &database {
                Database::File(_) => Store::open_as_it_is(&staging.join(FILE_NAME)).await?,
                Database::Postgres(address) => Store::connect_as_it_is(address).await?,
            };
            let filled = self.copy.fill(&store).await;
            store.close().await;
            filled
        };
        if let Err(error) = filled.await {
            // What matters is why it was not filled.
            let _ = fs::remove_dir_all(&staging);
            return Err(error.into());
        }
        // The database comes last: without it nothing else is used.
        let mut names: Vec<_> = fs::read_dir(&staging)
            .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect())
            .map_err(failed)?;
        names.sort_by_key(|name| name == FILE_NAME);
        for name in names {
            fs::rename(staging.join(&name), self.data_dir.join(&name)).map_err(failed)?;
        }
        fs::remove_dir(&staging).map_err(failed)?;
        fs::File::open(&self.data_dir)
            .and_then(|folder| folder.sync_all())
            .map_err(failed)?;
        let controller = Controller::open(&self.data_dir, &[]).await?;
        let made_at = self.copy.manifest.made_at;
        let parameters = serde_json::json!({ "file": file, "made_at": made_at });
        let record = AuditRecord {
            actor: &actor.name,
            operation: "controller.restore",
            parameters: &parameters,
            phase: AuditPhase::Succeeded,
            job: None,
            message: "Allmende's own data were brought back from a copy",
        };
        controller.store.audit().append(record).await?;
        let count = |table: &str| self.copy.rows.get(table).copied().unwrap_or(0);
        Ok(Restored {
            counts: ["organisations", "hosts", "services"].map(count),
            database: controller.store.place().to_owned(),
            manifest: self.copy.manifest,
        })
    }
}

/// Refuses a directory in which there is more than settings and the files that they name.
fn refuse_furnished(data_dir: &Path, settings: Option<&Settings>) -> Result<(), OperationError> {
    let entries = match fs::read_dir(data_dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| {
            OperationError::Refused(format!("cannot read {}: {error}", data_dir.display()))
        })?,
    };
    let named: Vec<PathBuf> = settings
        .into_iter()
        .flat_map(Settings::files)
        .map(|path| data_dir.join(path))
        .collect();
    for entry in entries.flatten() {
        let path = entry.path();
        let expected = [settings::FILE, STAGING].iter().any(|name| path.ends_with(name));
        if !expected && !named.iter().any(|named| named.starts_with(&path)) {
            return Err(OperationError::Refused(format!(
                "{} is not empty: there is {}. A copy is only brought back into an empty directory; give another --data-dir, or move what is there away",
                data_dir.display(),
                entry.file_name().to_string_lossy()
            )));
        }
    }
    Ok(())
}

/// The settings in a copy.
fn settings_in(copy: &OwnCopy, path: &Path) -> Result<Settings, OperationError> {
    let file = copy
        .files
        .iter()
        .find(|file| file.path == Path::new(settings::FILE));
    let Some(file) = file else {
        return Ok(Settings::default());
    };
    let text = String::from_utf8_lossy(&file.content);
    Ok(Settings::parse(&text, path)?)
}

fn put(path: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}
