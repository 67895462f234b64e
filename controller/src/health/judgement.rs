//! Judgement: what an answer means after those before it. Pure: a state and an answer come in, a state and at most one change
//! come out.
//!
//! - A bad answer counts after `attempts` in a row; until then it is asked again soon. Well again is what was answered well
//!   `recovery` times in a row.
//! - *Unknown* is bad as well: what cannot be told for long needs somebody. Its incident is a warning.
//! - Maintenance, and whatever is bad that a check depends on (its host is not reached, its web server does not run), keep incidents
//!   from being opened, never from being closed. When they are over, what is still bad opens with its next answer. What depends on
//!   something opens only after that was found well *later* than the first bad answer, so that of two that fail together the cause
//!   is told of and not its consequence. A warning explains no worse than a warning.
//! - What comes and goes stays one incident until it has calmed down: the way of Icinga, the last 21 answers, changes weighted from
//!   0.8 (oldest) to 1.2 (newest); it begins above 30 % and ends below 25 %.
//! - An answer that is not newer than the last one changes nothing: a batch may be judged twice.

use jiff::Timestamp;

use crate::model::{CheckState, Ground, IncidentChange, Judged, RECENT_ANSWERS, Status, Surroundings};

/// From this share of changes on something comes and goes, in percent.
const FLAPPING_BEGINS: f64 = 30.0;

/// Below this share it has calmed down, in percent.
const FLAPPING_ENDS: f64 = 25.0;

/// When an answer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// After how many bad answers in a row it is bad.
    pub attempts: u32,
    /// After how many good answers in a row it is well again.
    pub recovery: u32,
}

/// Judges an answer.
pub fn judge(
    before: &CheckState,
    status: Status,
    rules: Rules,
    around: Surroundings,
    at: Timestamp,
) -> Judged {
    let mut state = before.clone();
    if before.asked_at.is_some_and(|asked| at <= asked) {
        return Judged {
            state,
            change: None,
            again_soon: false,
        };
    }
    state.asked_at = Some(at);
    state.since = state.since.or(Some(at));
    remember(&mut state, status == Status::Ok);
    let (change, again_soon) = if status == Status::Ok {
        well(&mut state, rules, at)
    } else {
        bad(&mut state, status, rules, around, at)
    };
    Judged {
        state,
        change,
        again_soon,
    }
}

fn remember(state: &mut CheckState, good: bool) {
    state.recent.push_back(good);
    while state.recent.len() > RECENT_ANSWERS {
        state.recent.pop_front();
    }
    let share = share_of_changes(state);
    state.flapping = if state.flapping {
        share >= FLAPPING_ENDS
    } else {
        share > FLAPPING_BEGINS
    };
}

/// How much of the last answers were changes, in percent; newer ones weigh more.
fn share_of_changes(state: &CheckState) -> f64 {
    let possible = RECENT_ANSWERS - 1;
    let answers: Vec<bool> = state.recent.iter().copied().collect();
    // What was not asked yet counts as no change.
    let missing = possible.saturating_sub(answers.len().saturating_sub(1));
    let changes: f64 = answers
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[0] != pair[1])
        .map(|(place, _)| 0.8 + 0.4 * (missing + place) as f64 / (possible - 1) as f64)
        .sum();
    changes * 100.0 / possible as f64
}

fn well(state: &mut CheckState, rules: Rules, at: Timestamp) -> (Option<IncidentChange>, bool) {
    state.good = state.good.saturating_add(1);
    state.bad = 0;
    let is_over = state.good >= rules.recovery && !state.flapping;
    if state.status != Status::Ok && is_over {
        state.status = Status::Ok;
        state.since = Some(at);
    }
    if state.status == Status::Ok && (state.open.is_none() || is_over) {
        state.first_bad = None;
    }
    if state.open.is_some() && is_over {
        state.open = None;
        return (Some(IncidentChange::Recovered), false);
    }
    (None, state.status != Status::Ok && state.good < rules.recovery)
}

fn bad(
    state: &mut CheckState,
    status: Status,
    rules: Rules,
    around: Surroundings,
    at: Timestamp,
) -> (Option<IncidentChange>, bool) {
    state.bad = state.bad.saturating_add(1);
    state.good = 0;
    let first_bad = *state.first_bad.get_or_insert(at);
    let counts = state.bad >= rules.attempts || state.status != Status::Ok || state.flapping;
    if !counts {
        return (None, true);
    }
    if state.status != status {
        state.status = status;
        state.since = Some(at);
    }
    let severity = status.max(Status::Warning);
    let explained = match around.ground {
        Ground::None => false,
        Ground::Bad(cause) => severity <= cause.max(Status::Warning),
        Ground::Good(asked) => asked < first_bad,
    };
    let change = match state.open {
        None if explained || around.maintenance => None,
        None => {
            state.open = Some(severity);
            Some(if state.flapping && state.bad < rules.attempts {
                IncidentChange::Flapping
            } else {
                IncidentChange::Opened(severity)
            })
        }
        Some(_) if explained || around.maintenance => None,
        Some(worst) if severity > worst => {
            state.open = Some(severity);
            Some(IncidentChange::Worsened(severity))
        }
        Some(worst) if severity < worst => Some(IncidentChange::Eased(severity)),
        Some(_) => None,
    };
    (change, explained && change.is_none() && state.open.is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: Rules = Rules {
        attempts: 3,
        recovery: 2,
    };
    const NOTHING_ELSE: Surroundings = Surroundings {
        maintenance: false,
        ground: Ground::None,
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    /// What happens when these answers come, each a minute after the other.
    fn changes(answers: &[Status], around: impl Fn(i64) -> Surroundings) -> Vec<(i64, IncidentChange)> {
        let mut state = CheckState::default();
        let mut changes = Vec::new();
        for (minute, status) in (1..).zip(answers) {
            let judged = judge(&state, *status, RULES, around(minute), at(minute * 60));
            changes.extend(judged.change.map(|change| (minute, change)));
            state = judged.state;
        }
        changes
    }

    use IncidentChange::{Eased, Flapping, Opened, Recovered, Worsened};
    use Status::{Critical, Ok, Unknown, Warning};

    #[test]
    fn a_single_bad_answer_alarms_nobody_and_three_do() {
        assert_eq!(changes(&[Ok, Critical, Ok, Ok], |_| NOTHING_ELSE), []);
        let seen = changes(&[Ok, Critical, Critical, Critical, Critical, Ok, Ok], |_| {
            NOTHING_ELSE
        });
        assert_eq!(seen, [(4, Opened(Critical)), (7, Recovered)]);
    }

    #[test]
    fn it_is_one_incident_however_bad_it_becomes() {
        let answers = [Warning, Warning, Warning, Critical, Warning, Critical, Ok, Ok];
        let seen = changes(&answers, |_| NOTHING_ELSE);
        assert_eq!(
            seen,
            [
                (3, Opened(Warning)),
                (4, Worsened(Critical)),
                (5, Eased(Warning)),
                (8, Recovered)
            ]
        );
        let seen = changes(&[Unknown, Unknown, Unknown, Ok, Ok], |_| NOTHING_ELSE);
        assert_eq!(seen, [(3, Opened(Warning)), (5, Recovered)]);
    }

    #[test]
    fn maintenance_keeps_from_opening_and_what_is_still_bad_opens_afterwards() {
        let until = |end: i64| {
            move |minute| Surroundings {
                maintenance: minute < end,
                ground: Ground::None,
            }
        };
        assert_eq!(changes(&[Critical; 6], until(5)), [(5, Opened(Critical))]);
        assert_eq!(
            changes(&[Critical, Critical, Critical, Critical, Ok, Ok], until(5)),
            []
        );
        // It was open before: maintenance does not keep it from closing.
        let later = |minute| Surroundings {
            maintenance: minute > 3,
            ground: Ground::None,
        };
        let seen = changes(&[Critical, Critical, Critical, Ok, Ok], later);
        assert_eq!(seen, [(3, Opened(Critical)), (5, Recovered)]);
    }

    #[test]
    fn what_hangs_on_a_host_opens_only_after_the_host_was_reached_since() {
        let reached = |minute: i64| Surroundings {
            maintenance: false,
            ground: Ground::Good(at(minute * 60)),
        };
        // Reached before it went bad: that proves nothing.
        assert_eq!(changes(&[Critical; 6], |_| reached(0)), []);
        assert_eq!(
            changes(&[Critical; 6], |minute| reached(if minute < 5 { 0 } else { 4 })),
            [(5, Opened(Critical))]
        );
        let gone = Surroundings {
            maintenance: false,
            ground: Ground::Bad(Critical),
        };
        assert_eq!(changes(&[Critical; 9], |_| gone), []);
    }

    #[test]
    fn a_warning_explains_nothing_worse_and_what_is_explained_does_not_get_worse() {
        let because_of = |cause| {
            move |_| Surroundings {
                maintenance: false,
                ground: Ground::Bad(cause),
            }
        };
        assert_eq!(changes(&[Warning; 5], because_of(Warning)), []);
        assert_eq!(changes(&[Unknown; 5], because_of(Unknown)), []);
        assert_eq!(
            changes(&[Critical; 5], because_of(Warning)),
            [(3, Opened(Critical))]
        );
        // A warning was open already when the host went away.
        let answers = [Warning, Warning, Warning, Critical, Critical];
        let gone_later = |minute| Surroundings {
            maintenance: false,
            ground: if minute > 3 {
                Ground::Bad(Critical)
            } else {
                Ground::None
            },
        };
        assert_eq!(changes(&answers, gone_later), [(3, Opened(Warning))]);
        // What is still worse when the host is back is told then.
        let back = |minute| Surroundings {
            maintenance: false,
            ground: if minute == 4 {
                Ground::Bad(Critical)
            } else {
                Ground::None
            },
        };
        assert_eq!(
            changes(&answers, back),
            [(3, Opened(Warning)), (5, Worsened(Critical))]
        );
    }

    #[test]
    fn what_comes_and_goes_is_one_incident_until_it_has_calmed_down() {
        let mut answers = Vec::new();
        for _ in 0..20 {
            answers.extend([Critical, Ok]);
        }
        answers.extend([Ok; 30]);
        let seen = changes(&answers, |_| NOTHING_ELSE);
        let kinds: Vec<IncidentChange> = seen.into_iter().map(|(_, change)| change).collect();
        assert_eq!(kinds, [Flapping, Recovered]);
    }

    fn statuses() -> impl Strategy<Value = Vec<Status>> {
        prop::collection::vec(
            prop::sample::select(vec![Ok, Ok, Unknown, Warning, Critical]),
            1..120,
        )
    }

    proptest! {
        #[test]
        fn an_incident_opens_once_and_closes_once(
            answers in statuses(),
            hidden in prop::collection::vec(any::<bool>(), 120),
        ) {
            let around = |minute: i64| Surroundings {
                maintenance: hidden[usize::try_from(minute).expect("small") % hidden.len()],
                ground: Ground::None,
            };
            let mut open = false;
            for (_, change) in changes(&answers, around) {
                match change {
                    Opened(_) | Flapping => {
                        prop_assert!(!open);
                        open = true;
                    }
                    Recovered => {
                        prop_assert!(open);
                        open = false;
                    }
                    Worsened(_) | Eased(_) => prop_assert!(open),
                }
            }
        }

        #[test]
        fn whatever_is_open_closes_when_all_is_well_for_long(answers in statuses(), maintenance in any::<bool>()) {
            let mut state = CheckState::default();
            for (minute, status) in (1..).zip(&answers) {
                state = judge(&state, *status, RULES, NOTHING_ELSE, at(minute * 60)).state;
            }
            let around = Surroundings { maintenance, ground: Ground::Bad(Critical) };
            for minute in 1000..1000 + RECENT_ANSWERS as i64 {
                state = judge(&state, Ok, RULES, around, at(minute * 60)).state;
            }
            prop_assert_eq!((state.open, state.status, state.first_bad), (None, Ok, None));
        }

        #[test]
        fn what_was_judged_before_changes_nothing(answers in statuses()) {
            let mut state = CheckState::default();
            for (minute, status) in (1..).zip(&answers) {
                let judged = judge(&state, *status, RULES, NOTHING_ELSE, at(minute * 60));
                let again = judge(&judged.state, *status, RULES, NOTHING_ELSE, at(minute * 60));
                prop_assert_eq!((&again.state, again.change, again.again_soon), (&judged.state, None, false));
                state = judged.state;
            }
        }
    }
}
