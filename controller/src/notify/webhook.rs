//! A signed POST to a program of one's own. `docs/notifications.md` documents the format and how to verify the signature.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use serde::Serialize;
use sha2::Sha256;

use super::failure::{Failure, Fault, kept};
use super::http;
use super::message::Message;
use crate::model::{DeliveryKind, IncidentNotice, Language, Secret, Status};

/// The header with the signature: `t=1763870400,v1=…`.
pub const SIGNATURE: &str = "Allmende-Signature";

/// The header with the message's name, the same for every attempt.
pub const DELIVERY: &str = "Allmende-Delivery";

/// The version of the format.
const VERSION: u32 = 1;

/// What is sent.
#[derive(Serialize)]
struct Body<'a> {
    version: u32,
    id: &'a str,
    kind: DeliveryKind,
    severity: Status,
    person: &'a str,
    language: Language,
    subject: &'a str,
    text: &'a str,
    incidents: &'a [IncidentNotice],
}

/// Sends a message and says what came back.
///
/// # Errors
/// See [`Failure`].
pub async fn send(
    client: &Client,
    url: &str,
    to: &str,
    key: &Secret,
    person: &str,
    message: &Message,
) -> Result<String, Failure> {
    let body = Body {
        version: VERSION,
        id: &message.uid,
        kind: message.kind,
        severity: message.severity,
        person,
        language: message.language,
        subject: &message.subject,
        text: &message.body,
        incidents: &message.notices,
    };
    let body = serde_json::to_vec(&body)
        .map_err(|error| Failure::new(Fault::Refused, format!("the message cannot be written: {error}")))?;
    let request = client
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header(DELIVERY, &message.uid)
        .header(SIGNATURE, signature(key, Timestamp::now().as_second(), &body)?)
        .body(body);
    match http::send(request, to).await {
        Ok(answer) => Ok(kept(&format!("{to} took it. {answer}"), Some(key))),
        Err(mut failure) => {
            // There is one address for everybody: if it is wrong, the channel is.
            if failure.fault == Fault::Message {
                failure.fault = Fault::Channel;
            }
            Err(failure.without(Some(key)))
        }
    }
}

/// The signature: HMAC-SHA256 with the key over the time in unix seconds, a dot, and the body.
fn signature(key: &Secret, at: i64, body: &[u8]) -> Result<String, Failure> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.reveal().as_bytes())
        .map_err(|_| Failure::new(Fault::Channel, "the signing key cannot be used; make a new one"))?;
    mac.update(format!("{at}.").as_bytes());
    mac.update(body);
    let hex: String = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(format!("t={at},v1={hex}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with: printf '1763870400.{"version":1}' | openssl dgst -sha256 -hmac 'correct-horse-battery'
    #[test]
    fn the_signature_is_the_one_that_openssl_makes() {
        let key = Secret::new("correct-horse-battery".to_owned());
        let made = signature(&key, 1_763_870_400, br#"{"version":1}"#).expect("signs");
        assert_eq!(
            made,
            "t=1763870400,v1=043f837708c560a01a4cb132d9265290365580cf7dc6a4493a0aa0287ccf9083"
        );
    }
}
