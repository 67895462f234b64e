//! Reading a copy: all of it is looked at before anything of it is used.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::{FORMAT, MANIFEST, Manifest, OwnBackupError, OwnFile};
use crate::model::Secret;
use crate::store::{Cell, Store, Table};
use crate::vault::{KEY_FILE, OpeningReader, SealedFileError, Vault};

/// The largest entry that is read: a few times what is written.
const LARGEST: u64 = 256 << 20;

/// A copy that was read to its end and is whole.
pub struct OwnCopy {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Its files.
    pub files: Vec<OwnFile>,
    /// How many rows each table has.
    pub rows: BTreeMap<String, u64>,
    path: PathBuf,
    passphrase: Secret,
}

/// Part of a table.
struct Part {
    table: Table,
    rows: Vec<Vec<Cell>>,
}

/// Reads a copy and looks whether all of it is there and fits together.
///
/// # Errors
/// See [`OwnBackupError`].
pub fn read(path: &Path, passphrase: &Secret) -> Result<OwnCopy, OwnBackupError> {
    // First the seal alone: what is wrong with the file is then told from what is wrong in it.
    let mut plain = open(path, passphrase)?;
    io::copy(&mut plain, &mut io::sink()).map_err(|error| OwnBackupError::Closed {
        path: path.to_owned(),
        problem: SealedFileError::of_reading(error),
    })?;
    let mut manifest = None;
    let mut files = Vec::new();
    let mut rows: BTreeMap<String, u64> = BTreeMap::new();
    let mut controller_key = None;
    let mut archive = unpacking(path, passphrase)?;
    for entry in archive.entries().map_err(|error| nonsense(path, error))? {
        let (name, content) = content(path, entry)?;
        if manifest.is_none() {
            manifest = Some(manifest_in(path, &name, &content)?);
        } else if let Some(file) = name.strip_prefix("files/") {
            let file = PathBuf::from(file);
            if !file.components().all(|part| matches!(part, Component::Normal(_))) {
                return Err(nonsense(path, format!("a file called {}", file.display())));
            }
            files.push(OwnFile { path: file, content });
        } else {
            let part = part_in(path, &name, &content)?;
            if part.table.table == "vault_keys" {
                controller_key = sealed_key(&part).or(controller_key);
            }
            *rows.entry(part.table.table).or_default() += part.rows.len() as u64;
        }
    }
    let manifest = manifest.ok_or_else(|| nonsense(path, "it is empty"))?;
    let key = files.iter().find(|file| file.path == Path::new(KEY_FILE));
    let key = key.and_then(|key| String::from_utf8(key.content.to_vec()).ok());
    let key = Secret::new(key.ok_or_else(|| nonsense(path, "the key to the secrets is missing"))?);
    if !controller_key.is_some_and(|sealed| Vault::fits(&key, &sealed)) {
        return Err(nonsense(path, "the key to the secrets does not fit the database"));
    }
    Ok(OwnCopy {
        manifest,
        files,
        rows,
        path: path.to_owned(),
        passphrase: passphrase.clone(),
    })
}

impl OwnCopy {
    /// Puts the rows into an empty database: all of them or, when anything is wrong, none.
    ///
    /// # Errors
    /// See [`OwnBackupError`].
    pub async fn fill(&self, store: &Store) -> Result<(), OwnBackupError> {
        let mut archive = unpacking(&self.path, &self.passphrase)?;
        let mut filling = store.fill(self.manifest.migration).await?;
        for entry in archive.entries().map_err(|error| nonsense(&self.path, error))? {
            let (name, content) = content(&self.path, entry)?;
            if name == MANIFEST || name.starts_with("files/") {
                continue;
            }
            let part = part_in(&self.path, &name, &content)?;
            let table = filling.table(&part.table).await?;
            for row in part.rows {
                filling.row(&table, row).await?;
            }
            filling.count_on(&part.table).await?;
        }
        Ok(filling.finish().await?)
    }
}

fn open(path: &Path, passphrase: &Secret) -> Result<OpeningReader<BufReader<File>>, OwnBackupError> {
    let file = File::open(path).map_err(|source| OwnBackupError::File {
        what: "read",
        path: path.to_owned(),
        source,
    })?;
    OpeningReader::new(BufReader::new(file), passphrase).map_err(|problem| OwnBackupError::Closed {
        path: path.to_owned(),
        problem,
    })
}

type Unpacking = tar::Archive<GzDecoder<OpeningReader<BufReader<File>>>>;

fn unpacking(path: &Path, passphrase: &Secret) -> Result<Unpacking, OwnBackupError> {
    Ok(tar::Archive::new(GzDecoder::new(open(path, passphrase)?)))
}

/// An entry's name and content.
fn content(
    path: &Path,
    entry: io::Result<tar::Entry<'_, impl Read>>,
) -> Result<(String, Zeroizing<Vec<u8>>), OwnBackupError> {
    let wrong = |error: io::Error| nonsense(path, error);
    let entry = entry.map_err(wrong)?;
    let name = entry.path().map_err(wrong)?.to_string_lossy().into_owned();
    if entry.size() > LARGEST {
        return Err(nonsense(path, format!("{name} is too large")));
    }
    let mut content = Zeroizing::new(Vec::new());
    entry.take(LARGEST).read_to_end(&mut content).map_err(wrong)?;
    Ok((name, content))
}

fn manifest_in(path: &Path, name: &str, content: &[u8]) -> Result<Manifest, OwnBackupError> {
    #[derive(serde::Deserialize)]
    struct Version {
        format: u32,
        allmende: String,
    }
    if name != MANIFEST {
        return Err(nonsense(path, format!("it begins with {name}")));
    }
    let newer = |version: String| OwnBackupError::Newer {
        path: path.to_owned(),
        version,
    };
    let Version { format, allmende } = json(path, content)?;
    if format > FORMAT {
        return Err(newer(allmende));
    }
    let manifest: Manifest = json(path, content)?;
    if manifest.migration > Store::newest_migration() {
        return Err(newer(allmende));
    }
    Ok(manifest)
}

fn part_in(path: &Path, name: &str, content: &[u8]) -> Result<Part, OwnBackupError> {
    if !name.starts_with("tables/") {
        return Err(nonsense(path, format!("nobody knows what {name} is")));
    }
    let mut lines = content
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let table = json(path, lines.next().unwrap_or_default())?;
    let rows = lines.map(|line| json(path, line)).collect::<Result<_, _>>()?;
    Ok(Part { table, rows })
}

/// The sealed data key of the controller, if it is in this part of the table of keys.
fn sealed_key(part: &Part) -> Option<Vec<u8>> {
    let place = |name: &str| part.table.columns.iter().position(|column| column == name);
    let (owner, sealed) = (place("owner")?, place("sealed")?);
    let controllers = Some(&Cell::Text("controller".to_owned()));
    let row = part.rows.iter().find(|row| row.get(owner) == controllers)?;
    match row.get(sealed)? {
        Cell::Bytes { bytes } => Some(bytes.clone()),
        _ => None,
    }
}

fn json<T: DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T, OwnBackupError> {
    serde_json::from_slice(text).map_err(|error| nonsense(path, error))
}

fn nonsense(path: &Path, problem: impl ToString) -> OwnBackupError {
    OwnBackupError::Nonsense {
        path: path.to_owned(),
        problem: problem.to_string(),
    }
}
