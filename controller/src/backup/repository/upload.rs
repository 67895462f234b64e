//! Taking in what a host sends: counted, hashed, brought to the disk, named.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};
use hyper::header::CONTENT_LENGTH;
use hyper::{Request, StatusCode};
use tokio::sync::mpsc;

use super::answer::{Outcome, blocking, empty};
use super::connection::Connection;
use super::refusal::Deed;
use super::route::{Kind, Name};

/// A configuration is never larger, in bytes.
const CONFIG_LIMIT: u64 = 64 << 10;

/// Locks that one connection has at once: restic sets the next one before it removes the last.
const LOCKS: usize = 16;

/// Pieces that wait for the disk; the other side sends none while there are as many.
const WAITING: usize = 4;

/// Where something is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The repository's configuration; its name says nothing of its content.
    Config,
    /// A file.
    File(Kind, Name),
}

impl Place {
    fn limit(&self) -> u64 {
        match self {
            Self::Config => CONFIG_LIMIT,
            Self::File(kind, _) => kind.limit(),
        }
    }

    fn path(&self, connection: &Connection) -> PathBuf {
        match self {
            Self::Config => connection.folder.config(),
            Self::File(kind, name) => connection.folder.file(*kind, name),
        }
    }
}

/// What is handed to the one who writes.
enum Piece {
    Content(Bytes),
    /// Nothing is missing.
    End,
}

/// Takes in one file, or refuses it; before its content where that can be known.
pub async fn take_in<B>(
    connection: &Arc<Connection>,
    place: Place,
    request: Request<B>,
) -> io::Result<Outcome>
where
    B: Body<Data = Bytes> + Unpin,
{
    if !connection.permission.may_write(&place) {
        return Ok(Outcome::Refuse(Deed::Write));
    }
    let path = place.path(connection);
    if tokio::fs::try_exists(&path).await? {
        return Ok(Outcome::Refuse(Deed::Overwrite));
    }
    let claimed = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok())
        .unwrap_or(0);
    if claimed > place.limit() {
        return Ok(Outcome::Refuse(Deed::TooLarge));
    }
    if !connection.claim(claimed)? {
        return Ok(Outcome::Refuse(Deed::NoRoom));
    }
    if let Place::File(Kind::Locks, name) = &place {
        let mut locks = connection.locks();
        if locks.len() >= LOCKS {
            return Ok(Outcome::Refuse(Deed::ManyLocks));
        }
        locks.insert(name.clone());
    }
    receive(connection, place, path, claimed, request.into_body()).await
}

async fn receive<B>(
    connection: &Arc<Connection>,
    place: Place,
    path: PathBuf,
    claimed: u64,
    body: B,
) -> io::Result<Outcome>
where
    B: Body<Data = Bytes> + Unpin,
{
    let limit = place.limit();
    let (pieces, incoming) = mpsc::channel(WAITING);
    // Holds the connection: what it is about to name belongs to the connection's account.
    let holder = connection.clone();
    let writing = blocking(move || write(&holder, &place, &path, incoming));
    let sending = send(connection, body, limit, claimed, pieces);
    let (refused, written) = tokio::join!(sending, writing);
    match (refused?, written) {
        (Some(deed), _) => Ok(Outcome::Refuse(deed)),
        (None, Ok(true)) => Ok(Outcome::Answer(empty(StatusCode::OK))),
        (None, Ok(false)) => Ok(Outcome::Refuse(Deed::Poison)),
        (None, Err(error)) if is_full(&error) => Ok(Outcome::Refuse(Deed::NoRoom)),
        (None, Err(error)) => Err(error),
    }
}

/// Hands on what arrives. Says why it did not hand on everything, if it is not for the other end to say.
async fn send<B>(
    connection: &Connection,
    mut body: B,
    limit: u64,
    mut claimed: u64,
    pieces: mpsc::Sender<Piece>,
) -> io::Result<Option<Deed>>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut arrived = 0;
    while let Some(frame) = body.frame().await {
        // The one who writes hears that the end is missing.
        let Ok(frame) = frame else { return Ok(None) };
        let Ok(content) = frame.into_data() else {
            continue;
        };
        connection.count_in(content.len());
        arrived += content.len() as u64;
        if arrived > limit {
            return Ok(Some(Deed::TooLarge));
        }
        if arrived > claimed {
            if !connection.claim(arrived - claimed)? {
                return Ok(Some(Deed::NoRoom));
            }
            claimed = arrived;
        }
        if pieces.send(Piece::Content(content)).await.is_err() {
            // It failed, and says why.
            return Ok(None);
        }
    }
    let _ = pieces.send(Piece::End).await;
    Ok(None)
}

/// Writes what is handed on. False if it is not what its name says.
fn write(
    connection: &Connection,
    place: &Place,
    path: &Path,
    mut incoming: mpsc::Receiver<Piece>,
) -> io::Result<bool> {
    let mut file = connection.folder.begin()?;
    while let Some(piece) = incoming.blocking_recv() {
        match piece {
            Piece::Content(content) => file.write(&content)?,
            Piece::End => {
                if let Place::File(_, name) = place
                    && file.sha256() != name.as_str()
                {
                    return Ok(false);
                }
                file.finish(path)?;
                return Ok(true);
            }
        }
    }
    Err(ErrorKind::ConnectionAborted.into())
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
