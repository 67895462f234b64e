//! How long is it until a certain day?

use jiff::civil::Date;

use super::Finding;
use crate::catalogue::DateCheck;
use crate::model::Figure;

/// Seconds of a day, for whole days.
const DAY: u64 = 86_400;

pub(super) fn ask(question: &DateCheck, today: Date) -> Finding {
    let days = i64::from((question.date - today).get_days());
    let closer = u64::try_from(days).is_ok_and(|days| days.saturating_mul(DAY) < question.warning.seconds);
    let finding = match days {
        ..0 => Finding::critical("outside.date.over"),
        0 => Finding::warning("outside.date.today"),
        _ if closer => Finding::warning("outside.date.ahead"),
        _ => Finding::ok("outside.date.ahead"),
    };
    finding
        .with("date", question.date)
        .with("days", days.abs())
        .measured(Figure {
            value: days as f64,
            unit: "d".to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::catalogue::Span;
    use crate::model::Status;

    #[test]
    fn a_day_comes_closer_is_there_and_is_over() {
        let question = DateCheck {
            date: date(2027, 6, 30),
            warning: Span { seconds: 60 * DAY },
        };
        let asked = |today| {
            let answer = ask(&question, today).answer();
            (answer.status, answer.sentence.en)
        };
        let (status, sentence) = asked(date(2027, 5, 1));
        assert_eq!(status, Status::Ok);
        assert!(sentence.contains("60 days"), "{sentence}");
        let (status, sentence) = asked(date(2027, 5, 2));
        assert_eq!(status, Status::Warning);
        assert!(
            sentence.contains("59 days") && sentence.contains("2027-06-30"),
            "{sentence}"
        );
        let (status, sentence) = asked(date(2027, 6, 29));
        assert_eq!(status, Status::Warning);
        assert!(sentence.contains("1 day,"), "{sentence}");
        assert_eq!(asked(date(2027, 6, 30)).0, Status::Warning);
        let (status, sentence) = asked(date(2027, 7, 2));
        assert_eq!(status, Status::Critical);
        assert!(sentence.contains("2 days ago"), "{sentence}");
    }
}
