//! Settings: `allmende.toml` in the data directory, every one with a default.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The file's name in the data directory.
pub const FILE: &str = "allmende.toml";

/// What a person may decide about the program itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Folders with further service templates, one folder a template. A template there wins over one of the same name that
    /// comes with the program.
    pub templates: Vec<PathBuf>,
    /// Where the database is when several controllers share it: `postgres://user@host/database`. Without it, it is a file in the
    /// data directory.
    pub database: Option<String>,
    /// The file with the password for it, in the data directory if its path does not begin with `/`; its owner's alone.
    pub database_password_file: Option<PathBuf>,
    /// How many hosts are worked on at the same time.
    pub parallel_hosts: usize,
    /// The address and port on this machine where a server answers `/healthz` and `/metrics`.
    pub listen: SocketAddr,
    /// How many minutes lie between two looks at whether a host is as it was set up.
    pub drift_minutes: u32,
    /// After how many days ended jobs are forgotten; the audit log keeps who asked for them.
    pub keep_jobs_days: u32,
    /// For how many days every answer of a check is kept.
    pub keep_answers_days: u32,
    /// For how many days the answers of a check are kept summed up by the hour.
    pub keep_hours_days: u32,
    /// For how many days they are kept summed up by the day, and incidents after they were over.
    pub keep_history_days: u32,
    /// The dead-man's switch.
    pub deadman: Deadman,
    /// Where copies of Allmende's own data go; without it, only where somebody asks for one.
    pub self_backup: Option<SelfBackup>,
}

/// Where copies of Allmende's own data go. See `docs/controller-backup.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfBackup {
    /// The folder: another disk, or something that is mounted; not where the data are.
    pub folder: PathBuf,
    /// How many copies are kept there; the oldest go first.
    #[serde(default = "SelfBackup::keep")]
    pub keep: usize,
    /// The file whose first line is the passphrase, in the data directory if its path does not begin with `/`; its owner's alone.
    pub passphrase_file: PathBuf,
}

impl SelfBackup {
    fn keep() -> usize {
        14
    }
}

/// The dead-man's switch: what tells people that the controller itself is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Deadman {
    /// An address that is called every minute, at a service that tells somebody when the calls stop, such as Healthchecks.
    pub url: Option<String>,
    /// After how many minutes of being away the people who are marked for it are told, once the controller is back.
    pub away_minutes: u32,
}

impl Default for Deadman {
    fn default() -> Self {
        Self {
            url: None,
            away_minutes: 10,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            templates: Vec::new(),
            database: None,
            database_password_file: None,
            parallel_hosts: 8,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9425)),
            drift_minutes: 360,
            keep_jobs_days: 180,
            keep_answers_days: 3,
            keep_hours_days: 30,
            keep_history_days: 800,
            deadman: Deadman::default(),
            self_backup: None,
        }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the settings in {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file says something that is no setting.
    #[error("the settings in {path} are wrong; correct them or remove the line:\n{problem}")]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Where and what.
        problem: String,
    },
}

impl Settings {
    /// Reads the settings of a data directory; without a file, all have their defaults.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn load(data_dir: &Path) -> Result<Self, SettingsError> {
        let path = data_dir.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(SettingsError::Unreadable { path, source }),
        };
        Self::parse(&text, &path)
    }

    /// Reads settings from the text of the file at `path`.
    ///
    /// # Errors
    /// [`SettingsError::Wrong`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, SettingsError> {
        // What is wrong is shown with its line, in which somebody may have written a password.
        let wrong = |problem: String| SettingsError::Wrong {
            path: path.to_owned(),
            problem: without_passwords(&problem),
        };
        let settings: Self = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if settings.parallel_hosts == 0 {
            return Err(wrong("parallel_hosts must be at least 1".to_owned()));
        }
        if settings.drift_minutes == 0 {
            return Err(wrong("drift_minutes must be at least 1".to_owned()));
        }
        if !settings.listen.ip().is_loopback() {
            return Err(wrong(format!(
                "listen = \"{}\" is no address of this machine alone: take 127.0.0.1 or [::1] with a port",
                settings.listen
            )));
        }
        if settings.database.is_none() && settings.database_password_file.is_some() {
            return Err(wrong(
                "database_password_file is of no use without database".to_owned(),
            ));
        }
        if settings.self_backup.as_ref().is_some_and(|own| own.keep == 0) {
            return Err(wrong("self_backup.keep must be at least 1".to_owned()));
        }
        if settings.deadman.away_minutes < 2 {
            return Err(wrong(
                "deadman.away_minutes must be at least 2: the heart beats once a minute".to_owned(),
            ));
        }
        Ok(settings)
    }

    /// What the settings name and what they are of no use without.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let passphrase = self.self_backup.as_ref().map(|own| &own.passphrase_file);
        self.templates
            .iter()
            .chain(&self.database_password_file)
            .chain(passphrase)
            .map(PathBuf::as_path)
    }
}

/// The text without what stands between user and host in addresses, as in `postgres://user:password@host`.
fn without_passwords(text: &str) -> String {
    let mut rest = text;
    let mut shown = String::with_capacity(text.len());
    while let Some(begin) = rest.find("://") {
        let (before, address) = rest.split_at(begin + "://".len());
        shown.push_str(before);
        // A password may hold anything; the last @ before the end of the line comes after it.
        let line = address.lines().next().unwrap_or_default();
        let end = line.rfind('@').unwrap_or_default();
        match line[..end].split_once(':') {
            Some((user, _)) => {
                shown.push_str(user);
                shown.push_str(":•••");
            }
            None => shown.push_str(&line[..end]),
        }
        rest = &address[end..];
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_default_and_unknown_ones_are_refused() {
        let folder = tempfile::TempDir::new().expect("a folder");
        assert_eq!(Settings::load(folder.path()).expect("loads"), Settings::default());
        let write = |text| std::fs::write(folder.path().join(FILE), text).expect("written");
        write("parallel_hosts = 3\n");
        assert_eq!(Settings::load(folder.path()).expect("loads").parallel_hosts, 3);
        write("paralel_hosts = 3\n");
        let error = Settings::load(folder.path()).expect_err("refused").to_string();
        assert!(error.contains("paralel_hosts"), "{error}");
        write("listen = \"0.0.0.0:9425\"\n");
        let error = Settings::load(folder.path()).expect_err("refused").to_string();
        assert!(error.contains("127.0.0.1"), "{error}");
        for bad in [
            "parallel_hosts = 0\n",
            "[deadman]\naway_minutes = 1\n",
            "[self_backup]\nfolder = \"/mnt\"\n",
            "[self_backup]\nfolder = \"/mnt\"\npassphrase_file = \"p\"\nkeep = 0\n",
        ] {
            write(bad);
            assert!(Settings::load(folder.path()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_not_repeated_in_errors() {
        let folder = tempfile::TempDir::new().expect("a folder");
        for text in [
            "database = \"postgres://allmende:open-sesame@db.example.org/allmende\nparallel_hosts = 3\n",
            "datbase = \"postgres://allmende:open@-sesame@db.example.org/allmende\"\n",
            "database = [\"postgres://allmende:open-sesame@db.example.org/allmende\"]\n",
        ] {
            std::fs::write(folder.path().join(FILE), text).expect("written");
            let error = Settings::load(folder.path()).expect_err("refused").to_string();
            assert!(!error.contains("sesame"), "{error}");
            assert!(error.contains("@db.example.org/allmende"), "{error}");
        }
        assert_eq!(
            without_passwords("see http://one.example/a:b\nor postgres://u@h/d"),
            "see http://one.example/a:b\nor postgres://u@h/d"
        );
    }
}
