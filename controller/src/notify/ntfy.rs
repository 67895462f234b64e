//! Push messages by an ntfy server.

use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};

use super::failure::{Failure, Fault, kept};
use super::http;
use super::message::Message;
use crate::model::{DeliveryKind, Secret, Status};

/// The longest text that the server takes as a message and not as a file, in bytes.
const LONGEST: usize = 4000;

#[derive(Serialize)]
struct Body<'a> {
    topic: &'a str,
    title: &'a str,
    message: &'a str,
    priority: u8,
    tags: [&'static str; 1],
    /// The same for every attempt: servers that know it show a repeated message once.
    sequence_id: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    id: String,
}

/// Sends a message and says what came back.
///
/// # Errors
/// See [`Failure`].
pub async fn send(
    client: &Client,
    url: &str,
    to: &str,
    token: Option<&Secret>,
    topic: &str,
    message: &Message,
) -> Result<String, Failure> {
    let (priority, tag) = look(message);
    let body = Body {
        topic,
        title: &message.subject,
        message: beginning(&message.brief),
        priority,
        tags: [tag],
        sequence_id: &message.uid,
    };
    let body = serde_json::to_vec(&body)
        .map_err(|error| Failure::new(Fault::Refused, format!("the message cannot be written: {error}")))?;
    let mut request = client
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .body(body);
    if let Some(token) = token {
        request = request.bearer_auth(token.reveal());
    }
    // The topic is as good as a password, and the server may repeat it.
    let topic = Secret::new(topic.to_owned());
    match http::send(request, to).await {
        Ok(answer) => {
            let taken = match serde_json::from_str::<Answer>(&answer) {
                Ok(answer) => format!("{to} took it as {}", answer.id),
                Err(_) => format!("{to} took it"),
            };
            Ok(kept(&kept(&taken, token), Some(&topic)))
        }
        Err(failure) => Err(failure.without(token).without(Some(&topic))),
    }
}

/// How loud a message is, and its picture: names that ntfy shows as such.
fn look(message: &Message) -> (u8, &'static str) {
    match (message.kind, message.severity) {
        (DeliveryKind::Recovery | DeliveryKind::ChannelRecovered, _) => (3, "white_check_mark"),
        (DeliveryKind::Test, _) => (3, "wave"),
        (_, Status::Critical) => (5, "rotating_light"),
        (_, Status::Warning) => (4, "warning"),
        (_, Status::Unknown) => (3, "question"),
        (_, Status::Ok) => (3, "information_source"),
    }
}

fn beginning(text: &str) -> &str {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
