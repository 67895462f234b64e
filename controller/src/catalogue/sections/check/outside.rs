//! Questions that the controller asks from outside.
//!
//! Where: at the address of the host, with the name that the question is about as its visitors would say it. So an answer is about
//! this service on this host; whether the name leads there in the DNS is a question of its own, of the kind `dns`. A host behind
//! jump hosts is asked through them.

use std::collections::BTreeMap;
use std::str::FromStr;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use url::Url;

use super::Span;

/// A page that has to answer. Redirections are not followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpCheck {
    /// Its address.
    pub url: String,
    /// Where it is asked.
    #[serde(default, skip_serializing_if = "is_default")]
    pub at: Place,
    /// How it is asked.
    #[serde(default, skip_serializing_if = "is_default")]
    pub method: Method,
    /// The codes of a good answer; with `redirect`, all codes that send people on.
    #[serde(default = "ok")]
    pub status: Vec<u16>,
    /// Words that a good answer has in it. The first 256 KiB are looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// Words that a good answer does not have in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacks: Option<String>,
    /// What a good answer says as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonExpectation>,
    /// Headers of a good answer, each with words that it has in it; no words where it only has to be there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The address to which a good answer sends people on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<String>,
    /// Who may have signed the certificate.
    #[serde(default, skip_serializing_if = "is_default")]
    pub trust: Trust,
    /// Milliseconds after which a good answer is a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_ms: Option<u64>,
    /// Milliseconds after which a good answer is critical.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical_ms: Option<u64>,
    /// Seconds after which there is no answer.
    #[serde(default = "ten", skip_serializing_if = "is_ten")]
    pub timeout: u64,
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
    /// Words that what listens there says first, unasked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub banner: Option<String>,
    /// Milliseconds after which a good answer is a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_ms: Option<u64>,
    /// Milliseconds after which a good answer is critical.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical_ms: Option<u64>,
    /// Seconds after which there is no answer.
    #[serde(default = "ten", skip_serializing_if = "is_ten")]
    pub timeout: u64,
}

/// A day that comes closer: the end of a version's support, of a contract, of a paid domain. Nobody is asked; the calendar says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DateCheck {
    /// The last good day, `YYYY-MM-DD`; afterwards it is critical.
    pub date: Date,
    /// Closer than this is a warning.
    #[serde(default = "sixty_days")]
    pub warning: Span,
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
    /// Where it is asked.
    #[serde(default, skip_serializing_if = "is_default")]
    pub at: Place,
    /// Who may have signed it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub trust: Trust,
    /// With fewer days left it is a warning.
    #[serde(default = "two_weeks", skip_serializing_if = "is_two_weeks")]
    pub warning_days: u32,
    /// With fewer days left it is critical.
    #[serde(default = "three_days", skip_serializing_if = "is_three_days")]
    pub critical_days: u32,
    /// Seconds after which there is no answer.
    #[serde(default = "ten", skip_serializing_if = "is_ten")]
    pub timeout: u64,
}

/// A record in the DNS that has to be there, as the controller's own resolver sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsCheck {
    /// The name that is looked up.
    pub name: String,
    /// What is looked up.
    #[serde(default, skip_serializing_if = "is_default")]
    pub record: RecordType,
    /// What has to be among the answers; without any it only has to be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Whether an address has to be that of the host. Not asked where the host's own address is a private one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub points_here: bool,
    /// Seconds after which there is no answer.
    #[serde(default = "ten", skip_serializing_if = "is_ten")]
    pub timeout: u64,
}

/// The host's SSH server has to answer, and to show the pinned key. Nobody logs in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SshCheck {}

/// Where a question is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// At the address of the host, wherever the name leads; the default.
    #[default]
    Host,
    /// Where the name leads: for what is no service of this host.
    Name,
}

/// How a page is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// With all of it; the default.
    #[default]
    Get,
    /// Only its headers.
    Head,
}

/// Who may have signed a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// An authority that browsers know, or the controller's own; the default.
    #[default]
    Known,
    /// An authority that browsers know.
    Public,
    /// The controller's own authority: services with tls = internal.
    Internal,
    /// Anybody: only name and dates count.
    Anybody,
}

/// What is looked up in the DNS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordType {
    /// Addresses of either kind; the default.
    #[default]
    Address,
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Mail servers, without their preference.
    Mx,
    /// Texts, such as SPF and DKIM.
    Txt,
    /// The name that this one is an alias of.
    Cname,
}

impl RecordType {
    /// What it is called: `MX`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "ADDRESS",
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Mx => "MX",
            Self::Txt => "TXT",
            Self::Cname => "CNAME",
        }
    }
}

/// Reads a word as serde would, for the command line.
fn word<T: serde::de::DeserializeOwned>(text: &str, expected: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|_| format!("expected {expected}"))
}

impl FromStr for RecordType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        word(&text.to_ascii_lowercase(), "address, a, aaaa, mx, txt or cname")
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        word(
            text,
            "host (at the host's address) or name (where the name leads)",
        )
    }
}

impl FromStr for Trust {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        word(text, "known, public, internal or anybody")
    }
}

impl HttpCheck {
    /// Its address.
    ///
    /// # Errors
    /// What is wrong with it, without what it says: there may be a password in it.
    pub fn address(&self) -> Result<Url, &'static str> {
        let expected = "url: expected an address that begins with https:// or http://";
        let url = Url::parse(&self.url).map_err(|_| expected)?;
        if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
            return Err(expected);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "url: it has a user or a password in it, which everybody could read in lists and messages. Choose a page that needs none",
            );
        }
        Ok(url)
    }

    /// The codes of a good answer.
    pub fn good_codes(&self) -> &[u16] {
        const SENDS_ON: [u16; 5] = [301, 302, 303, 307, 308];
        if self.redirect.is_some() && self.status == ok() {
            &SENDS_ON
        } else {
            &self.status
        }
    }

    pub(super) fn mistake(&self) -> Option<&'static str> {
        if let Err(mistake) = self.address() {
            return Some(mistake);
        }
        let json = self.json.as_ref();
        if json.is_some_and(|json| !json.pointer.is_empty() && !json.pointer.starts_with('/')) {
            return Some("json, pointer: expected one that begins with /");
        }
        if self.status.is_empty() || self.status.iter().any(|code| !(100..600).contains(code)) {
            return Some("status: expected codes like 200");
        }
        if self.method == Method::Head && (self.contains.is_some() || self.lacks.is_some() || json.is_some())
        {
            return Some("method: head gets no page in which something could be looked for");
        }
        if self
            .headers
            .keys()
            .any(|name| hyper::header::HeaderName::from_str(name).is_err())
        {
            return Some("headers: expected names like content-type");
        }
        late(self.warning_ms, self.critical_ms).or_else(|| patience(self.timeout))
    }
}

impl TcpCheck {
    pub(super) fn mistake(&self) -> Option<&'static str> {
        if self.port == 0 {
            return Some("port: expected one from 1 to 65535");
        }
        late(self.warning_ms, self.critical_ms).or_else(|| patience(self.timeout))
    }
}

impl TlsCheck {
    pub(super) fn mistake(&self) -> Option<&'static str> {
        if self.port == 0 {
            return Some("port: expected one from 1 to 65535");
        }
        if !is_name(&self.domain) {
            return Some("domain: expected a name like cloud.example.org");
        }
        if self.critical_days > self.warning_days {
            return Some("critical_days: expected no more days than warning_days");
        }
        patience(self.timeout)
    }
}

impl DnsCheck {
    pub(super) fn mistake(&self) -> Option<&'static str> {
        if !is_name(&self.name) {
            return Some("name: expected one like cloud.example.org");
        }
        let is_address = matches!(
            self.record,
            RecordType::Address | RecordType::A | RecordType::Aaaa
        );
        if self.points_here && (!is_address || !self.values.is_empty()) {
            return Some("points_here: it belongs to addresses, and leaves no place for values");
        }
        patience(self.timeout)
    }
}

/// A name that can be asked for; some have an underscore, like those of DKIM.
fn is_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        })
}

fn late(warning: Option<u64>, critical: Option<u64>) -> Option<&'static str> {
    match (warning, critical) {
        (Some(warning), Some(critical)) if critical < warning => {
            Some("critical_ms: expected no less than warning_ms")
        }
        _ => None,
    }
}

fn patience(timeout: u64) -> Option<&'static str> {
    (!(1..=60).contains(&timeout)).then_some("timeout: expected 1 to 60 seconds")
}

fn ok() -> Vec<u16> {
    vec![200]
}

fn https() -> u16 {
    443
}

fn ten() -> u64 {
    10
}

fn sixty_days() -> Span {
    Span { seconds: 60 * 86_400 }
}

fn two_weeks() -> u32 {
    14
}

fn three_days() -> u32 {
    3
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_ten(value: &u64) -> bool {
    *value == ten()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_two_weeks(value: &u32) -> bool {
    *value == two_weeks()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_three_days(value: &u32) -> bool {
    *value == three_days()
}
