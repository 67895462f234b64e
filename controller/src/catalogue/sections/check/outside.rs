//! Questions that the controller asks from outside.

use serde::{Deserialize, Serialize};

/// A page that has to answer. Redirections are not followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpCheck {
    /// Its address.
    pub url: String,
    /// The codes of a good answer.
    #[serde(default = "ok")]
    pub status: Vec<u16>,
    /// Words that a good answer has in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// What a good answer says as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonExpectation>,
}

/// What has to stand at one place of a JSON document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonExpectation {
    /// A JSON pointer (RFC 6901): `/installed`.
    pub pointer: String,
    /// The value there.
    pub equals: serde_json::Value,
}

/// A TCP port that has to be open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpCheck {
    /// The port.
    pub port: u16,
}

/// A certificate that has to be good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsCheck {
    /// The name that it has to be for.
    pub domain: String,
    /// The port.
    #[serde(default = "https")]
    pub port: u16,
}

fn ok() -> Vec<u16> {
    vec![200]
}

fn https() -> u16 {
    443
}
