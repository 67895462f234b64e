//! Requests to channels that speak HTTP: bounded in time and size, and judged alike.

use std::sync::Once;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode};

use super::failure::{Failure, Fault, with_causes};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);

/// How long all of a request may take.
const REQUEST: Duration = Duration::from_secs(25);

/// How much of an answer is read, in bytes.
const MOST: usize = 16 * 1024;

/// The longest time for which another side is left alone because it asks for that.
const LONGEST_REST: u64 = 3600;

/// The client for all requests.
///
/// # Errors
/// When the system's certificates cannot be read.
pub fn client() -> Result<Client, Failure> {
    static CRYPTOGRAPHY: Once = Once::new();
    CRYPTOGRAPHY.call_once(|| {
        // Fails only if a provider was chosen before, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    Client::builder()
        .connect_timeout(CONNECT)
        .timeout(REQUEST)
        // What is signed or carries a token goes where a person said, and nowhere else.
        .redirect(Policy::none())
        .user_agent(concat!("Allmende/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Failure::new(Fault::Channel, with_causes(&error)))
}

/// Sends a request and returns the beginning of a good answer. `to` is how the other side is called in errors.
///
/// # Errors
/// See [`Failure`].
pub async fn send(request: RequestBuilder, to: &str) -> Result<String, Failure> {
    let unreachable = |error: reqwest::Error| {
        let error = error.without_url();
        Failure::new(
            Fault::Channel,
            format!("{to} cannot be reached: {}", with_causes(&error)),
        )
    };
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    let retry_after = rest(&response);
    let body = beginning(response).await.map_err(unreachable)?;
    if status.is_success() {
        return Ok(body);
    }
    let said = match (status.is_redirection(), body.trim()) {
        (true, _) => "it points to another address; give that one".to_owned(),
        (false, "") => "without a word".to_owned(),
        (false, body) => body.to_owned(),
    };
    let mut failure = Failure::new(fault(status), format!("{to} answered {status}: {said}"));
    failure.retry_after = retry_after;
    Err(failure)
}

fn fault(status: StatusCode) -> Fault {
    match status.as_u16() {
        400 | 413 | 422 => Fault::Refused,
        403 | 404 => Fault::Message,
        _ => Fault::Channel,
    }
}

/// `Retry-After` in seconds; the form with a date is left to our own patience.
fn rest(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    let seconds: u64 = text.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(LONGEST_REST)))
}

async fn beginning(mut response: Response) -> Result<String, reqwest::Error> {
    let mut bytes = Vec::new();
    while bytes.len() < MOST {
        match response.chunk().await? {
            Some(chunk) => bytes.extend_from_slice(&chunk),
            None => break,
        }
    }
    bytes.truncate(MOST);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
