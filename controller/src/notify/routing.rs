//! Who is told of what, by which channel and when. Pure: it decides, the store writes.
//!
//! - Rules say who; where several fit the same person and channel, the most eager one counts.
//! - What comes within a minute becomes one message.
//! - In quiet hours only critical things are told; the rest waits until they end.
//! - What is over before it was told is not told, neither the fault nor the recovery.
//! - Of a recovery hears who may have heard of the fault, and after it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::model::{
    Channel, ChannelHealth, IncidentNotice, Name, NoticeKind, Overdue, Recipient, Rule, Standing, Step,
    Telling, Thread,
};

/// What comes within this time becomes one message to a person.
pub const GROUPING: SignedDuration = SignedDuration::from_mins(1);

/// What several rules say about one person and channel.
#[derive(Debug, Clone, Copy)]
struct Eagerness {
    delay: i64,
    remind: Option<i64>,
}

/// The ways by which a notice is told, with the most eager of the rules for each.
fn ways<'r>(notice: &IncidentNotice, rules: &'r [Rule]) -> BTreeMap<(&'r Name, &'r Name), Eagerness> {
    let mut ways: BTreeMap<_, Eagerness> = BTreeMap::new();
    for rule in rules {
        let concerns = rule.organisation.is_none() || rule.organisation == notice.organisation;
        if !concerns || !rule.from.lets_through(notice.severity) {
            continue;
        }
        ways.entry((&rule.person, &rule.channel))
            .and_modify(|way| {
                way.delay = way.delay.min(rule.delay);
                way.remind = match (way.remind, rule.remind) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                };
            })
            .or_insert(Eagerness {
                delay: rule.delay,
                remind: rule.remind,
            });
    }
    ways
}

fn find<'p>(people: &'p [Recipient], name: &Name) -> Option<&'p Recipient> {
    people.iter().find(|person| person.name == *name)
}

fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

/// What is done about a notice. `threads` are those of its incident.
pub fn decide(
    notice: &IncidentNotice,
    rules: &[Rule],
    people: &[Recipient],
    threads: &[Thread],
    now: Timestamp,
) -> Vec<Telling> {
    match notice.kind {
        NoticeKind::Opened | NoticeKind::Worsened | NoticeKind::Flapping => {
            tell(notice, rules, people, threads, now)
        }
        NoticeKind::Recovered => threads
            .iter()
            .flat_map(|thread| recover(thread, people, now))
            .collect(),
        NoticeKind::Acknowledged => threads
            .iter()
            .map(|thread| {
                let until = notice.acknowledged_until;
                telling(thread, Step::Quieten { until })
            })
            .collect(),
        // That it is less bad makes nobody act; the end of it is told.
        NoticeKind::Eased | NoticeKind::Reminder => Vec::new(),
    }
}

fn telling(thread: &Thread, step: Step) -> Telling {
    Telling {
        person: thread.person.clone(),
        channel: thread.channel.clone(),
        step,
    }
}

fn tell(
    notice: &IncidentNotice,
    rules: &[Rule],
    people: &[Recipient],
    threads: &[Thread],
    now: Timestamp,
) -> Vec<Telling> {
    let mut tellings = Vec::new();
    for ((person, channel), way) in ways(notice, rules) {
        let Some(recipient) = find(people, person) else {
            continue;
        };
        let thread = threads
            .iter()
            .find(|thread| thread.person == *person && thread.channel == *channel);
        let known = thread.is_some_and(|thread| {
            thread.standing != Standing::Lost
                && thread.severity >= notice.severity
                && notice.kind != NoticeKind::Flapping
        });
        if known {
            continue;
        }
        if let Some(thread) = thread.filter(|thread| thread.standing == Standing::Waiting) {
            tellings.push(telling(thread, Step::Withdraw));
        }
        let earliest = (now + GROUPING).max(notice.at + seconds(way.delay));
        let due = recipient.may_be_told(notice.severity, earliest);
        let remind_at = way
            .remind
            .map(|after| recipient.may_be_told(notice.severity, due + seconds(after)));
        tellings.push(Telling {
            person: person.clone(),
            channel: channel.clone(),
            step: Step::Alert { due, remind_at },
        });
    }
    tellings
}

fn recover(thread: &Thread, people: &[Recipient], now: Timestamp) -> Vec<Telling> {
    let Some(recipient) = find(people, &thread.person) else {
        return vec![telling(thread, Step::End)];
    };
    let due = recipient.may_be_told(thread.severity, now + GROUPING);
    let last = match thread.tried {
        None if !thread.told => Step::End,
        after => Step::Recovery { due, after },
    };
    let mut steps = Vec::new();
    if thread.standing == Standing::Waiting {
        steps.push(Step::Withdraw);
    }
    steps.push(last);
    steps.into_iter().map(|step| telling(thread, step)).collect()
}

/// What is done about an incident that lasts, when its time has come to be told again.
pub fn remind(overdue: &Overdue, rules: &[Rule], people: &[Recipient], now: Timestamp) -> Telling {
    let thread = &overdue.thread;
    let ways = ways(&overdue.notice, rules);
    let again = ways
        .get(&(&thread.person, &thread.channel))
        .and_then(|way| way.remind)
        .zip(find(people, &thread.person));
    let step = match (again, thread.standing) {
        (None, _) | (_, Standing::Lost) => Step::Quieten { until: None },
        // First things first: what was not told cannot be told again.
        (Some((after, _)), Standing::Waiting | Standing::Tried) => Step::Quieten {
            until: Some(now + seconds(after)),
        },
        (Some((after, person)), Standing::Told) => {
            let severity = overdue.notice.severity;
            let due = person.may_be_told(severity, now);
            let remind_at = Some(person.may_be_told(severity, due + seconds(after)));
            Step::Reminder { due, remind_at }
        }
    };
    telling(thread, step)
}

/// The channels that reach a person, those of their rules first.
pub fn channels_of<'c>(
    person: &Recipient,
    rules: &[Rule],
    channels: &'c [(Channel, ChannelHealth)],
) -> Vec<&'c Name> {
    let ruled = |channel: &Channel| {
        rules
            .iter()
            .any(|rule| rule.person == person.name && rule.channel == channel.name)
    };
    let working = channels
        .iter()
        .filter(|(_, health)| health.failing_since.is_none())
        .map(|(channel, _)| channel);
    let mut ways: Vec<&Channel> = working
        // A web hook reaches a program, so only a rule makes it a way to a person.
        .filter(|channel| ruled(channel) || person.address(channel.way.kind()).is_some())
        .collect();
    ways.sort_by_key(|channel| !ruled(channel));
    ways.into_iter().map(|channel| &channel.name).collect()
}

/// Who is told, and by which channel, that a channel fails, or that somebody cannot be reached by it (`person`): somebody who
/// relies on it by another channel, else the next person.
pub fn other_way(
    failed: &Name,
    person: Option<&Name>,
    rules: &[Rule],
    people: &[Recipient],
    channels: &[(Channel, ChannelHealth)],
) -> Option<(Name, Name)> {
    let relies = |candidate: &Recipient| match person {
        Some(person) => candidate.name == *person,
        None => rules
            .iter()
            .any(|rule| rule.person == candidate.name && rule.channel == *failed),
    };
    let has_rules = |candidate: &Recipient| rules.iter().any(|rule| rule.person == candidate.name);
    let mut candidates: Vec<&Recipient> = people
        .iter()
        .filter(|candidate| relies(candidate) || candidate.second || has_rules(candidate))
        .collect();
    candidates.sort_by_key(|candidate| (!relies(candidate), !candidate.second));
    candidates.into_iter().find_map(|candidate| {
        // Where only one person's address is wrong, the channel still serves the others.
        let serves =
            |channel: &Name| channel != failed || person.is_some_and(|person| candidate.name != *person);
        channels_of(candidate, rules, channels)
            .into_iter()
            .find(|channel| serves(channel))
            .map(|channel| (candidate.name.clone(), channel.clone()))
    })
}
