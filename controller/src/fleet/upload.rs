//! Sending blobs: archives, a new agent.

use std::path::Path;

use allmende_agent::protocol::frame::BLOB_CHUNK;
use allmende_agent::protocol::{Answer, Frame, Request};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::agent_channel::{AgentChannel, Reply};
use super::frames::encode;
use super::{FleetError, Session};

/// Where a blob comes from.
#[derive(Debug, Clone, Copy)]
pub enum BlobSource<'a> {
    /// A file on the controller.
    File(&'a Path),
    /// Bytes in memory.
    Bytes(&'a [u8]),
}

impl Session {
    /// Sends a blob over a channel of its own, so that requests go on meanwhile. What the host has of it from an earlier try
    /// is not sent again; returns how many bytes were sent. `progress` hears how many bytes are there, and of how many.
    ///
    /// # Errors
    /// [`FleetError::Blob`] if the file cannot be read, [`FleetError::Refused`] if it is not what its hash says; see
    /// [`FleetError`] for the rest.
    pub async fn put_blob(
        &self,
        source: BlobSource<'_>,
        sha256: &str,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<u64, FleetError> {
        let wanted = Request::Blobs {
            wanted: vec![sha256.to_owned()],
        };
        let offset = match self.request(wanted, |_| ()).await? {
            Answer::Blobs(missing) => match missing.get(sha256) {
                Some(offset) => *offset,
                None => return Ok(0),
            },
            answer => return Err(self.unexpected("a list of blobs", &answer)),
        };
        let mut reader = Reader::open(source, offset)
            .await
            .map_err(|reason| self.unreadable(source, reason))?;
        let size = reader.size;
        // More than the whole: whatever lies there, it is no beginning of this blob.
        let offset = if offset > size { 0 } else { offset };

        let channel = AgentChannel::start(&self.connection).await?;
        let mut pending = channel
            .begin(Request::PutBlob {
                sha256: sha256.to_owned(),
                size,
                offset,
            })
            .await?;
        progress(offset, size);
        let sending = async {
            let mut at = offset;
            while at < size {
                let length = usize::try_from(size - at).unwrap_or(BLOB_CHUNK).min(BLOB_CHUNK);
                let chunk = reader
                    .read(length)
                    .await
                    .map_err(|reason| self.unreadable(source, reason))?;
                at += chunk.len() as u64;
                let frame = encode(&Frame::Blob(chunk)).map_err(|reason| FleetError::TooMuch {
                    host: self.host().clone(),
                    doing: "taking a file",
                    reason,
                })?;
                channel.send_bytes("taking a file", frame).await?;
                progress(at, size);
            }
            Ok::<(), FleetError>(())
        };
        // An agent that cannot take it (a full disk) says so before everything was sent.
        let early = tokio::select! {
            biased;
            note = pending.next() => Some(note?),
            sent = sending => { sent?; None }
        };
        let note = match early {
            Some(note) => note,
            None => pending.next().await?,
        };
        match note {
            Reply::Answer(Answer::Done) => {}
            Reply::Answer(answer) => return Err(self.unexpected("\"done\"", &answer)),
            Reply::Event(_) => {
                return Err(FleetError::Protocol {
                    host: self.host().clone(),
                    reason: "an event came while a file was sent".to_owned(),
                });
            }
        }
        Ok(size - offset)
    }

    fn unreadable(&self, source: BlobSource<'_>, reason: std::io::Error) -> FleetError {
        FleetError::Blob {
            host: self.host().clone(),
            path: match source {
                BlobSource::File(path) => path.to_owned(),
                BlobSource::Bytes(_) => "(memory)".into(),
            },
            reason,
        }
    }
}

struct Reader<'a> {
    from: Bytes<'a>,
    size: u64,
}

enum Bytes<'a> {
    File(tokio::fs::File),
    Memory(&'a [u8]),
}

impl<'a> Reader<'a> {
    async fn open(source: BlobSource<'a>, offset: u64) -> std::io::Result<Self> {
        match source {
            BlobSource::File(path) => {
                let mut file = tokio::fs::File::open(path).await?;
                let size = file.metadata().await?.len();
                if offset <= size {
                    file.seek(std::io::SeekFrom::Start(offset)).await?;
                }
                Ok(Self {
                    from: Bytes::File(file),
                    size,
                })
            }
            BlobSource::Bytes(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                Ok(Self {
                    from: Bytes::Memory(bytes.get(start..).unwrap_or(bytes)),
                    size: bytes.len() as u64,
                })
            }
        }
    }

    /// The next bytes; exactly as many as asked for.
    async fn read(&mut self, length: usize) -> std::io::Result<Vec<u8>> {
        match &mut self.from {
            Bytes::File(file) => {
                let mut chunk = vec![0; length];
                file.read_exact(&mut chunk).await?;
                Ok(chunk)
            }
            Bytes::Memory(bytes) => {
                let (chunk, rest) = bytes
                    .split_at_checked(length)
                    .ok_or(std::io::ErrorKind::UnexpectedEof)?;
                *bytes = rest;
                Ok(chunk.to_vec())
            }
        }
    }
}
