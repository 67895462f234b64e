//! How lengths of time, sizes and days are said.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::fleet::one_line;
use crate::model::Text;

/// "3 Tagen", "3 days": in German as after "seit", "vor" and "in".
pub fn duration(seconds: u64) -> Text {
    let units = [
        (86_400, ["Tag", "Tagen", "day", "days"]),
        (3600, ["Stunde", "Stunden", "hour", "hours"]),
        (60, ["Minute", "Minuten", "minute", "minutes"]),
        (1, ["Sekunde", "Sekunden", "second", "seconds"]),
    ];
    // Two of a unit before it is used: "26 hours" says more than "1 day".
    let fits = units.iter().find(|(length, _)| seconds >= 2 * length);
    let (length, [one_de, many_de, one_en, many_en]) = fits.unwrap_or(&units[3]);
    let count = seconds / length;
    let (de, en) = if count == 1 {
        (one_de, one_en)
    } else {
        (many_de, many_en)
    };
    Text {
        de: format!("{count} {de}"),
        en: format!("{count} {en}"),
    }
}

/// A day as people write it.
pub fn day(at: Timestamp) -> Text {
    let day = at.to_zoned(TimeZone::system());
    Text {
        de: day.strftime("%d.%m.%Y").to_string(),
        en: day.strftime("%Y-%m-%d").to_string(),
    }
}

/// `12 GB`, `850 MB`: of thousand, as disks are sold.
pub fn size(bytes: u64) -> String {
    match bytes / 1_000_000 {
        megabytes if megabytes >= 10_000 => format!("{} GB", megabytes / 1000),
        megabytes => format!("{megabytes} MB"),
    }
}

/// Names, the first few of them, and how many more there are.
pub fn list(names: &[String], all: u64) -> String {
    const SHOWN: usize = 6;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| one_line(name)).collect();
    let more = all.saturating_sub(shown.len() as u64);
    match more {
        0 => shown.join(", "),
        more => format!("{} (+{more})", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_said_in_a_unit_that_fits() {
        for (seconds, de, en) in [
            (0, "0 Sekunden", "0 seconds"),
            (1, "1 Sekunde", "1 second"),
            (119, "119 Sekunden", "119 seconds"),
            (93_600, "26 Stunden", "26 hours"),
            (259_200, "3 Tagen", "3 days"),
        ] {
            let text = duration(seconds);
            assert_eq!((text.de.as_str(), text.en.as_str()), (de, en));
        }
    }
}
