//! How much of a time something could be used.

use jiff::Timestamp;

use super::Watch;
use super::answers::number;
use crate::model::{Status, Subject};
use crate::store::StoreError;
use crate::store::query::query;

impl Watch<'_> {
    /// The share of a time in which a subject could be used, from 0 to 1: none of the checks that say so was critical. The time
    /// before the first answer is left out; none when there is no other.
    pub async fn uptime(
        &self,
        subject: &Subject,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Option<f64>, StoreError> {
        let rows: Vec<(i64, i64, i64)> = query(
            "SELECT s.check_id, s.since, s.status FROM spans s JOIN watched w ON w.id = s.check_id
             WHERE w.subject = $1 AND w.availability = 1 AND s.since < $2 ORDER BY s.check_id, s.since",
        )
        .bind(subject.to_string())
        .bind(until.as_millisecond())
        .fetch_all(&self.0.read)
        .await?;
        let (from, until) = (from.as_millisecond(), until.as_millisecond());
        let Some(first) = rows.iter().map(|(_, since, _)| (*since).max(from)).min() else {
            return Ok(None);
        };
        let mut down: Vec<(i64, i64)> = Vec::new();
        for (place, (check, since, status)) in rows.iter().enumerate() {
            let next = rows.get(place + 1).filter(|(other, ..)| other == check);
            let end = next.map_or(until, |(_, since, _)| *since);
            if *status == number(Status::Critical) {
                down.push(((*since).max(from), end.clamp(from, until)));
            }
        }
        let all = until - first;
        Ok((all > 0).then(|| 1.0 - covered(down) as f64 / all as f64))
    }
}

/// How much is covered by these times, those that overlap counted once.
fn covered(mut times: Vec<(i64, i64)>) -> i64 {
    times.sort_unstable();
    let mut sum = 0;
    let mut reached = i64::MIN;
    for (begin, end) in times {
        sum += (end - begin.max(reached)).max(0);
        reached = reached.max(end);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::covered;

    #[test]
    fn times_that_overlap_count_once() {
        assert_eq!(covered(vec![]), 0);
        assert_eq!(covered(vec![(10, 20), (0, 5)]), 15);
        assert_eq!(covered(vec![(0, 10), (5, 7), (5, 15), (20, 30)]), 25);
        assert_eq!(covered(vec![(5, 5), (7, 3)]), 0);
    }
}
