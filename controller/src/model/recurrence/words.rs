//! Words for recurrences, in English and German, as crontab lines: "daily 03:00", "wöchentlich montag 04:30".

use super::InvalidRecurrence;

/// Words that may stand anywhere and mean nothing.
const FILLERS: [&str; 12] = [
    "at", "on", "the", "and", "um", "am", "uhr", "und", "den", "o'clock", "of", "immer",
];

const DAYS: [&[&str]; 7] = [
    &["sunday", "sundays", "sun", "sonntag", "sonntags", "so"],
    &["monday", "mondays", "mon", "montag", "montags", "mo"],
    &["tuesday", "tuesdays", "tue", "dienstag", "dienstags", "di"],
    &["wednesday", "wednesdays", "wed", "mittwoch", "mittwochs", "mi"],
    &["thursday", "thursdays", "thu", "donnerstag", "donnerstags", "do"],
    &["friday", "fridays", "fri", "freitag", "freitags", "fr"],
    &[
        "saturday",
        "saturdays",
        "sat",
        "samstag",
        "samstags",
        "sonnabend",
        "sonnabends",
        "sa",
    ],
];

/// The crontab line that words mean; none when they are no words that are known here.
///
/// # Errors
/// When the words are known and something is missing or cannot be done.
pub(super) fn line(text: &str) -> Result<Option<String>, InvalidRecurrence> {
    let plain = text
        .to_lowercase()
        .replace('ä', "ae")
        .replace('ö', "oe")
        .replace('ü', "ue")
        .replace(',', " ");
    let words: Vec<&str> = plain
        .split_whitespace()
        .filter(|word| !FILLERS.contains(word))
        .collect();
    let refuse = |example: &'static str| InvalidRecurrence::Words {
        text: text.to_owned(),
        example,
    };
    let line = match words[..] {
        ["@hourly" | "hourly" | "stuendlich"] | ["every" | "jede", "hour" | "stunde"] => {
            "0 * * * *".to_owned()
        }
        ["minutely"] | ["every" | "jede", "minute"] => "* * * * *".to_owned(),
        ["@daily" | "@midnight"] => "0 0 * * *".to_owned(),
        ["@weekly"] => "0 0 * * 0".to_owned(),
        ["@monthly"] => "0 0 1 * *".to_owned(),
        ["@yearly" | "@annually"] => "0 0 1 1 *".to_owned(),
        ["every" | "alle", count, "minutes" | "minuten"] => {
            format!("*/{} * * * *", divisor(text, count, 60)?)
        }
        ["every" | "alle", count, "hours" | "stunden"] => format!("0 */{} * * *", divisor(text, count, 24)?),
        ["daily" | "taeglich" | "nightly", ref rest @ ..]
        | ["every" | "jeden", "day" | "tag" | "night", ref rest @ ..] => {
            let [time] = rest else {
                return Err(refuse("daily 03:00"));
            };
            let (hour, minute) = clock(time).ok_or_else(|| refuse("daily 03:00"))?;
            format!("{minute} {hour} * * *")
        }
        ["weekdays" | "werktags" | "workdays", ref rest @ ..] => {
            let [time] = rest else {
                return Err(refuse("weekdays 07:00"));
            };
            let (hour, minute) = clock(time).ok_or_else(|| refuse("weekdays 07:00"))?;
            format!("{minute} {hour} * * 1-5")
        }
        ["weekends" | "wochenende" | "wochenends", ref rest @ ..] => {
            let [time] = rest else {
                return Err(refuse("weekends 10:00"));
            };
            let (hour, minute) = clock(time).ok_or_else(|| refuse("weekends 10:00"))?;
            format!("{minute} {hour} * * 0,6")
        }
        ["monthly" | "monatlich", ref rest @ ..] => {
            let [day, time] = rest else {
                return Err(refuse("monthly 1 05:00"));
            };
            let day = day
                .trim_end_matches('.')
                .parse::<i8>()
                .ok()
                .filter(|day| (1..=31).contains(day));
            let (day, (hour, minute)) = day.zip(clock(time)).ok_or_else(|| refuse("monthly 1 05:00"))?;
            format!("{minute} {hour} {day} * *")
        }
        ["weekly" | "woechentlich" | "every" | "jeden", ref rest @ ..] => {
            on_days(rest).ok_or_else(|| refuse("weekly monday 04:30"))?
        }
        [first, ref rest @ ..] if weekday(first).is_some() && !rest.is_empty() => {
            on_days(&words).ok_or_else(|| refuse("monday 04:30"))?
        }
        _ => return Ok(None),
    };
    Ok(Some(line))
}

/// "monday thursday 04:30".
fn on_days(words: &[&str]) -> Option<String> {
    let (time, days) = words.split_last()?;
    let (hour, minute) = clock(time)?;
    let mut days = days
        .iter()
        .map(|day| weekday(day))
        .collect::<Option<Vec<usize>>>()?;
    days.sort_unstable();
    days.dedup();
    let days: Vec<String> = days.iter().map(ToString::to_string).collect();
    (!days.is_empty()).then(|| format!("{minute} {hour} * * {}", days.join(",")))
}

fn weekday(word: &str) -> Option<usize> {
    DAYS.iter().position(|names| names.contains(&word))
}

/// "3:00" or "03:00".
fn clock(word: &str) -> Option<(u8, u8)> {
    let (hour, minute) = word.split_once(':')?;
    let digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    if hour.len() > 2 || minute.len() != 2 || !digits(hour) || !digits(minute) {
        return None;
    }
    let (hour, minute) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60).then_some((hour, minute))
}

/// A number of minutes or hours that fits without a rest: others would stumble at each full hour or midnight.
fn divisor(text: &str, count: &str, of: u8) -> Result<u8, InvalidRecurrence> {
    count
        .parse::<u8>()
        .ok()
        .filter(|count| (1..of).contains(count) && of.is_multiple_of(*count))
        .ok_or_else(|| InvalidRecurrence::Uneven {
            text: text.to_owned(),
            possible: (1..of)
                .filter(|count| of.is_multiple_of(*count))
                .map(|count| count.to_string())
                .collect::<Vec<_>>()
                .join(", "),
        })
}
