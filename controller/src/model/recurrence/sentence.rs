//! What a recurrence means, in a sentence in both languages.

use super::fields::{Fields, Set};
use crate::model::Text;

const DAYS_EN: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const DAYS_DE: [&str; 7] = [
    "Sonntag",
    "Montag",
    "Dienstag",
    "Mittwoch",
    "Donnerstag",
    "Freitag",
    "Samstag",
];
const MONTHS_EN: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const MONTHS_DE: [&str; 12] = [
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
];

/// More times of day than this are not listed one by one.
const LISTED: usize = 6;

/// "every day at 03:00".
pub(super) fn describe(fields: &Fields) -> Text {
    let (days, time, months) = (days(fields), time(fields), months(fields));
    let every_day = fields.days.all && fields.weekdays.all;
    let rhythm = fields.is_rhythm();
    let join = |days: String, months: String, time: String| match (rhythm, every_day) {
        // "every 15 minutes" needs no "every day" in front.
        (true, true) => format!("{time}{months}"),
        (true, false) => format!("{days}{months}, {time}"),
        (false, _) => format!("{days}{months} {time}"),
    };
    Text {
        de: join(days.de, months.de, time.de),
        en: join(days.en, months.en, time.en),
    }
}

fn text(de: impl Into<String>, en: impl Into<String>) -> Text {
    Text {
        de: de.into(),
        en: en.into(),
    }
}

fn time(fields: &Fields) -> Text {
    let (minutes, hours) = (&fields.minutes, &fields.hours);
    if hours.all {
        if minutes.all {
            return text("jede Minute", "every minute");
        }
        if let Some(step) = minutes.step(60) {
            return text(format!("alle {step} Minuten"), format!("every {step} minutes"));
        }
        let at = at_minutes(minutes);
        return text(format!("jede Stunde {}", at.de), format!("every hour {}", at.en));
    }
    if minutes.numbers.len() == 1
        && hours.star
        && let Some(step) = hours.step(24)
    {
        let at = at_minutes(minutes);
        return text(
            format!("alle {step} Stunden {}", at.de),
            format!("every {step} hours {}", at.en),
        );
    }
    if minutes.numbers.len() * hours.numbers.len() <= LISTED {
        let times: Vec<String> = hours
            .numbers
            .iter()
            .flat_map(|hour| {
                minutes
                    .numbers
                    .iter()
                    .map(move |minute| format!("{hour:02}:{minute:02}"))
            })
            .collect();
        return text(
            format!("um {} Uhr", listed(&times, "und")),
            format!("at {}", listed(&times, "and")),
        );
    }
    let hours: Vec<String> = hours.numbers.iter().map(ToString::to_string).collect();
    let at = if minutes.all {
        text("jede Minute", "every minute")
    } else if let Some(step) = minutes.step(60) {
        text(format!("alle {step} Minuten"), format!("every {step} minutes"))
    } else {
        at_minutes(minutes)
    };
    text(
        format!("{} in den Stunden {}", at.de, listed(&hours, "und")),
        format!("{} in the hours {}", at.en, listed(&hours, "and")),
    )
}

fn at_minutes(minutes: &Set) -> Text {
    let numbers: Vec<String> = minutes.numbers.iter().map(ToString::to_string).collect();
    match &numbers[..] {
        [zero] if zero == "0" => text("zur vollen Stunde", "on the hour"),
        _ => text(
            format!("zur Minute {}", listed(&numbers, "und")),
            format!("at minute {}", listed(&numbers, "and")),
        ),
    }
}

fn days(fields: &Fields) -> Text {
    let weekdays = weekdays(&fields.weekdays);
    let numbers: Vec<String> = fields.days.numbers.iter().map(ToString::to_string).collect();
    let dotted: Vec<String> = numbers.iter().map(|number| format!("{number}.")).collect();
    // "on day 24 of the month", but "on day 24 in December".
    let of_the_month = if fields.months.all {
        text(" des Monats", " of the month")
    } else {
        text("", "")
    };
    let days = text(
        format!("am {}{}", listed(&dotted, "und"), of_the_month.de),
        format!("on day {}{}", listed(&numbers, "and"), of_the_month.en),
    );
    match (fields.days.all, fields.weekdays.all) {
        (true, true) => text("jeden Tag", "every day"),
        // A weekday field that was written out in full, with days: either is enough, and so is every day.
        _ if fields.either_day() && (fields.days.all || fields.weekdays.all) => {
            text("jeden Tag", "every day")
        }
        (true, false) => weekdays,
        (false, true) => days,
        (false, false) if fields.either_day() => text(
            format!("{} und {}", days.de, weekdays.de),
            format!("{} and {}", days.en, weekdays.en),
        ),
        (false, false) => text(
            format!("{}, wenn es {} ist,", days.de, weekdays.de),
            format!("{} if it is {},", days.en, weekdays.en),
        ),
    }
}

fn weekdays(set: &Set) -> Text {
    let days: Vec<i8> = set.numbers.iter().copied().collect();
    if days == [1, 2, 3, 4, 5] {
        return text("montags bis freitags", "Monday to Friday");
    }
    // A week begins on Monday here.
    let names = |names: [&str; 7]| -> Vec<String> {
        (1..=7)
            .filter(|day| set.has(day % 7))
            .filter_map(|day| {
                names
                    .get(usize::try_from(day % 7).ok()?)
                    .map(|name| (*name).to_owned())
            })
            .collect()
    };
    text(
        format!("jeden {}", listed(&names(DAYS_DE), "und")),
        format!("every {}", listed(&names(DAYS_EN), "and")),
    )
}

fn months(fields: &Fields) -> Text {
    if fields.months.all {
        return text("", "");
    }
    let names = |names: [&str; 12]| -> Vec<String> {
        fields
            .months
            .numbers
            .iter()
            .filter_map(|month| {
                names
                    .get(usize::try_from(month - 1).ok()?)
                    .map(|name| (*name).to_owned())
            })
            .collect()
    };
    text(
        format!(" im {}", listed(&names(MONTHS_DE), "und")),
        format!(" in {}", listed(&names(MONTHS_EN), "and")),
    )
}

/// "1, 2 and 3".
fn listed(items: &[String], and: &str) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} {and} {last}", first.join(", ")),
    }
}
