//! Archives that services are made from: found or fetched, checked, and kept by content.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Once;

use sha2::{Digest, Sha256};
use tokio::fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::folder;
use crate::catalogue::WantedArchive;

/// An archive whose content is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// SHA-256 of the content, lower-case hex.
    pub sha256: String,
    /// Where its content is, or where it can be fetched.
    source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    Folder(PathBuf),
    Url(String),
}

/// Why an archive is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file cannot be read.
    #[error("cannot read the archive {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder is not what it was a moment ago.
    #[error(
        "{folder} changed while it was read. Nothing of it was sent; apply again when nobody writes there"
    )]
    Changed {
        /// The folder.
        folder: PathBuf,
    },
    /// The download did not work.
    #[error(
        "cannot fetch {url}: {problem}. If this machine has no internet connection, fetch the archive elsewhere and give its path instead of the address"
    )]
    Unfetched {
        /// Its address.
        url: String,
        /// What came back.
        problem: String,
    },
    /// The content is not what it should be.
    #[error(
        "the archive {archive} is not what it should be: its SHA-256 is {found}, expected was {expected}. Nothing was changed; get the archive again, or correct the checksum"
    )]
    WrongChecksum {
        /// Path or address.
        archive: String,
        /// What was found, hex.
        found: String,
        /// What was expected, hex.
        expected: String,
    },
}

/// Archives that were fetched, in a folder of the data directory.
pub struct ArchiveCache {
    folder: PathBuf,
}

impl ArchiveCache {
    /// The cache in this folder; the folder is made when it is needed.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Finds out which content an archive has. Fetches it only if that cannot be known otherwise.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn identify(&self, wanted: &WantedArchive) -> Result<Archive, ArchiveError> {
        if !wanted.source.starts_with("https://") {
            let path = PathBuf::from(&wanted.source);
            let (sha256, source) = if path.is_dir() {
                (pack(&path, std::io::sink()).await?, Source::Folder(path))
            } else {
                (hash_file(&path).await?, Source::File(path))
            };
            return expect(&wanted.source, sha256, &wanted.sha256, source);
        }
        let url = wanted.source.clone();
        let known = if wanted.sha256.is_empty() {
            self.published_checksum(&url, &wanted.checksum_url).await?
        } else {
            Some(wanted.sha256.clone())
        };
        let sha256 = match known {
            Some(sha256) => sha256,
            None => self.fetch(&url, None).await?,
        };
        Ok(Archive {
            sha256,
            source: Source::Url(url),
        })
    }

    /// The file with the archive's content; fetched and checked if it is not here yet.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn file(&self, archive: &Archive) -> Result<PathBuf, ArchiveError> {
        match &archive.source {
            Source::File(path) => Ok(path.clone()),
            Source::Folder(folder) => self.packed(folder, &archive.sha256).await,
            Source::Url(url) => {
                let path = self.folder.join(&archive.sha256);
                if !path.is_file() {
                    self.fetch(url, Some(&archive.sha256)).await?;
                }
                Ok(path)
            }
        }
    }

    /// The folder as a file. Of each folder only the last one is kept.
    async fn packed(&self, folder: &Path, sha256: &str) -> Result<PathBuf, ArchiveError> {
        let place = folder.as_os_str().as_encoded_bytes();
        let kept = self.folder.join(format!("{}.tar", hex(&Sha256::digest(place))));
        // Another run may be sending what is kept: it goes on with that, to its end.
        let partial = kept.with_extension(format!("{}.part", std::process::id()));
        let unwritable = |source| ArchiveError::Unreadable {
            path: partial.clone(),
            source,
        };
        fs::create_dir_all(&self.folder).await.map_err(unwritable)?;
        let file = std::fs::File::create(&partial).map_err(unwritable)?;
        let found = pack(folder, std::io::BufWriter::new(file)).await?;
        fs::rename(&partial, &kept).await.map_err(unwritable)?;
        if found != sha256 {
            return Err(ArchiveError::Changed {
                folder: folder.to_owned(),
            });
        }
        Ok(kept)
    }

    /// What the publisher says the SHA-256 is; remembered, so that a plan needs no internet connection a second time.
    async fn published_checksum(
        &self,
        url: &str,
        checksum_url: &str,
    ) -> Result<Option<String>, ArchiveError> {
        let note = self
            .folder
            .join(format!("{}.sha256", hex(&Sha256::digest(url.as_bytes()))));
        if let Ok(remembered) = fs::read_to_string(&note).await {
            return Ok(Some(remembered));
        }
        if checksum_url.is_empty() {
            return Ok(None);
        }
        let text = get(checksum_url)
            .await?
            .text()
            .await
            .map_err(|error| unfetched(checksum_url, error))?;
        // The format of sha256sum, perhaps with further files: hash, blanks, file name.
        let file = url.rsplit('/').next().unwrap_or_default();
        let lines: Vec<(&str, &str)> = text
            .lines()
            .filter_map(|line| line.split_once(char::is_whitespace))
            .collect();
        let hash = lines
            .iter()
            .find(|(_, name)| name.trim_start().trim_start_matches('*') == file)
            .or(lines.first().filter(|_| lines.len() == 1))
            .map_or("", |(hash, _)| hash)
            .to_owned();
        if hash.len() != 64 || !hash.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(ArchiveError::Unfetched {
                url: checksum_url.to_owned(),
                problem: "it holds no SHA-256 of that file".to_owned(),
            });
        }
        self.remember(&note, hash.as_bytes()).await?;
        Ok(Some(hash.to_lowercase()))
    }

    /// Fetches into the cache, checks the content and returns its SHA-256.
    async fn fetch(&self, url: &str, expected: Option<&str>) -> Result<String, ArchiveError> {
        let partial = self
            .folder
            .join(format!("{}.part", hex(&Sha256::digest(url.as_bytes()))));
        let unwritable = |path: &Path| {
            let path = path.to_owned();
            move |source| ArchiveError::Unreadable { path, source }
        };
        fs::create_dir_all(&self.folder)
            .await
            .map_err(unwritable(&self.folder))?;
        let mut response = get(url).await?;
        let mut file = fs::File::create(&partial).await.map_err(unwritable(&partial))?;
        let mut hasher = Sha256::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unfetched(url, error))? {
            hasher.update(&chunk);
            file.write_all(&chunk).await.map_err(unwritable(&partial))?;
        }
        file.sync_all().await.map_err(unwritable(&partial))?;
        let found = hex(&hasher.finalize());
        if let Some(expected) = expected
            && found != expected
        {
            return Err(ArchiveError::WrongChecksum {
                archive: url.to_owned(),
                found,
                expected: expected.to_owned(),
            });
        }
        let path = self.folder.join(&found);
        fs::rename(&partial, &path).await.map_err(unwritable(&path))?;
        Ok(found)
    }

    async fn remember(&self, note: &Path, hash: &[u8]) -> Result<(), ArchiveError> {
        let unwritable = |source| ArchiveError::Unreadable {
            path: note.to_owned(),
            source,
        };
        fs::create_dir_all(&self.folder).await.map_err(unwritable)?;
        fs::write(note, hash).await.map_err(unwritable)
    }
}

fn expect(archive: &str, found: String, expected: &str, source: Source) -> Result<Archive, ArchiveError> {
    if expected.is_empty() || found == expected {
        Ok(Archive {
            sha256: found,
            source,
        })
    } else {
        Err(ArchiveError::WrongChecksum {
            archive: archive.to_owned(),
            found,
            expected: expected.to_owned(),
        })
    }
}

async fn hash_file(path: &Path) -> Result<String, ArchiveError> {
    let unreadable = |source| ArchiveError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut file = fs::File::open(path).await.map_err(unreadable)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1024 * 1024];
    loop {
        let count = file.read(&mut buffer).await.map_err(unreadable)?;
        if count == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..count]);
    }
}

/// Packs a folder and gives the archive's SHA-256, hex.
async fn pack(folder: &Path, into: impl Write + Send + 'static) -> Result<String, ArchiveError> {
    let path = folder.to_owned();
    let packed = tokio::task::spawn_blocking(move || folder::pack(&path, into)).await;
    let stopped = |error| ArchiveError::Unreadable {
        path: folder.to_owned(),
        source: std::io::Error::other(error),
    };
    match packed.map_err(stopped)? {
        Ok(hash) => Ok(hex(&hash)),
        Err(folder::Unpackable { path, source }) => Err(ArchiveError::Unreadable { path, source }),
    }
}

async fn get(url: &str) -> Result<reqwest::Response, ArchiveError> {
    static CRYPTOGRAPHY: Once = Once::new();
    CRYPTOGRAPHY.call_once(|| {
        // Fails only if a provider was chosen before, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::get(url)
        .await
        .and_then(reqwest::Response::error_for_status)
        .map_err(|error| unfetched(url, error))
}

fn unfetched(url: &str, error: reqwest::Error) -> ArchiveError {
    let error = error.without_url();
    let mut problem = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        problem = format!("{problem}: {cause}");
        source = cause.source();
    }
    ArchiveError::Unfetched {
        url: url.to_owned(),
        problem,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(source: &Path, sha256: &str) -> WantedArchive {
        WantedArchive {
            path: "/srv/x".to_owned(),
            source: source.display().to_string(),
            sha256: sha256.to_owned(),
            checksum_url: String::new(),
            strip: 0,
            owner: "root".to_owned(),
            group: "root".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_wrong_checksum_is_refused_with_both() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let cache = ArchiveCache::new(folder.path().join("cache"));
        let file = folder.path().join("x.tar");
        std::fs::write(&file, "content").expect("written");
        let found = cache.identify(&wanted(&file, "")).await.expect("identified");
        assert_eq!(found.sha256, hex(&Sha256::digest(b"content")));
        assert_eq!(cache.file(&found).await.expect("here"), file);
        let error = cache.identify(&wanted(&file, &"0".repeat(64))).await;
        let error = error.expect_err("refused").to_string();
        assert!(
            error.contains(&found.sha256) && error.contains(&"0".repeat(64)),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_missing_file_is_named() {
        let cache = ArchiveCache::new(PathBuf::from("/nonexistent"));
        let error = cache.identify(&wanted(Path::new("/nonexistent/x.tar"), "")).await;
        assert!(
            error
                .expect_err("refused")
                .to_string()
                .contains("/nonexistent/x.tar")
        );
    }
}
