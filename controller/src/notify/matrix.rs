//! Messages in a Matrix room. The transaction's id is the message's, so that a repeated attempt shows nothing twice.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use serde::Deserialize;

use super::failure::{Failure, Fault, kept};
use super::http;
use super::message::Message;
use crate::model::{DeliveryKind, Secret};

#[derive(Deserialize)]
struct Answer {
    event_id: String,
}

/// Sends a message and says what came back.
///
/// # Errors
/// See [`Failure`].
pub async fn send(
    client: &Client,
    homeserver: &str,
    to: &str,
    token: &Secret,
    room: &str,
    message: &Message,
) -> Result<String, Failure> {
    let wrong = || Failure::new(Fault::Channel, format!("{to} is no address of a homeserver"));
    let mut url = Url::parse(homeserver).map_err(|_| wrong())?;
    url.path_segments_mut()
        .map_err(|()| wrong())?
        .pop_if_empty()
        .extend([
            "_matrix",
            "client",
            "v3",
            "rooms",
            room,
            "send",
            "m.room.message",
            &message.uid,
        ]);
    // Notices make no sound, which suits what asks for nothing.
    let kind = match message.kind {
        DeliveryKind::Digest | DeliveryKind::ChannelRecovered | DeliveryKind::Recovery => "m.notice",
        _ => "m.text",
    };
    let body = serde_json::json!({
        "msgtype": kind,
        "body": format!("{}\n\n{}", message.subject, message.brief),
    });
    let request = client
        .put(url)
        .bearer_auth(token.reveal())
        .header(CONTENT_TYPE, "application/json")
        .body(body.to_string());
    match http::send(request, to).await {
        Ok(answer) => {
            let taken = match serde_json::from_str::<Answer>(&answer) {
                Ok(answer) => format!("{to} took it as {}", answer.event_id),
                Err(_) => format!("{to} took it"),
            };
            Ok(kept(&taken, Some(token)))
        }
        Err(failure) => Err(failure.without(Some(token))),
    }
}
