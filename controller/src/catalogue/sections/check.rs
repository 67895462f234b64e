//! `[[checks]]`: what to ask a service or a host again and again.

use serde::{Deserialize, Serialize};

use super::span::Span;
use super::step::{one_minute, root};
use super::{Problem, Renderer, Variables};
use crate::catalogue::template::Text;

/// A check as it is written, before anything in it but its condition is understood.
#[derive(Debug, Clone, Deserialize)]
pub struct CheckEntry {
    /// Unique in the template.
    pub id: String,
    /// What is asked.
    pub title: Text,
    /// It is left out when this expression is false.
    pub when: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub fields: toml::Table,
}

/// A question that is asked again and again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Unique in the template.
    pub id: String,
    /// What is asked, in a few words.
    pub title: Text,
    /// The next step for a beginner when the answer is bad.
    pub advice: Text,
    /// How often it is asked.
    #[serde(default = "five_minutes")]
    pub every: Span,
    /// The question itself.
    #[serde(flatten)]
    pub question: Question,
}

/// The kinds of questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Question {
    /// Does a page answer? Asked from outside.
    Http(HttpCheck),
    /// Does something listen on a port? Asked from outside.
    Tcp(TcpCheck),
    /// Is the certificate good, and for how long? Asked from outside.
    Tls(TlsCheck),
    /// Is a unit of systemd active? Asked on the host.
    Unit(UnitCheck),
    /// What does a program say? Asked on the host.
    Command(CommandCheck),
    /// Has something changed lately? Asked on the host.
    Freshness(FreshnessCheck),
}

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

/// A unit of systemd that has to be active.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitCheck {
    /// With its suffix: `nginx.service`.
    pub unit: String,
}

/// A program that answers by its exit code (0 ok, 1 warning, 2 critical, anything else unknown) and by its first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandCheck {
    /// The program and its arguments; there is no shell.
    pub argv: Vec<String>,
    /// The Unix user that runs it.
    #[serde(default = "root")]
    pub user: String,
    /// Seconds after which it is ended; the answer is then unknown.
    #[serde(default = "one_minute")]
    pub timeout: u64,
}

/// A file or folder that has to change now and then: the newest change in it counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreshnessCheck {
    /// The file or folder.
    pub path: String,
    /// Older than this is a warning.
    pub warning: Span,
    /// Older than this is critical.
    pub critical: Span,
}

fn five_minutes() -> Span {
    Span { seconds: 300 }
}

fn ok() -> Vec<u16> {
    vec![200]
}

fn https() -> u16 {
    443
}

impl CheckEntry {
    /// The check, unless its condition does not hold.
    pub(super) fn render(
        &self,
        renderer: &Renderer,
        variables: &Variables,
    ) -> Result<Option<Check>, Problem> {
        if let Some(condition) = &self.when {
            let holds = renderer
                .expression(condition, variables)
                .map_err(|problem| problem.inside("when"))?;
            if !holds.is_true() {
                return Ok(None);
            }
        }
        let mut fields = self.fields.clone();
        fields.insert("id".to_owned(), self.id.clone().into());
        let title = [("de", &self.title.de), ("en", &self.title.en)];
        let title = title.map(|(language, text)| (language.to_owned(), text.clone().into()));
        fields.insert("title".to_owned(), toml::Table::from_iter(title).into());
        let check: Check = super::rendered(renderer, &fields, variables)?;
        match check.question.mistake() {
            Some(mistake) => Err(Problem::new(mistake)),
            None => Ok(Some(check)),
        }
    }
}

impl Question {
    fn mistake(&self) -> Option<&'static str> {
        match self {
            Self::Http(http) if !http.url.starts_with("https://") && !http.url.starts_with("http://") => {
                Some("url: expected an address that begins with https:// or http://")
            }
            Self::Http(http)
                if http
                    .json
                    .as_ref()
                    .is_some_and(|json| !json.pointer.starts_with('/')) =>
            {
                Some("json, pointer: expected one that begins with /")
            }
            Self::Unit(unit) if !unit.unit.contains('.') => {
                Some("unit: expected its whole name, for example nginx.service")
            }
            Self::Command(command) if command.argv.is_empty() => Some("argv: it is empty"),
            Self::Freshness(fresh) if !fresh.path.starts_with('/') => Some("path: expected an absolute path"),
            Self::Freshness(fresh) if fresh.critical < fresh.warning => {
                Some("critical: expected a longer time than warning")
            }
            _ => None,
        }
    }
}
