//! Messages: what a delivery says, in the language of its person. The words are in `templates/mails/`: the first line is the
//! subject.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use include_dir::{Dir, include_dir};
use jiff::Timestamp;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value, context};
use serde::Serialize;

use super::words;
use crate::model::{
    Content, DeliveryKind, Digest, IncidentNotice, Language, Name, NoticeKind, Organisation, Parcel,
    Recipient, Status, Text,
};

static MAILS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../templates/mails");

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build();
    if let Ok(syntax) = syntax {
        environment.set_syntax(syntax);
    }
    for file in MAILS.files() {
        if let (Some(name), Some(text)) = (file.path().to_str(), file.contents_utf8()) {
            // Those that cannot be read are found by the tests.
            let _ = environment.add_template(name, text);
        }
    }
    environment
});

/// The longest subject, in characters; longer ones are cut off by somebody on the way.
const LONGEST_SUBJECT: usize = 150;

/// A message as it goes out.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its name everywhere in the world.
    pub uid: String,
    /// What it is.
    pub kind: DeliveryKind,
    /// How bad the worst of it is.
    pub severity: Status,
    /// One line.
    pub subject: String,
    /// The whole text.
    pub body: String,
    /// A few lines, for where there is little room.
    pub brief: String,
    /// In which language.
    pub language: Language,
    /// The alert that it follows.
    pub reply_to: Option<String>,
    /// Its incidents.
    pub notices: Vec<IncidentNotice>,
}

/// An incident as the templates see it.
#[derive(Serialize)]
struct Told<'a> {
    number: i64,
    subject: &'a str,
    short: &'a str,
    organisation: &'a str,
    title: &'a str,
    sentence: &'a str,
    advice: Option<&'a str>,
    label: &'static str,
    urgency: &'static str,
    happened: &'static str,
    since: String,
    at: String,
    lasted: String,
}

/// Writes a message.
///
/// # Errors
/// A template that does not fit, which is a mistake in the program.
pub fn compose(
    parcel: &Parcel,
    person: &Recipient,
    organisations: &[Organisation],
    now: Timestamp,
) -> Result<Message, minijinja::Error> {
    let language = person.language;
    let zone = person.zone.rules();
    let moment = |at| words::moment(at, zone, language);
    let kind = parcel.delivery.kind;
    let mut notices = parcel.notices.clone();
    notices.sort_by_key(|notice| (std::cmp::Reverse(notice.severity), notice.since, notice.incident));
    let told: Vec<Told<'_>> = notices
        .iter()
        .map(|notice| Told {
            number: notice.incident,
            subject: &notice.subject,
            short: notice
                .subject
                .split_once('/')
                .map_or(notice.subject.as_str(), |(_, service)| service),
            organisation: title(notice.organisation.as_ref(), organisations),
            title: notice.title.spoken(language),
            sentence: notice.sentence.spoken(language),
            advice: notice
                .advice
                .as_ref()
                .filter(|_| notice.kind != NoticeKind::Recovered)
                .map(|advice| advice.spoken(language))
                .filter(|advice| !advice.is_empty()),
            label: words::severity(notice.severity, language),
            urgency: words::urgency(notice.severity, language),
            happened: words::happened(notice.kind, language),
            since: moment(notice.since),
            at: moment(notice.at),
            lasted: words::lasted(notice.at.duration_since(notice.since), language),
        })
        .collect();
    let content = match &parcel.content {
        Content::Incidents | Content::Test => Value::UNDEFINED,
        Content::Channel {
            channel,
            error,
            since,
            undelivered,
            person: unreached,
        } => context! {
            channel => channel.as_str(),
            error => error,
            since => moment(*since),
            person => unreached,
            undelivered => spoken(undelivered, language),
        },
        Content::Away { from, until } => context! {
            from => moment(*from),
            until => moment(*until),
            lasted => words::lasted(until.duration_since(*from), language),
        },
        Content::Digest(digest) => digest_values(digest, person, organisations),
    };
    let values = context! {
        person => person.title.as_str(),
        incidents => Value::from(Serde(&told)),
        organisation => common_organisation(&notices, organisations),
        contacts => contacts(&notices, person, organisations),
        channel => parcel.delivery.channel.as_str(),
        over => kind == DeliveryKind::Recovery,
        now => moment(now),
        content,
    };
    let text = TEMPLATES
        .get_template(&format!("{kind}.{language}.txt"))?
        .render(&values)?;
    let (subject, body) = text.split_once('\n').unwrap_or((&text, ""));
    let body = format!("{}\n", body.trim());
    let brief = match &parcel.content {
        Content::Incidents => TEMPLATES
            .get_template(&format!("brief.{language}.txt"))?
            .render(&values)?
            .trim()
            .to_owned(),
        _ => body.trim().to_owned(),
    };
    Ok(Message {
        uid: parcel.delivery.uid.clone(),
        kind,
        severity: severity(kind, &notices),
        subject: one_line(subject),
        body,
        brief,
        language,
        reply_to: parcel.reply_to.clone(),
        notices,
    })
}

fn severity(kind: DeliveryKind, notices: &[IncidentNotice]) -> Status {
    match kind {
        DeliveryKind::Alert | DeliveryKind::Reminder => notices
            .iter()
            .map(|notice| notice.severity)
            .max()
            .unwrap_or(Status::Warning),
        DeliveryKind::ChannelFailing | DeliveryKind::Away => Status::Warning,
        DeliveryKind::Recovery
        | DeliveryKind::Digest
        | DeliveryKind::ChannelRecovered
        | DeliveryKind::Test => Status::Ok,
    }
}

/// What comes from hosts must not make a second header.
fn one_line(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= LONGEST_SUBJECT {
        return line;
    }
    let mut short: String = line.chars().take(LONGEST_SUBJECT - 1).collect();
    short.push('…');
    short
}

fn title<'o>(name: Option<&Name>, organisations: &'o [Organisation]) -> &'o str {
    organisations
        .iter()
        .find(|organisation| Some(&organisation.name) == name)
        .map_or("Allmende", |organisation| organisation.title.as_str())
}

/// The organisation of all incidents, or Allmende if there are several.
fn common_organisation<'o>(notices: &[IncidentNotice], organisations: &'o [Organisation]) -> &'o str {
    let all: BTreeSet<_> = notices
        .iter()
        .map(|notice| notice.organisation.as_ref())
        .collect();
    match all.first() {
        Some(one) if all.len() == 1 => title(*one, organisations),
        _ => "Allmende",
    }
}

/// Whom to call: the contacts of the organisations, without the person themselves.
fn contacts(notices: &[IncidentNotice], person: &Recipient, organisations: &[Organisation]) -> Vec<String> {
    let concerned: BTreeSet<&Name> = notices
        .iter()
        .filter_map(|notice| notice.organisation.as_ref())
        .collect();
    organisations
        .iter()
        .filter(|organisation| concerned.contains(&organisation.name))
        .flat_map(|organisation| &organisation.contacts)
        .filter(|contact| contact.email.is_none() || contact.email != person.mail)
        .map(ToString::to_string)
        .collect()
}

fn spoken(texts: &[Text], language: Language) -> Vec<String> {
    texts
        .iter()
        .map(|text| text.spoken(language).to_owned())
        .collect()
}

fn digest_values(digest: &Digest, person: &Recipient, organisations: &[Organisation]) -> Value {
    let language = person.language;
    let zone = person.zone.rules();
    let incidents: Vec<_> = digest
        .incidents
        .iter()
        .map(|incident| {
            context! {
                subject => incident.subject.as_str(),
                title => incident.title.spoken(language),
                since => words::moment(incident.since, zone, language),
                lasted => incident.until.map(|until| words::lasted(until.duration_since(incident.since), language)),
            }
        })
        .collect();
    let done: Vec<_> = digest
        .done
        .iter()
        .map(|job| {
            context! {
                title => job.title.as_str(),
                at => words::moment(job.at, zone, language),
                succeeded => job.succeeded,
            }
        })
        .collect();
    let uptime: Vec<_> = digest
        .uptime
        .iter()
        .map(|(service, percent)| {
            let percent = match language {
                Language::De => format!("{percent:.2}").replace('.', ","),
                Language::En => format!("{percent:.2}"),
            };
            context! { service, percent }
        })
        .collect();
    context! {
        organisation => title(Some(&digest.organisation), organisations),
        from => words::day(digest.from, zone, language),
        until => words::day(digest.until, zone, language),
        added => spoken(&digest.added, language),
        removed => spoken(&digest.removed, language),
        attention => spoken(&digest.attention, language),
        incidents,
        done,
        uptime,
    }
}
