//! When something that grows will have reached its limit.

use jiff::{SignedDuration, Timestamp};

/// What a figure was at some time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// When.
    pub at: Timestamp,
    /// How much; in the same unit as the limit.
    pub value: f64,
}

/// Less is no history.
const SHORTEST: f64 = 86_400.0;

/// Fewer steps say nothing.
const FEWEST: usize = 6;

/// One step at least, in seconds: what a backup writes and takes away again within it does not count.
const STEP: f64 = 4.0 * 3600.0;

/// Steps at most: every pair of them is compared.
const STEPS: f64 = 180.0;

/// A fall by more than this share of the limit is a clean-up: what was before it says nothing about what comes.
const CLEAN_UP: f64 = 0.03;

/// Further away nobody can tell.
const HORIZON: f64 = 366.0 * 86_400.0;

/// When the limit will be reached if it goes on as since the last clean-up; none where that is not so, or there is too little
/// history to tell.
///
/// The pace is the median of the paces between all pairs of steps (Theil and Sen), which a few odd values do not move; and
/// it has to have grown in the first half and in the second, or it was one large upload.
pub fn reached_on(history: &[Point], limit: f64) -> Option<Timestamp> {
    let steps = steps(history);
    let steps = since_clean_up(&steps, limit);
    let (first, last) = (steps.first()?, steps.last()?);
    if steps.len() < FEWEST || last.0 - first.0 < SHORTEST {
        return None;
    }
    let (earlier, later) = steps.split_at_checked(steps.len() / 2)?;
    let whole = pace(steps)?;
    let steady = [earlier, later]
        .into_iter()
        .all(|half| pace(half).is_some_and(|pace| pace > whole / 5.0));
    if whole <= 0.0 || !steady {
        return None;
    }
    let left = ((limit - last.1) / whole).max(0.0);
    if !left.is_finite() || left > HORIZON {
        return None;
    }
    let newest = history.iter().map(|point| point.at).max()?;
    newest
        .checked_add(SignedDuration::try_from_secs_f64(left).ok()?)
        .ok()
}

/// Seconds and the median value of each step in which there was one, in order.
fn steps(history: &[Point]) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = history
        .iter()
        .filter(|point| point.value.is_finite())
        .map(|point| (point.at.as_second() as f64, point.value))
        .collect();
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Vec::new();
    };
    let length = STEP.max((last.0 - first.0) / STEPS);
    let begin = first.0;
    let step = |point: &(f64, f64)| ((point.0 - begin) / length).floor();
    points
        .chunk_by(|one, other| step(one) == step(other))
        .filter_map(|chunk| {
            let times = chunk.iter().map(|point| point.0).collect();
            Some((
                median(times)?,
                median(chunk.iter().map(|point| point.1).collect())?,
            ))
        })
        .collect()
}

fn since_clean_up(steps: &[(f64, f64)], limit: f64) -> &[(f64, f64)] {
    let mut lowest = f64::INFINITY;
    for (index, (_, value)) in steps.iter().enumerate().rev() {
        if *value > lowest + limit * CLEAN_UP {
            return steps.get(index + 1..).unwrap_or_default();
        }
        lowest = lowest.min(*value);
    }
    steps
}

/// How much more in each second.
fn pace(steps: &[(f64, f64)]) -> Option<f64> {
    let pairs = steps.iter().enumerate().flat_map(|(index, one)| {
        let others = steps.iter().skip(index + 1);
        others.map(move |other| (other.1 - one.1) / (other.0 - one.0))
    });
    median(pairs.filter(|pace| pace.is_finite()).collect())
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3600;

    fn history(hours: i64, value: impl Fn(i64) -> f64) -> Vec<Point> {
        let point = |hour: i64| Point {
            at: Timestamp::from_second(1_800_000_000 + hour * HOUR).expect("a time"),
            value: value(hour),
        };
        (0..hours).map(point).collect()
    }

    fn days_left(history: &[Point]) -> Option<i64> {
        let newest = history.last()?.at;
        Some(reached_on(history, 100.0)?.duration_since(newest).as_hours() / 24)
    }

    #[test]
    fn what_grows_steadily_is_full_when_a_ruler_says_so() {
        // One percent a day from 50 on: after ten days 60, and 40 to go.
        let growing = history(240, |hour| 50.0 + hour as f64 / 24.0);
        assert!((39..=41).contains(&days_left(&growing).expect("is told")));
    }

    #[test]
    fn a_nightly_backup_that_comes_and_goes_changes_nothing() {
        let nightly = history(240, |hour| {
            let backup = if hour % 24 == 3 { 20.0 } else { 0.0 };
            50.0 + hour as f64 / 24.0 + backup
        });
        assert!((38..=42).contains(&days_left(&nightly).expect("is told")));
    }

    #[test]
    fn after_a_clean_up_only_what_came_since_counts() {
        let cleaned = history(480, |hour| match hour {
            0..240 => 80.0 + hour as f64 / 24.0,
            hour => 40.0 + (hour - 240) as f64 / 12.0,
        });
        // Two percent a day from 40 on: at 60 after ten days, 20 days to go.
        assert!((19..=21).contains(&days_left(&cleaned).expect("is told")));
        let just_cleaned = history(244, |hour| if hour < 240 { 90.0 } else { 40.0 });
        assert_eq!(days_left(&just_cleaned), None);
    }

    #[test]
    fn nothing_is_foretold_from_too_little_or_from_one_upload() {
        assert_eq!(reached_on(&[], 100.0), None);
        assert_eq!(days_left(&history(12, |hour| 50.0 + hour as f64)), None);
        assert_eq!(
            days_left(&history(240, |hour| if hour < 120 { 40.0 } else { 70.0 })),
            None
        );
        assert_eq!(days_left(&history(240, |_| 70.0)), None);
        assert_eq!(days_left(&history(240, |hour| 90.0 - hour as f64 / 24.0)), None);
        // Three years away.
        assert_eq!(
            days_left(&history(240, |hour| 50.0 + hour as f64 / 24.0 / 20.0)),
            None
        );
    }

    proptest! {
        #[test]
        fn whatever_the_history_is_the_day_is_not_in_the_past(
            points in proptest::collection::vec((-4_000_000_000i64..4_000_000_000, any::<f64>()), 0..60),
        ) {
            let points: Vec<Point> = points
                .into_iter()
                .map(|(second, value)| Point { at: Timestamp::from_second(second).expect("a time"), value })
                .collect();
            if let Some(day) = reached_on(&points, 100.0) {
                prop_assert!(points.iter().all(|point| point.at <= day));
            }
        }
    }
}
