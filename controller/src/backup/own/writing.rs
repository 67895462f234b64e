//! Writing a copy: a tar archive, compressed and sealed, under a temporary name until it is complete.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde::Serialize;

use super::{Contents, FORMAT, MANIFEST, Manifest, OwnBackupError};
use crate::model::Secret;
use crate::store::{Snapshot, Store, StoreError, Table};
use crate::vault::SealingWriter;

/// About how many bytes of rows go into one entry.
const PART: usize = 4 << 20;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The file's size.
    pub bytes: u64,
    /// Rows of the database.
    pub rows: u64,
}

/// Writes a copy to a file, which is its owner's alone: of everything in the store as it is at one moment, and of these files.
///
/// # Errors
/// See [`OwnBackupError`]; the file is not there then.
pub async fn write(
    path: &Path,
    passphrase: &Secret,
    store: &Store,
    contents: &Contents,
) -> Result<Written, OwnBackupError> {
    if path.exists() {
        return Err(OwnBackupError::Exists(path.to_owned()));
    }
    let unwritable = |source| OwnBackupError::File {
        what: "write",
        path: path.to_owned(),
        source,
    };
    let temporary = Temporary::beside(path);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary.0)
        .map_err(unwritable)?;
    let sealing = SealingWriter::new(BufWriter::new(file), passphrase).map_err(unwritable)?;
    let mut archive = Archive {
        path,
        tar: tar::Builder::new(GzEncoder::new(sealing, Compression::default())),
    };
    let mut snapshot = store.snapshot().await?;
    let manifest = Manifest {
        format: FORMAT,
        allmende: env!("CARGO_PKG_VERSION").to_owned(),
        migration: snapshot.migration().await?,
        made_at: Timestamp::now(),
        machine: machine(),
        left_out: contents.left_out.clone(),
    };
    archive.add(MANIFEST, &line(&manifest)?)?;
    for file in &contents.files {
        archive.add(&format!("files/{}", file.path.display()), &file.content)?;
    }
    let mut rows = 0;
    for table in snapshot.tables().await? {
        rows += add_table(&mut archive, &mut snapshot, &table).await?;
    }
    let file = archive.finish().map_err(unwritable)?;
    let bytes = file.metadata().map_err(unwritable)?.len();
    temporary.put(path).map_err(unwritable)?;
    Ok(Written { bytes, rows })
}

/// Adds a table in parts, each of which says what it is part of; an empty table has one.
async fn add_table(
    archive: &mut Archive<'_>,
    snapshot: &mut Snapshot,
    table: &Table,
) -> Result<u64, OwnBackupError> {
    let head = line(table)?;
    let (mut part, mut parts, mut rows) = (head.clone(), 0, 0);
    let mut add = |part: &[u8]| {
        parts += 1;
        archive.add(&format!("tables/{}.{parts}.jsonl", table.table), part)
    };
    snapshot
        .rows(table, |row| {
            rows += 1;
            part.extend(line(&row)?);
            if part.len() > PART {
                add(&part)?;
                part.clone_from(&head);
            }
            Ok::<_, OwnBackupError>(())
        })
        .await?;
    add(&part)?;
    Ok(rows)
}

/// The archive on its way to the file.
struct Archive<'a> {
    path: &'a Path,
    tar: tar::Builder<GzEncoder<SealingWriter<BufWriter<File>>>>,
}

impl Archive<'_> {
    fn add(&mut self, name: &str, content: &[u8]) -> Result<(), OwnBackupError> {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        self.tar
            .append_data(&mut header, name, content)
            .map_err(|source| OwnBackupError::File {
                what: "write",
                path: self.path.to_owned(),
                source,
            })
    }

    fn finish(self) -> io::Result<File> {
        let file = self.tar.into_inner()?.finish()?.finish()?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(file)
    }
}

/// A file that goes away unless it is put in its place.
struct Temporary(PathBuf);

impl Temporary {
    fn beside(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self(path.with_file_name(format!(".{name}.{}.new", std::process::id())))
    }

    fn put(self, path: &Path) -> io::Result<()> {
        std::fs::rename(&self.0, path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn line(value: &impl Serialize) -> Result<Vec<u8>, OwnBackupError> {
    let mut line = serde_json::to_vec(value).map_err(StoreError::Unstorable)?;
    line.push(b'\n');
    Ok(line)
}

/// What this machine is called.
fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}
