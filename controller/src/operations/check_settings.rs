//! What a check that a person adds is made from, in the words of the command line.

use clap::Args;
use jiff::civil::Date;
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
    #[serde(default, skip_serializing_if = "is_default")]
    pub http: Option<String>,
    /// Does something listen on this port?
    #[arg(
        long,
        value_name = "PORT",
        group = "kind",
        help_heading = "What is asked (one of these)"
    )]
    #[serde(default, skip_serializing_if = "is_default")]
    pub tcp: Option<u16>,
    /// Is the certificate for this name good, and for how long?
    #[arg(
        long,
        value_name = "NAME",
        group = "kind",
        help_heading = "What is asked (one of these)"
    )]
    #[serde(default, skip_serializing_if = "is_default")]
    pub tls: Option<String>,
    /// Is this name in the DNS?
    #[arg(
        long,
        value_name = "NAME",
        group = "kind",
        help_heading = "What is asked (one of these)"
    )]
    #[serde(default, skip_serializing_if = "is_default")]
    pub dns: Option<String>,
    /// Does the host's SSH server answer, with the key that is known?
    #[arg(long, group = "kind", help_heading = "What is asked (one of these)")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub ssh: bool,
    /// Is this unit of systemd active? Asked on the host
    #[arg(
        long,
        value_name = "UNIT",
        group = "kind",
        help_heading = "What is asked (one of these)"
    )]
    #[serde(default, skip_serializing_if = "is_default")]
    pub unit: Option<String>,

    /// How long is it until this day, for example 2027-06-30? The end of a contract, of a domain, of a version
    #[arg(
        long,
        value_name = "DAY",
        group = "kind",
        help_heading = "What is asked (one of these)"
    )]
    #[serde(default, skip_serializing_if = "is_default")]
    pub date: Option<Date>,

    /// Words that the page has to say
    #[arg(long, value_name = "WORDS", help_heading = "Pages")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub contains: Option<String>,
    /// Words that the page must not say
    #[arg(long, value_name = "WORDS", help_heading = "Pages")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub lacks: Option<String>,
    /// Codes of a good answer; 200 if nothing else is said
    #[arg(long, value_name = "CODE", value_delimiter = ',', help_heading = "Pages")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub status: Vec<u16>,
    /// What the answer has to say as JSON, for example /installed=true
    #[arg(long, value_name = "POINTER=VALUE", help_heading = "Pages")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub json_value: Option<Setting>,
    /// A header that the answer has to have, with words in it
    #[arg(long, value_name = "NAME=WORDS", help_heading = "Pages")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub header: Vec<Setting>,
    /// Where the page has to send people on to
    #[arg(long, value_name = "URL", help_heading = "Pages")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub redirect: Option<String>,
    /// Asks only for the headers
    #[arg(long, help_heading = "Pages")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub head: bool,

    /// Words that what listens on the port says first
    #[arg(long, value_name = "WORDS", help_heading = "Ports")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub banner: Option<String>,

    /// Port of the certificate; 443 if nothing else is said
    #[arg(long, help_heading = "Certificates")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub port: Option<u16>,
    /// With fewer days left it is a warning; 14 if nothing else is said, and 60 before a day
    #[arg(long, value_name = "DAYS", help_heading = "Certificates")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub warning_days: Option<u32>,
    /// With fewer days left it is critical; 3 if nothing else is said
    #[arg(long, value_name = "DAYS", help_heading = "Certificates")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub critical_days: Option<u32>,
    /// Who may have signed it: known, public, internal or anybody; also for pages
    #[arg(long, value_name = "WHO", help_heading = "Certificates")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub trust: Option<Trust>,

    /// What is looked up: address, a, aaaa, mx, txt or cname
    #[arg(long, value_name = "TYPE", help_heading = "Names")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub record: Option<RecordType>,
    /// What has to be among the answers; may be given several times
    #[arg(long, value_name = "VALUE", help_heading = "Names")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub value: Vec<String>,
    /// It has to lead to the host
    #[arg(long, help_heading = "Names")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub points_here: bool,

    /// Where pages and certificates are asked: host (at its address) or name (where the name leads)
    #[arg(long, value_name = "WHERE")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub at: Option<Place>,
    /// Milliseconds after which a good answer is a warning
    #[arg(long, value_name = "MS")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub warning_ms: Option<u64>,
    /// Milliseconds after which a good answer is critical
    #[arg(long, value_name = "MS")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub critical_ms: Option<u64>,
    /// Seconds after which there is no answer; 10 if nothing else is said
    #[arg(long, value_name = "SECONDS")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeout: Option<u64>,
    /// How often it is asked, for example 5m
    #[arg(long, value_name = "TIME")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub every: Option<Span>,
    /// After how many bad answers in a row it counts; 3 if nothing else is said
    #[arg(long, value_name = "NUMBER")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub attempts: Option<u32>,
    /// After how many good answers in a row it is well again; 2 if nothing else is said
    #[arg(long, value_name = "NUMBER")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub recovery: Option<u32>,
    /// A check on which it depends, of the same service or of its host: while that is bad, this one raises no incident; may be given
    /// several times
    #[arg(long, value_name = "CHECK")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub needs: Vec<String>,
    /// What it is called in lists
    #[arg(long, value_name = "WORDS")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub title: Option<String>,
    /// What a beginner should do when the answer is bad
    #[arg(long, value_name = "WORDS")]
    #[serde(default, skip_serializing_if = "is_default")]
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
                "what shall be asked? Say one of --http URL, --tcp PORT, --tls NAME, --dns NAME, --ssh, --unit UNIT, --date DAY",
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

    /// Itself as jobs and the audit log keep it: without a password that somebody wrote into an address.
    #[must_use]
    pub fn kept(&self) -> Self {
        let kept = |address: &Option<String>| {
            address.clone().map(|address| match Url::parse(&address) {
                _ if !address.contains('@') => address,
                Ok(mut url) if matches!(url.scheme(), "https" | "http") => {
                    // An address that cannot have a password has none that could stay.
                    let _ = url.set_password(None).and_then(|()| url.set_username(""));
                    url.into()
                }
                // Nobody can tell what stands before the @.
                _ => "…".to_owned(),
            })
        };
        Self {
            http: kept(&self.http),
            redirect: kept(&self.redirect),
            ..self.clone()
        }
    }

    fn kind(&self) -> Option<(&'static str, &'static str, Value)> {
        let text = |text: &Option<String>| text.clone().map(Value::from);
        None.or_else(|| Some(("http", "url", text(&self.http)?)))
            .or_else(|| Some(("tcp", "port", self.tcp?.into())))
            .or_else(|| Some(("tls", "domain", text(&self.tls)?)))
            .or_else(|| Some(("dns", "name", text(&self.dns)?)))
            .or_else(|| Some(("unit", "unit", text(&self.unit)?)))
            .or_else(|| Some(("date", "date", written(&self.date?))))
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
            ("needs", (!self.needs.is_empty()).then(|| written(&self.needs))),
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
        if fields.get("kind").is_some_and(|kind| kind == "date")
            && let Some(days) = self.warning_days
        {
            fields.remove("warning_days");
            fields.insert("warning".to_owned(), (u64::from(days) * 86_400).into());
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
        Question::Date(date) => say("added.date.title", &date.date.to_string()),
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
        Question::Date(_) => "added.date.advice",
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

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn written(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn refused(reason: &str) -> OperationError {
    OperationError::Refused(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(settings: &CheckSettings) -> Result<Check, String> {
        settings.check("x", None, &[]).map_err(|error| error.to_string())
    }

    fn page(url: &str) -> CheckSettings {
        CheckSettings {
            http: Some(url.to_owned()),
            ..CheckSettings::default()
        }
    }

    #[test]
    fn a_day_is_watched_with_as_much_notice_as_somebody_wants() {
        let settings = |warning_days| CheckSettings {
            date: Some(jiff::civil::date(2027, 6, 30)),
            warning_days,
            needs: vec!["page".to_owned()],
            ..CheckSettings::default()
        };
        let warning = |days| match made(&settings(days)).expect("a check").question {
            Question::Date(date) => date.warning.seconds / 86_400,
            other => panic!("{other:?}"),
        };
        assert_eq!((warning(None), warning(Some(14))), (60, 14));
        let check = made(&settings(None)).expect("a check");
        assert!(check.title.en.contains("2027-06-30"), "{}", check.title.en);
        assert_eq!(check.needs, ["page"]);
    }

    #[test]
    fn an_added_check_is_written_and_read_again() {
        let every = "15m".parse().ok();
        let all = [
            CheckSettings {
                contains: Some("Grüße".to_owned()),
                status: vec![200, 401],
                json_value: "/installed=true".parse().ok(),
                header: "content-type=text/html".parse().into_iter().collect(),
                redirect: Some("https://b.example/".to_owned()),
                every,
                ..page("https://a.example/")
            },
            CheckSettings {
                tcp: Some(25),
                banner: Some("220".to_owned()),
                title: Some("Mail".to_owned()),
                ..CheckSettings::default()
            },
            CheckSettings {
                tls: Some("a.example".to_owned()),
                trust: Some(Trust::Anybody),
                warning_days: Some(30),
                ..CheckSettings::default()
            },
            CheckSettings {
                dns: Some("a.example".to_owned()),
                record: Some(RecordType::Mx),
                value: vec!["mail.a.example".to_owned()],
                ..CheckSettings::default()
            },
            CheckSettings {
                ssh: true,
                ..CheckSettings::default()
            },
            CheckSettings {
                unit: Some("cups.service".to_owned()),
                ..CheckSettings::default()
            },
        ];
        for settings in all {
            let check = made(&settings).expect("is made");
            let text = serde_json::to_string(&check).expect("is written");
            let again: Check = serde_json::from_str(&text).expect(&text);
            assert_eq!(again, check, "{text}");
            let same = settings.changed(&check, &[]).map_err(|error| error.to_string());
            assert_eq!(same, Ok(check), "{text}");
        }
    }

    #[test]
    fn words_of_ours_follow_what_is_asked_and_chosen_ones_stay() {
        let check = made(&page("https://a.example/old?key=t0p")).expect("is made");
        assert_eq!(check.title.de, "https://a.example/old antwortet");
        let change = page("https://a.example/new");
        let changed = change.changed(&check, &[]).expect("changes");
        assert_eq!(changed.title.en, "https://a.example/new answers");
        let own = CheckSettings {
            title: Some("The front door".to_owned()),
            ..CheckSettings::default()
        };
        let named = own.changed(&changed, &[]).expect("changes");
        let again = page("https://a.example/third")
            .changed(&named, &[])
            .expect("changes");
        assert_eq!(again.title.de, "The front door");
        let back = CheckSettings::default().changed(&again, &["title".to_owned()]);
        assert_eq!(back.expect("changes").title.en, "https://a.example/third answers");
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_does() {
        let tcp = |port| CheckSettings {
            tcp: Some(port),
            ..CheckSettings::default()
        };
        let cases = [
            (CheckSettings::default(), "Say one of --http URL"),
            (page("a.example"), "begins with https:// or http://"),
            (page("ftp://a.example/"), "begins with https:// or http://"),
            (page("https://anna:geheim@a.example/"), "a user or a password"),
            (tcp(0), "port: expected one from 1"),
            (
                CheckSettings {
                    contains: Some("x".to_owned()),
                    ..tcp(25)
                },
                "unknown field `contains`",
            ),
            (
                CheckSettings {
                    attempts: Some(0),
                    ..tcp(25)
                },
                "at least 1",
            ),
            (
                CheckSettings {
                    head: true,
                    contains: Some("x".to_owned()),
                    ..page("https://a.example/")
                },
                "no page in which something could be looked for",
            ),
        ];
        for (settings, told) in cases {
            let error = made(&settings).expect_err(told);
            assert!(error.contains(told), "{error}");
            assert!(!error.contains("geheim"), "{error}");
        }
        let check = made(&tcp(25)).expect("is made");
        let other = page("https://a.example/").changed(&check, &[]);
        assert!(other.expect_err("refused").to_string().contains("another kind"));
        let unset = CheckSettings::default().changed(&check, &["contains".to_owned()]);
        assert!(unset.expect_err("refused").to_string().contains("no contains"));
    }

    #[test]
    fn a_password_in_an_address_is_not_remembered() {
        for address in [
            "https://anna:geheim@a.example/",
            "anna:geheim@a.example",
            "https://geheim@a.example/",
        ] {
            let kept = serde_json::to_string(&page(address).kept()).expect("is written");
            assert!(!kept.contains("geheim"), "{kept}");
        }
        let plain = page("https://a.example/?x=1");
        assert_eq!(plain.kept().http, plain.http);
    }

    #[test]
    fn a_services_own_name_is_asked_at_its_host_and_another_where_it_leads() {
        let host = host();
        for (url, place) in [
            ("https://cloud.kita.de/a", Place::Host),
            ("https://cloud.kita.test/a", Place::Host),
            ("https://www.elsewhere.de/", Place::Name),
        ] {
            let check = page(url)
                .check("x", Some(&host), &["cloud.kita.de"])
                .expect("is made");
            let Question::Http(http) = check.question else {
                panic!("another question");
            };
            assert_eq!(http.at, place, "{url}");
        }
    }

    fn host() -> Host {
        serde_json::from_value(serde_json::json!({
            "name": "web1", "organisation": null, "address": "192.0.2.7", "port": 22, "host_key": "",
            "location": null, "provider": null, "monthly_cost": null, "settings": {},
            "facts": allmende_agent::protocol::Facts::default(), "seen_at": "2026-11-23T00:00:00Z",
        }))
        .expect("a host")
    }
}
