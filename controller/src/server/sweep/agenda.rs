//! When what is asked again: pure, with times given from outside.
//!
//! What belongs to one group (all questions that a host's agent answers) is asked in one go. Each group has a moment of its own
//! within its rhythm, derived from its name, so that a thousand hosts are not asked at once, and so that a server that starts
//! anew, or takes over from another, keeps the rhythm.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// How soon a bad answer is asked for again, before it counts; never later than the rhythm. What is asked seldom is mostly dear, and is
/// asked again after a twentieth of its rhythm.
const SOON: Duration = Duration::from_secs(30);

/// One thing that is asked in a rhythm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<K> {
    /// What is asked.
    pub key: K,
    /// What is asked together with it: the host whose agent answers, or the check itself.
    pub group: String,
    /// How often.
    pub every: Duration,
}

struct Planned {
    group: String,
    every: Duration,
    /// Unix milliseconds.
    next: i64,
}

/// What is asked when.
pub struct Agenda<K> {
    planned: BTreeMap<K, Planned>,
    times: BTreeSet<(i64, K)>,
}

impl<K: Ord + Clone + Hash> Default for Agenda<K> {
    fn default() -> Self {
        Self {
            planned: BTreeMap::new(),
            times: BTreeSet::new(),
        }
    }
}

impl<K: Ord + Clone + Hash> Agenda<K> {
    /// Asks these from now on and nothing else. What was there before keeps its time; what is new comes at the next moment of its
    /// group, and at once when `at_once` says so.
    pub fn set(&mut self, entries: Vec<Entry<K>>, now: Timestamp, at_once: impl Fn(&K) -> bool) {
        let mut before = std::mem::take(&mut self.planned);
        self.times.clear();
        for Entry { key, group, every } in entries {
            let next = match before.remove(&key) {
                Some(planned) if planned.group == group && planned.every == every => planned.next,
                _ if at_once(&key) => now.as_millisecond(),
                _ => next_moment(&group, every, now.as_millisecond()),
            };
            self.times.insert((next, key.clone()));
            self.planned.insert(key, Planned { group, every, next });
        }
    }

    /// Takes what is due, by group, and plans when it comes next. What was missed while nobody looked is asked once.
    pub fn due(&mut self, now: Timestamp) -> BTreeMap<String, Vec<K>> {
        let now = now.as_millisecond();
        let mut due: BTreeMap<String, Vec<K>> = BTreeMap::new();
        while let Some((time, key)) = self.times.first().cloned()
            && time <= now
        {
            self.times.pop_first();
            let Some(planned) = self.planned.get_mut(&key) else {
                continue;
            };
            planned.next = next_moment(&planned.group, planned.every, now);
            self.times.insert((planned.next, key.clone()));
            due.entry(planned.group.clone()).or_default().push(key);
        }
        due
    }

    /// Asks something again soon, because its answer was bad and does not count yet.
    pub fn again_soon(&mut self, key: &K, now: Timestamp) {
        if let Some(planned) = self.planned.get_mut(key) {
            let soon = now.as_millisecond() + milliseconds(SOON.max(planned.every / 20).min(planned.every));
            if soon < planned.next {
                self.times.remove(&(planned.next, key.clone()));
                planned.next = soon;
                self.times.insert((soon, key.clone()));
            }
        }
    }

    /// Asks something now.
    pub fn at_once(&mut self, key: &K, now: Timestamp) {
        if let Some(planned) = self.planned.get_mut(key) {
            self.times.remove(&(planned.next, key.clone()));
            planned.next = now.as_millisecond();
            self.times.insert((planned.next, key.clone()));
        }
    }
}

/// The first moment of a group's rhythm after `now`.
fn next_moment(group: &str, every: Duration, now: i64) -> i64 {
    let every = milliseconds(every).max(1);
    let hash = Sha256::digest(group.as_bytes());
    let hash = hash
        .iter()
        .take(7)
        .fold(0, |number, byte| number << 8 | i64::from(*byte));
    let phase = hash % every;
    now - (now - phase).rem_euclid(every) + every
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).expect("a time")
    }

    fn entry(key: u32, group: &str, seconds: u64) -> Entry<u32> {
        Entry {
            key,
            group: group.to_owned(),
            every: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn a_group_is_asked_together_and_bad_answers_again_soon() {
        let mut agenda = Agenda::default();
        agenda.set(
            vec![
                entry(1, "web1", 300),
                entry(2, "web1", 300),
                entry(3, "page", 300),
            ],
            at(0),
            |_| false,
        );
        let mut asked = BTreeMap::<u32, Vec<i64>>::new();
        for second in 0..=600 {
            for (group, keys) in agenda.due(at(second * 1000)) {
                if group == "web1" {
                    assert_eq!(keys, [1, 2]);
                }
                for key in keys {
                    asked.entry(key).or_default().push(second);
                }
            }
        }
        assert_eq!(asked[&1].len(), 2);
        assert_eq!(asked[&1][1] - asked[&1][0], 300);
        assert_eq!(asked[&1], asked[&2]);

        let now = at(601_000);
        agenda.again_soon(&3, now);
        let soon = at(601_000 + milliseconds(SOON));
        assert!(agenda.due(soon).contains_key("page"));

        // Twelve hours, and so 36 minutes.
        agenda.set(vec![entry(4, "setup", 43_200)], at(0), |_| false);
        let answered = agenda.planned[&4].next - 7_200_000;
        agenda.again_soon(&4, at(answered));
        assert!(agenda.due(at(answered + 2_159_000)).is_empty());
        assert!(agenda.due(at(answered + 2_160_000)).contains_key("setup"));
    }

    #[test]
    fn what_was_missed_is_asked_once() {
        let mut agenda = Agenda::default();
        agenda.set(vec![entry(1, "web1", 60)], at(0), |_| true);
        assert_eq!(agenda.due(at(0)).len(), 1);
        assert_eq!(agenda.due(at(86_400_000))["web1"], [1]);
        assert!(agenda.due(at(86_400_000)).is_empty());
    }

    proptest! {
        #[test]
        fn everything_is_asked_once_in_each_rhythm(
            rhythms in prop::collection::vec((1u64..400, "[a-c]"), 1..20),
            step in 200i64..5000,
            changes in prop::collection::vec(0i64..2_000_000, 0..4),
        ) {
            let entries: Vec<_> = rhythms.iter().zip(0..).map(|((every, group), key)| entry(key, group, *every)).collect();
            let mut agenda = Agenda::default();
            agenda.set(entries.clone(), at(0), |_| false);
            let mut last = BTreeMap::<u32, i64>::new();
            let mut now = 0;
            while now < 2_000_000 {
                // A change of the inventory that changes nothing about these loses and doubles nothing.
                if changes.iter().any(|change| (now..now + step).contains(change)) {
                    agenda.set(entries.clone(), at(now), |_| false);
                }
                for key in agenda.due(at(now)).into_values().flatten() {
                    let every = i64::try_from(rhythms[key as usize].0).expect("small") * 1000;
                    if let Some(before) = last.insert(key, now) {
                        prop_assert!(now - before <= every + 2 * step, "late: {} after {before}", now);
                        prop_assert!(now - before > every - 2 * step || every < 2 * step, "twice: {} after {before}", now);
                    }
                }
                now += step;
            }
            for (key, (every, _)) in rhythms.iter().enumerate() {
                let every = i64::try_from(*every).expect("small") * 1000;
                let last = last.get(&u32::try_from(key).expect("small")).copied();
                prop_assert!(last.is_some_and(|last| now - last <= every + 2 * step));
            }
        }

        #[test]
        fn groups_are_spread_over_their_rhythm(every in 60u64..3600) {
            let moments: BTreeSet<i64> = (0..100)
                .map(|host| next_moment(&format!("host{host}"), Duration::from_secs(every), 0) * 10 / milliseconds(Duration::from_secs(every)))
                .collect();
            prop_assert!(moments.len() >= 8, "{moments:?}");
        }
    }
}
