//! The weekly digest of an organisation: only what changed. In a week without a change there is none.

use std::collections::BTreeSet;

use jiff::civil::{Date, Weekday};
use jiff::{SignedDuration, Timestamp};

use crate::model::{
    Content, DeliveryKind, Digest, DigestIncident, DigestJob, Name, Organisation, Rule, Subject, Text, Zone,
};
use crate::store::{LastWeek, NewDelivery, Store, StoreError};

/// The hour of Monday at which a week ends.
const HOUR: i8 = 7;

/// How many jobs a digest lists.
const MOST_JOBS: usize = 25;

/// Makes the digests of the last full week that were not made yet, and puts them on their way. Says for how many organisations.
/// Safe at any time, by any number of controllers: a week is told of once.
///
/// # Errors
/// What the store says.
pub async fn due(store: &Store, now: Timestamp) -> Result<usize, StoreError> {
    let notifications = store.notifications();
    let rules = notifications.rules().await?;
    if rules.iter().all(|rule| !rule.digest) {
        return Ok(0);
    }
    let Some(until) = last_monday(now) else {
        return Ok(0);
    };
    let mut made = 0;
    for organisation in store.organisations().list().await? {
        let readers = readers(&organisation.name, &rules);
        if readers.is_empty() {
            continue;
        }
        let last = notifications.last_week(&organisation.name).await?;
        if last.as_ref().is_some_and(|last| last.until >= until) {
            continue;
        }
        let (digest, inventory) = digest(store, &organisation, last, until).await?;
        let messages: Vec<NewDelivery> = if digest.is_empty() {
            Vec::new()
        } else {
            readers
                .into_iter()
                .map(|(person, channel)| NewDelivery {
                    kind: DeliveryKind::Digest,
                    person: person.clone(),
                    channel: channel.clone(),
                    content: Content::Digest(Box::new(digest.clone())),
                    due_at: now,
                    after: None,
                })
                .collect()
        };
        let week = LastWeek { until, inventory };
        let kept = notifications
            .keep_week(&organisation.name, &week, &messages, now)
            .await?;
        made += usize::from(kept && !messages.is_empty());
    }
    Ok(made)
}

/// The last Monday, 07:00 in Berlin.
fn last_monday(now: Timestamp) -> Option<Timestamp> {
    let zone = Zone::default();
    let at = |date: Date| {
        let morning = date.at(HOUR, 0, 0, 0);
        let zoned = morning.to_zoned(zone.rules().clone()).ok()?;
        Some(zoned.timestamp())
    };
    let today = zone.rules().to_datetime(now).date();
    let monday = today.nth_weekday(-1, Weekday::Monday).ok()?;
    if today.weekday() == Weekday::Monday {
        let this = at(today)?;
        return if this <= now { Some(this) } else { at(monday) };
    }
    at(monday)
}

/// Who reads the digest of an organisation, and by which channel.
fn readers<'r>(organisation: &Name, rules: &'r [Rule]) -> BTreeSet<(&'r Name, &'r Name)> {
    rules
        .iter()
        .filter(|rule| rule.digest)
        .filter(|rule| {
            rule.organisation
                .as_ref()
                .is_none_or(|wanted| wanted == organisation)
        })
        .map(|rule| (&rule.person, &rule.channel))
        .collect()
}

/// What changed for an organisation since `last`, and the hosts and services that there are now.
async fn digest(
    store: &Store,
    organisation: &Organisation,
    last: Option<LastWeek>,
    until: Timestamp,
) -> Result<(Digest, Vec<String>), StoreError> {
    let notifications = store.notifications();
    let from = until - SignedDuration::from_hours(7 * 24);
    let mut inventory = Vec::new();
    let mut attention = Vec::new();
    let mut uptime = Vec::new();
    for host in store.hosts().list().await? {
        if host.organisation.as_ref() == Some(&organisation.name) {
            inventory.push(format!("host {}", host.name));
            if let Some(lock) = host.lock {
                attention.push(Text {
                    de: format!("{} ist für Änderungen gesperrt: {}", host.name, lock.reason),
                    en: format!("{} is locked against changes: {}", host.name, lock.reason),
                });
            }
        }
    }
    for service in store.services().list().await? {
        if service.organisation == organisation.name {
            inventory.push(format!("service {} ({})", service.name, service.template));
            let subject = Subject::Service(service.reference());
            if let Some(share) = store.watch().uptime(&subject, from, until).await?
                && share < 1.0
            {
                uptime.push((service.full_name(), share * 100.0));
            }
            if service.applied.is_none() {
                attention.push(Text {
                    de: format!(
                        "{0} wurde noch nie eingerichtet: allmende apply {0}",
                        service.full_name()
                    ),
                    en: format!("{0} was never set up: allmende apply {0}", service.full_name()),
                });
            }
        }
    }
    inventory.sort();
    // The first time there is nothing to compare with: that everything is new would be no news.
    let before = last.map_or_else(|| inventory.clone(), |last| last.inventory);
    let incidents: Vec<DigestIncident> = notifications
        .past_incidents(&organisation.name, from, until)
        .await?
        .into_iter()
        .map(|incident| DigestIncident {
            subject: incident.subject,
            title: incident.title,
            since: incident.since,
            // What was over after the week's end, still lasted then.
            until: incident.until.filter(|end| *end < until),
        })
        .collect();
    attention.extend(
        incidents
            .iter()
            .filter(|incident| incident.until.is_none())
            .map(|incident| Text {
                de: format!("{} – {} ist noch gestört", incident.subject, incident.title.de),
                en: format!("{} – {} is still not well", incident.subject, incident.title.en),
            }),
    );
    let done: Vec<DigestJob> = notifications
        .past_jobs(&organisation.name, from, until)
        .await?
        .into_iter()
        .take(MOST_JOBS)
        .map(|job| DigestJob {
            title: job.title,
            at: job.at,
            succeeded: job.succeeded,
        })
        .collect();
    let digest = Digest {
        organisation: organisation.name.clone(),
        from,
        until,
        added: missing_from(&inventory, &before),
        removed: missing_from(&before, &inventory),
        incidents,
        done,
        uptime,
        attention,
    };
    Ok((digest, inventory))
}

/// What is in `these` and not in `those`, as people say it.
fn missing_from(these: &[String], those: &[String]) -> Vec<Text> {
    these
        .iter()
        .filter(|item| !those.contains(item))
        .map(|item| Text {
            de: item
                .replacen("host ", "Server ", 1)
                .replacen("service ", "Dienst ", 1),
            en: item.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_ends_on_monday_morning_in_berlin() {
        let at = |text: &str| text.parse::<Timestamp>().expect(text);
        for (now, expected) in [
            ("2026-11-23T05:59:59Z", "2026-11-16T06:00:00Z"),
            ("2026-11-23T06:00:00Z", "2026-11-23T06:00:00Z"),
            ("2026-11-29T23:59:00Z", "2026-11-23T06:00:00Z"),
            ("2026-07-05T12:00:00Z", "2026-06-29T05:00:00Z"),
        ] {
            assert_eq!(last_monday(at(now)), Some(at(expected)), "{now}");
        }
    }
}
