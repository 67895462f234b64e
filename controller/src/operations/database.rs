//! The database that the settings name: a file in the data directory, or PostgreSQL.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::OperationError;
use crate::settings::Settings;
use crate::store::{FILE_NAME, PostgresAddress, Store};

/// Where the database is.
pub(super) enum Database {
    /// A file in the data directory.
    File(PathBuf),
    /// PostgreSQL, perhaps shared with other controllers.
    Postgres(Box<PostgresAddress>),
}

impl Database {
    /// The one that the settings name.
    ///
    /// # Errors
    /// What is wrong with the address or the file of its password.
    pub(super) fn of(settings: &Settings, data_dir: &Path) -> Result<Self, OperationError> {
        Self::with_files_in(settings, &[data_dir])
    }

    /// The same, with the file of the password in the first of these folders that has it.
    ///
    /// # Errors
    /// As [`Database::of`].
    pub(super) fn with_files_in(settings: &Settings, folders: &[&Path]) -> Result<Self, OperationError> {
        let place = |path: &Path| {
            let mut places = folders.iter().map(|folder| folder.join(path));
            places
                .find(|path| path.exists())
                .unwrap_or_else(|| folders[0].join(path))
        };
        let Some(address) = &settings.database else {
            return Ok(Self::File(folders[0].join(FILE_NAME)));
        };
        let password = match &settings.database_password_file {
            Some(path) => Some(first_line("the database's password", &place(path))?),
            None => None,
        };
        let password = password.as_ref().map(|password| password.as_str());
        Ok(Self::Postgres(Box::new(PostgresAddress::new(address, password)?)))
    }

    /// Opens it, and brings it up to date.
    ///
    /// # Errors
    /// What the store says.
    pub(super) async fn open(&self) -> Result<Store, OperationError> {
        Ok(match self {
            Self::File(path) => Store::open(path).await?,
            Self::Postgres(address) => Store::connect(address).await?,
        })
    }
}

/// The first line of a file that nobody else may read.
///
/// # Errors
/// When it cannot be read, others may read it, or the line is empty.
pub(super) fn first_line(what: &str, path: &Path) -> Result<Zeroizing<String>, OperationError> {
    let refuse = |reason: String| {
        OperationError::Refused(format!("cannot read {what} in {}: {reason}", path.display()))
    };
    let metadata = fs::metadata(path).map_err(|error| refuse(error.to_string()))?;
    if metadata.mode() & 0o077 != 0 {
        return Err(refuse(format!(
            "others may read it; change that with: chmod 600 {}",
            path.display()
        )));
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?);
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(refuse("its first line is empty".to_owned()));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_password_lies_in_a_file_that_is_its_owners_alone() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("database.password");
        let settings = Settings {
            database: Some("postgres://allmende@db.example.org/allmende".to_owned()),
            database_password_file: Some("database.password".into()),
            ..Settings::default()
        };
        let opened = || match Database::of(&settings, folder.path()) {
            Ok(Database::Postgres(address)) => address.to_string(),
            Ok(Database::File(path)) => path.display().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(opened().contains("database.password"), "{}", opened());
        fs::write(&path, "open-sesame\n").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("loosened");
        assert!(opened().contains("chmod 600"), "{}", opened());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("tightened");
        assert_eq!(opened(), "postgres://allmende@db.example.org/allmende");
        fs::write(&path, "\n").expect("written");
        assert!(opened().contains("first line is empty"), "{}", opened());
    }
}
