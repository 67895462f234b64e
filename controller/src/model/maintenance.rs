//! Maintenance windows: times in which nobody is alarmed.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Name, Recurrence, Subject, Zone};

/// A time in which nobody is alarmed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Maintenance {
    /// Its number.
    pub id: i64,
    /// What it is about.
    pub about: MaintenanceScope,
    /// When.
    pub plan: MaintenancePlan,
    /// Why.
    pub reason: String,
    /// Who made it.
    pub made_by: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// When somebody ended it for good.
    pub ended_at: Option<Timestamp>,
}

/// What a maintenance window is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaintenanceScope {
    /// All that an organisation has.
    Organisation(Name),
    /// A host, and all services on it.
    Host(Name),
    /// A service: `kita-sonne/cloud`.
    Service(String),
}

/// When a maintenance window is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaintenancePlan {
    /// Once.
    Once {
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
    },
    /// Again and again.
    Recurring {
        /// When it begins.
        at: Recurrence,
        /// Whose clock.
        zone: Zone,
        /// For how long.
        seconds: i64,
    },
}

impl Maintenance {
    /// Whether nobody is alarmed about this subject at this time.
    pub fn covers(
        &self,
        subject: &Subject,
        organisation: Option<&Name>,
        host: Option<&Name>,
        at: Timestamp,
    ) -> bool {
        let about = match &self.about {
            MaintenanceScope::Organisation(name) => organisation == Some(name),
            MaintenanceScope::Host(name) => {
                host == Some(name) || matches!(subject, Subject::Host(subject) if subject == name)
            }
            MaintenanceScope::Service(name) => {
                matches!(subject, Subject::Service(service) if service.to_string() == *name)
            }
        };
        about && self.ended_at.is_none_or(|ended| at < ended) && self.plan.is_open(at)
    }
}

impl MaintenancePlan {
    /// From when until when it is open: the time that is now, or else the next one. None when it is over for good.
    pub fn next(&self, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        match self {
            Self::Once { from, until } => (now < *until).then_some((*from, *until)),
            Self::Recurring { at, zone, seconds } => {
                let length = SignedDuration::from_secs(*seconds);
                // One that began by now is open unless it lasted long enough.
                let from = at.next_after(now.checked_sub(length).ok()?, zone.rules())?;
                Some((from, from.checked_add(length).ok()?))
            }
        }
    }

    /// Whether it is open at this time.
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.next(at).is_some_and(|(from, _)| from <= at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    #[test]
    fn a_window_opens_at_each_of_its_times_and_closes_after_its_length() {
        let weekly = MaintenancePlan::Recurring {
            at: "sun 03:00".parse().expect("a recurrence"),
            zone: "Europe/Berlin".parse().expect("a zone"),
            seconds: 7200,
        };
        // Summer time ends on that Sunday: three o'clock is at two in UTC then, and at one a week before.
        for (time, open) in [
            ("2026-10-18T00:59:59Z", false),
            ("2026-10-18T01:00:00Z", true),
            ("2026-10-18T02:59:59Z", true),
            ("2026-10-18T03:00:00Z", false),
            ("2026-10-25T01:59:59Z", false),
            ("2026-10-25T02:00:00Z", true),
            ("2026-10-25T04:00:00Z", false),
        ] {
            assert_eq!(weekly.is_open(at(time)), open, "{time}");
        }
        let next = (at("2026-10-25T02:00:00Z"), at("2026-10-25T04:00:00Z"));
        assert_eq!(weekly.next(at("2026-10-18T03:00:00Z")), Some(next));
        assert_eq!(weekly.next(at("2026-10-25T03:59:59Z")), Some(next));

        let once = MaintenancePlan::Once {
            from: at("2026-10-18T01:00:00Z"),
            until: at("2026-10-18T03:00:00Z"),
        };
        assert!(!once.is_open(at("2026-10-18T00:59:59Z")) && once.is_open(at("2026-10-18T01:00:00Z")));
        assert_eq!(once.next(at("2026-10-18T03:00:00Z")), None);
    }
}
