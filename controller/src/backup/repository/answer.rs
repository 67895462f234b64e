//! From a request to its answer.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{ACCEPT, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, RANGE};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::connection::Connection;
use super::refusal::Deed;
use super::route::{Kind, Name, Route};
use super::upload::{Place, take_in};

/// Bytes that are read from a file at once.
const PIECE: u64 = 256 << 10;

/// The two forms of lists.
const NAMES: &str = "application/vnd.x.restic.rest.v1";
const NAMES_AND_SIZES: &str = "application/vnd.x.restic.rest.v2";

/// What is sent back.
pub type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// Answers a request; whatever it holds.
pub async fn answer<B>(connection: Arc<Connection>, request: Request<B>) -> Result<Answer, Infallible>
where
    B: Body<Data = Bytes> + Unpin,
{
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let answer = match act(&connection, request).await {
        Ok(Outcome::Answer(answer)) => answer,
        Ok(Outcome::Refuse(deed)) => {
            connection.refuse(deed, &path);
            empty(status(deed))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => empty(StatusCode::NOT_FOUND),
        // What broke on the way here is not for our own account.
        Err(error) if error.kind() == ErrorKind::ConnectionAborted => empty(StatusCode::BAD_REQUEST),
        Err(error) => {
            connection.failed(&format!("{method} {path}"), &error);
            empty(StatusCode::INTERNAL_SERVER_ERROR)
        }
    };
    Ok(answer)
}

/// What becomes of a request.
pub enum Outcome {
    /// It is answered.
    Answer(Answer),
    /// It is refused.
    Refuse(Deed),
}

async fn act<B>(connection: &Arc<Connection>, request: Request<B>) -> io::Result<Outcome>
where
    B: Body<Data = Bytes> + Unpin,
{
    let uri = request.uri();
    let Some(route) = Route::read(uri.path(), uri.query()) else {
        return Ok(if is_greeting(request.method(), uri.path()) {
            Outcome::Answer(empty(StatusCode::NOT_FOUND))
        } else {
            Outcome::Refuse(Deed::Outside)
        });
    };
    let folder = &connection.folder;
    match (request.method(), route) {
        (&Method::POST, Route::Repository) => {
            if !connection.permission.may_create() {
                return Ok(Outcome::Refuse(Deed::Write));
            }
            let folder = folder.clone();
            blocking(move || folder.create()).await?;
            Ok(Outcome::Answer(empty(StatusCode::OK)))
        }
        (&Method::HEAD, Route::Config) => head(&folder.config()).await,
        (&Method::GET, Route::Config) => give_out(connection, &folder.config(), request.headers()).await,
        (&Method::POST, Route::Config) => take_in(connection, Place::Config, request).await,
        (&Method::GET, Route::List(kind)) => list(connection, kind, request.headers()).await,
        (&Method::HEAD, Route::File(kind, name)) => head(&folder.file(kind, &name)).await,
        (&Method::GET, Route::File(kind, name)) => {
            give_out(connection, &folder.file(kind, &name), request.headers()).await
        }
        (&Method::POST, Route::File(kind, name)) => {
            take_in(connection, Place::File(kind, name), request).await
        }
        (&Method::DELETE, Route::File(kind, name)) => remove(connection, kind, name).await,
        (&Method::DELETE, _) => Ok(Outcome::Refuse(Deed::Delete)),
        _ => Ok(Outcome::Refuse(Deed::Outside)),
    }
}

/// restic asks for a file that does not exist until somebody answers.
fn is_greeting(method: &Method, path: &str) -> bool {
    let number = path.strip_prefix("/file-").unwrap_or_default();
    method == Method::GET && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

async fn head(path: &Path) -> io::Result<Outcome> {
    let size = tokio::fs::metadata(path).await?.len();
    let mut answer = empty(StatusCode::OK);
    answer.headers_mut().insert(CONTENT_LENGTH, size.into());
    Ok(Outcome::Answer(answer))
}

async fn list(connection: &Connection, kind: Kind, headers: &HeaderMap) -> io::Result<Outcome> {
    #[derive(Serialize)]
    struct Listed<'a> {
        name: &'a str,
        size: u64,
    }

    let folder = connection.folder.clone();
    let files = blocking(move || folder.list(kind)).await?;
    let with_sizes = headers
        .get(ACCEPT)
        .is_some_and(|accept| accept == NAMES_AND_SIZES);
    let (form, text) = if with_sizes {
        let listed = files.iter().map(|(name, size)| Listed {
            name: name.as_str(),
            size: *size,
        });
        (NAMES_AND_SIZES, serde_json::to_vec(&listed.collect::<Vec<_>>())?)
    } else {
        let names = files.iter().map(|(name, _)| name.as_str());
        (NAMES, serde_json::to_vec(&names.collect::<Vec<_>>())?)
    };
    connection.count_out(text.len());
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {});
    let answer = Response::builder()
        .header(CONTENT_TYPE, form)
        .body(body.boxed_unsync())
        .map_err(io::Error::other)?;
    Ok(Outcome::Answer(answer))
}

/// Sends a file, or the range of it that is asked for.
async fn give_out(connection: &Arc<Connection>, path: &Path, headers: &HeaderMap) -> io::Result<Outcome> {
    let mut file = File::open(path).await?;
    let size = file.metadata().await?.len();
    let (status, first, length) = match headers
        .get(RANGE)
        .map(|range| read_range(range.to_str().ok()?, size))
    {
        None => (StatusCode::OK, 0, size),
        Some(Some((first, length))) => (StatusCode::PARTIAL_CONTENT, first, length),
        Some(None) => return Ok(Outcome::Answer(empty(StatusCode::RANGE_NOT_SATISFIABLE))),
    };
    file.seek(io::SeekFrom::Start(first)).await?;

    let mut answer = Response::builder().status(status).header(CONTENT_LENGTH, length);
    if status == StatusCode::PARTIAL_CONTENT {
        let last = first + length - 1;
        answer = answer.header(CONTENT_RANGE, format!("bytes {first}-{last}/{size}"));
    }
    let connection = connection.clone();
    let pieces = stream::try_unfold((file, length), move |(mut file, left)| {
        let connection = connection.clone();
        async move {
            if left == 0 {
                return Ok(None);
            }
            let mut piece = vec![0; left.min(PIECE) as usize];
            file.read_exact(&mut piece).await?;
            connection.count_out(piece.len());
            let left = left - piece.len() as u64;
            Ok(Some((Bytes::from(piece), (file, left))))
        }
    });
    let body = StreamBody::new(pieces.map(|piece| piece.map(Frame::data)));
    answer
        .body(body.boxed_unsync())
        .map(Outcome::Answer)
        .map_err(io::Error::other)
}

/// The first byte and the length of a range such as `bytes=10-19` or `bytes=10-`; none if it makes no sense for a file of this size.
fn read_range(text: &str, size: u64) -> Option<(u64, u64)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let first: u64 = first.parse().ok()?;
    let end = match last {
        "" => size,
        last => last.parse::<u64>().ok()?.checked_add(1)?.min(size),
    };
    let length = end.checked_sub(first)?;
    (length > 0).then_some((first, length))
}

async fn remove(connection: &Arc<Connection>, kind: Kind, name: Name) -> io::Result<Outcome> {
    let path = connection.folder.file(kind, &name);
    let own = kind == Kind::Locks && connection.locks().contains(&name);
    if !own {
        // After an upload that failed restic removes what it believes to be there.
        tokio::fs::metadata(&path).await?;
        return Ok(Outcome::Refuse(match kind {
            Kind::Locks => Deed::ForeignLock,
            _ => Deed::Delete,
        }));
    }
    tokio::fs::remove_file(&path).await?;
    connection.locks().remove(&name);
    Ok(Outcome::Answer(empty(StatusCode::OK)))
}

/// An answer that says nothing more.
pub fn empty(status: StatusCode) -> Answer {
    let body = Full::default().map_err(|never| match never {});
    let mut answer = Response::new(body.boxed_unsync());
    *answer.status_mut() = status;
    answer
}

/// Runs what waits for the disk where it holds nobody up.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|broken| Err(io::Error::other(broken)))
}

fn status(deed: Deed) -> StatusCode {
    match deed {
        Deed::Poison => StatusCode::BAD_REQUEST,
        Deed::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Deed::Outside => StatusCode::NOT_FOUND,
        Deed::NoRoom => StatusCode::INSUFFICIENT_STORAGE,
        Deed::Delete | Deed::ForeignLock | Deed::Overwrite | Deed::Write | Deed::ManyLocks => {
            StatusCode::FORBIDDEN
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_what_there_is() {
        assert_eq!(read_range("bytes=0-9", 100), Some((0, 10)));
        assert_eq!(read_range("bytes=90-200", 100), Some((90, 10)));
        assert_eq!(read_range("bytes=40-", 100), Some((40, 60)));
        for senseless in [
            "",
            "bytes=",
            "bytes=-5",
            "bytes=9-3",
            "bytes=100-",
            "bytes=0-1,4-5",
            "lines=0-9",
            "bytes=0-99999999999999999999",
            "bytes=18446744073709551615-18446744073709551615",
        ] {
            assert_eq!(read_range(senseless, 100), None, "{senseless}");
        }
        assert_eq!(read_range("bytes=0-", 0), None);
    }
}
