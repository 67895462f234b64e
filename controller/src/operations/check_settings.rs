//! What a check that a person adds is made from, in the words of the command line.

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::{OperationError, Setting};
use crate::catalogue::{Check, HttpCheck, Place, Question, RecordType, Span, Trust};
use crate::health::say;
use crate::model::{Host, Text, is_public_name};

/// What a check asks.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub struct CheckSettings {
    /// Does this page answer?
    #[arg(
        long,
        value_name = "URL",
        group = "kind",
        help_heading = "What is asked (one of these)"
    )]
    #[serde(default)]
    pub http: Option<String>,
    /// Does something listen on this port?
    #[arg(
        long,
        value_name = "PORT",
        group = "kind",
        help_heading = "What is asked (one of these)"
    )]
    #[serde(default)]
    pub tcp: Option<u16>,
    /// Is the certificate for this name good, and for how long?
    #[arg(
        long,
        value_name = "NAME",
        group = "kind",
        help_heading = "What is asked (one of these)"
    )]
    #[serde(default)]
    pub tls: Option<String>,
    /// Is this name in the DNS?
    #[arg(
        long,
        value_name = "NAME",
        group = "kind",
        help_heading = "What is asked (one of these)"
    )]
    #[serde(default)]
    pub dns: Option<String>,
    /// Does the host's SSH server answer, with the key that is known?
    #[arg(long, group = "kind", help_heading = "What is asked (one of these)")]
    #[serde(default)]
    pub ssh: bool,
    /// Is this unit of systemd active? Asked on the host
    #[arg(
        long,
        value_name = "UNIT",
        group = "kind",
        help_heading = "What is asked (one of these)"
    )]
    #[serde(default)]
    pub unit: Option<String>,

    /// Words that the page has to say
    #[arg(long, value_name = "WORDS", help_heading = "Pages")]
    #[serde(default)]
    pub contains: Option<String>,
    /// Words that the page must not say
    #[arg(long, value_name = "WORDS", help_heading = "Pages")]
    #[serde(default)]
    pub lacks: Option<String>,
    /// Codes of a good answer; 200 if nothing else is said
    #[arg(long, value_name = "CODE", value_delimiter = ',', help_heading = "Pages")]
    #[serde(default)]
    pub status: Vec<u16>,
    /// What the answer has to say as JSON, for example /installed=true
    #[arg(long, value_name = "POINTER=VALUE", help_heading = "Pages")]
    #[serde(default)]
    pub json_value: Option<Setting>,
    /// A header that the answer has to have, with words in it
    #[arg(long, value_name = "NAME=WORDS", help_heading = "Pages")]
    #[serde(default)]
    pub header: Vec<Setting>,
    /// Where the page has to send people on to
    #[arg(long, value_name = "URL", help_heading = "Pages")]
    #[serde(default)]
    pub redirect: Option<String>,
    /// Asks only for the headers
    #[arg(long, help_heading = "Pages")]
    #[serde(default)]
    pub head: bool,

    /// Words that what listens on the port says first
    #[arg(long, value_name = "WORDS", help_heading = "Ports")]
    #[serde(default)]
    pub banner: Option<String>,

    /// Port of the certificate; 443 if nothing else is said
    #[arg(long, help_heading = "Certificates")]
    #[serde(default)]
    pub port: Option<u16>,
    /// With fewer days left it is a warning; 14 if nothing else is said
    #[arg(long, value_name = "DAYS", help_heading = "Certificates")]
    #[serde(default)]
    pub warning_days: Option<u32>,
    /// With fewer days left it is critical; 3 if nothing else is said
    #[arg(long, value_name = "DAYS", help_heading = "Certificates")]
    #[serde(default)]
    pub critical_days: Option<u32>,
    /// Who may have signed it: known, public, internal or anybody; also for pages
    #[arg(long, value_name = "WHO", help_heading = "Certificates")]
    #[serde(default)]
    pub trust: Option<Trust>,

    /// What is looked up: address, a, aaaa, mx, txt or cname
    #[arg(long, value_name = "TYPE", help_heading = "Names")]
    #[serde(default)]
    pub record: Option<RecordType>,
    /// What has to be among the answers; may be given several times
    #[arg(long, value_name = "VALUE", help_heading = "Names")]
    #[serde(default)]
    pub value: Vec<String>,
    /// It has to lead to the host
    #[arg(long, help_heading = "Names")]
    #[serde(default)]
    pub points_here: bool,

    /// Where pages and certificates are asked: host (at its address) or name (where the name leads)
    #[arg(long, value_name = "WHERE")]
    #[serde(default)]
    pub at: Option<Place>,
    /// Milliseconds after which a good answer is a warning
    #[arg(long, value_name = "MS")]
    #[serde(default)]
    pub warning_ms: Option<u64>,
    /// Milliseconds after which a good answer is critical
    #[arg(long, value_name = "MS")]
    #[serde(default)]
    pub critical_ms: Option<u64>,
    /// Seconds after which there is no answer; 10 if nothing else is said
    #[arg(long, value_name = "SECONDS")]
    #[serde(default)]
    pub timeout: Option<u64>,
    /// How often it is asked, for example 5m
    #[arg(long, value_name = "TIME")]
    #[serde(default)]
    pub every: Option<Span>,
    /// After how many bad answers in a row it counts; 3 if nothing else is said
    #[arg(long, value_name = "NUMBER")]
    #[serde(default)]
    pub attempts: Option<u32>,
    /// After how many good answers in a row it is well again; 2 if nothing else is said
    #[arg(long, value_name = "NUMBER")]
    #[serde(default)]
    pub recovery: Option<u32>,
    /// What it is called in lists
    #[arg(long, value_name = "WORDS")]
    #[serde(default)]
    pub title: Option<String>,
    /// What a beginner should do when the answer is bad
    #[arg(long, value_name = "WORDS")]
    #[serde(default)]
    pub advice: Option<String>,
}

impl CheckSettings {
    /// A new check of this id.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn check(&self, id: &str, host: Option<&Host>, domains: &[&str]) -> Result<Check, OperationError> {
        let Some((kind, field, value)) = self.kind() else {
            return Err(refused(
                "what shall be asked? Say one of --http URL, --tcp PORT, --tls NAME, --dns NAME, --ssh, --unit UNIT",
            ));
        };
        let mut fields = Map::new();
        fields.insert("id".to_owned(), id.into());
        fields.insert("kind".to_owned(), kind.into());
        if !field.is_empty() {
            fields.insert(field.to_owned(), value);
        }
        self.extend(&mut fields)?;
        if let Some(place) = place(&fields, host, domains)
            && !fields.contains_key("at")
        {
            fields.insert("at".to_owned(), written(&place));
        }
        finished(fields)
    }

    /// A check with some of its fields changed, and some put back to their defaults.
    ///
    /// # Errors
    /// What is wrong.
    pub fn changed(&self, check: &Check, unset: &[String]) -> Result<Check, OperationError> {
        let mut fields = match serde_json::to_value(check) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        // Words of ours follow what is asked.
        if check.title == title(&check.question) {
            fields.remove("title");
        }
        if check.advice == advice(&check.question) {
            fields.remove("advice");
        }
        for name in unset {
            let field = name.replace('-', "_");
            let field = match field.as_str() {
                "header" => "headers".to_owned(),
                "value" => "values".to_owned(),
                "json_value" => "json".to_owned(),
                "head" => "method".to_owned(),
                _ => field,
            };
            if matches!(field.as_str(), "id" | "kind") || fields.remove(&field).is_none() {
                return Err(refused(&format!("the check has no {name} of its own")));
            }
        }
        if let Some((kind, field, value)) = self.kind() {
            if fields.get("kind").and_then(Value::as_str) != Some(kind) {
                return Err(refused(
                    "it asks something of another kind. Remove it and add a new one instead",
                ));
            }
            if !field.is_empty() {
                fields.insert(field.to_owned(), value);
            }
        }
        self.extend(&mut fields)?;
        finished(fields)
    }

    fn kind(&self) -> Option<(&'static str, &'static str, Value)> {
        let text = |text: &Option<String>| text.clone().map(Value::from);
        None.or_else(|| Some(("http", "url", text(&self.http)?)))
            .or_else(|| Some(("tcp", "port", self.tcp?.into())))
            .or_else(|| Some(("tls", "domain", text(&self.tls)?)))
            .or_else(|| Some(("dns", "name", text(&self.dns)?)))
            .or_else(|| Some(("unit", "unit", text(&self.unit)?)))
            .or_else(|| self.ssh.then_some(("ssh", "", Value::Null)))
    }

    /// Writes what was given into a definition.
    fn extend(&self, fields: &mut Map<String, Value>) -> Result<(), OperationError> {
        let text = |text: &Option<String>| text.clone().map(Value::from);
        let spoken = |text: &Option<String>| {
            text.clone().map(|text| {
                written(&Text {
                    de: text.clone(),
                    en: text,
                })
            })
        };
        let json = self.json_value.as_ref().map(|Setting { name, value }| {
            // What is no JSON is meant as a text.
            let equals: Value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value.as_str()));
            serde_json::json!({ "pointer": name, "equals": equals })
        });
        let headers: Map<String, Value> = self
            .header
            .iter()
            .map(|Setting { name, value }| (name.clone(), Value::from(value.as_str())))
            .collect();
        let given = [
            ("contains", text(&self.contains)),
            ("lacks", text(&self.lacks)),
            ("status", (!self.status.is_empty()).then(|| written(&self.status))),
            ("json", json),
            ("headers", (!headers.is_empty()).then_some(Value::Object(headers))),
            ("redirect", text(&self.redirect)),
            ("method", self.head.then(|| "head".into())),
            ("banner", text(&self.banner)),
            ("port", self.port.map(Value::from)),
            ("warning_days", self.warning_days.map(Value::from)),
            ("critical_days", self.critical_days.map(Value::from)),
            ("trust", self.trust.map(|trust| written(&trust))),
            ("record", self.record.map(|record| written(&record))),
            ("values", (!self.value.is_empty()).then(|| written(&self.value))),
            ("points_here", self.points_here.then_some(Value::Bool(true))),
            ("at", self.at.map(|at| written(&at))),
            ("warning_ms", self.warning_ms.map(Value::from)),
            ("critical_ms", self.critical_ms.map(Value::from)),
            ("timeout", self.timeout.map(Value::from)),
            ("every", self.every.map(|every| written(&every))),
            ("attempts", self.attempts.map(Value::from)),
            ("recovery", self.recovery.map(Value::from)),
            ("title", spoken(&self.title)),
            ("advice", spoken(&self.advice)),
        ];
        if self.tcp.is_some() && self.port.is_some() {
            return Err(refused("--tcp names the port already; --port is for --tls"));
        }
        for (field, value) in given {
            if let Some(value) = value {
                fields.insert(field.to_owned(), value);
            }
        }
        Ok(())
    }
}

/// Where a new check is asked, if it is about a name: the domain of a service at its host, and so what only the host can know;
/// other public names where they lead.
fn place(fields: &Map<String, Value>, host: Option<&Host>, domains: &[&str]) -> Option<Place> {
    let text = |field: &str| fields.get(field).and_then(Value::as_str);
    let name = match text("kind")? {
        "http" => Url::parse(text("url")?).ok()?.host_str()?.to_owned(),
        "tls" => text("domain")?.to_owned(),
        _ => return None,
    };
    let at_host = host.is_some() && (!is_public_name(&name) || domains.contains(&name.as_str()));
    Some(if at_host { Place::Host } else { Place::Name })
}

/// A definition as a check, with words of ours where nobody chose any.
fn finished(mut fields: Map<String, Value>) -> Result<Check, OperationError> {
    let blank = written(&Text::default());
    let [no_title, no_advice] = ["title", "advice"].map(|field| {
        let missing = !fields.contains_key(field);
        fields.entry(field).or_insert_with(|| blank.clone());
        missing
    });
    let kind = fields.get("kind").cloned().unwrap_or_default();
    let mut check: Check = serde_json::from_value(Value::Object(fields))
        .map_err(|error| refused(&format!("that does not fit a check of the kind {kind}: {error}")))?;
    if let Some(mistake) = check.mistake() {
        return Err(refused(mistake));
    }
    if no_title {
        check.title = title(&check.question);
    }
    if no_advice {
        check.advice = advice(&check.question);
    }
    Ok(check)
}

/// What a question is called when nobody chose a title.
fn title(question: &Question) -> Text {
    let say = |key: &str, about: &str| say(key, serde_json::json!({ "about": about }));
    match question {
        Question::Http(http) => say("added.http.title", shown_url(http).as_str()),
        Question::Tcp(tcp) => say("added.tcp.title", &tcp.port.to_string()),
        Question::Tls(tls) => say("added.tls.title", &tls.domain),
        Question::Dns(dns) => say("added.dns.title", &dns.name),
        Question::Ssh(_) => say("added.ssh.title", ""),
        Question::Unit(unit) => say("added.unit.title", &unit.unit),
        _ => say("added.other.title", ""),
    }
}

/// What to do when nobody said it.
fn advice(question: &Question) -> Text {
    let key = match question {
        Question::Http(_) => "added.http.advice",
        Question::Tcp(_) => "added.tcp.advice",
        Question::Tls(_) => "added.tls.advice",
        Question::Dns(_) => "added.dns.advice",
        Question::Ssh(_) => "added.ssh.advice",
        _ => "added.other.advice",
    };
    say(key, ())
}

/// An address without what stands behind its question mark, which may be a key to something.
fn shown_url(http: &HttpCheck) -> String {
    http.address()
        .map(|url| url[..url::Position::AfterPath].to_owned())
        .unwrap_or_default()
}

fn written(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn refused(reason: &str) -> OperationError {
    OperationError::Refused(reason.to_owned())
}
