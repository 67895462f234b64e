//! Times and names as people of both languages read them.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::model::{Language, NoticeKind, Status};

/// "23.11.2026, 05:10 Uhr", "23 November 2026, 05:10".
pub fn moment(at: Timestamp, zone: &TimeZone, language: Language) -> String {
    let local = at.to_zoned(zone.clone());
    let pattern = match language {
        Language::De => "%d.%m.%Y, %H:%M Uhr",
        Language::En => "%-d %B %Y, %H:%M",
    };
    local.strftime(pattern).to_string()
}

/// "23.11.2026", "23 November 2026".
pub fn day(at: Timestamp, zone: &TimeZone, language: Language) -> String {
    let local = at.to_zoned(zone.clone());
    let pattern = match language {
        Language::De => "%d.%m.%Y",
        Language::En => "%-d %B %Y",
    };
    local.strftime(pattern).to_string()
}

/// "3 Stunden 20 Minuten", "less than a minute": at most two units, rounded down.
pub fn lasted(duration: SignedDuration, language: Language) -> String {
    let minutes = duration.as_mins().max(0);
    let units = [
        (minutes / 1440, ["Tag", "Tage", "day", "days"]),
        (minutes / 60 % 24, ["Stunde", "Stunden", "hour", "hours"]),
        (minutes % 60, ["Minute", "Minuten", "minute", "minutes"]),
    ];
    let first = units.iter().position(|(count, _)| *count > 0);
    let Some(first) = first else {
        return match language {
            Language::De => "weniger als eine Minute".to_owned(),
            Language::En => "less than a minute".to_owned(),
        };
    };
    let words: Vec<String> = units
        .iter()
        .skip(first)
        .take(2)
        .filter(|(count, _)| *count > 0)
        .map(|(count, [eine, mehrere, one, several])| {
            let word = match (language, *count == 1) {
                (Language::De, true) => eine,
                (Language::De, false) => mehrere,
                (Language::En, true) => one,
                (Language::En, false) => several,
            };
            format!("{count} {word}")
        })
        .collect();
    words.join(" ")
}

/// How bad something is, as a word before a colon.
pub fn severity(status: Status, language: Language) -> &'static str {
    match (status, language) {
        (Status::Critical, Language::De) => "KRITISCH",
        (Status::Critical, Language::En) => "CRITICAL",
        (Status::Warning, Language::De) => "Warnung",
        (Status::Warning, Language::En) => "Warning",
        (Status::Unknown, Language::De) => "Unklar",
        (Status::Unknown, Language::En) => "Unclear",
        (Status::Ok, Language::De) => "In Ordnung",
        (Status::Ok, Language::En) => "All well",
    }
}

/// How urgent something is, as a sentence.
pub fn urgency(status: Status, language: Language) -> &'static str {
    match (status, language) {
        (Status::Critical, Language::De) => "Kritisch: Jetzt muss jemand etwas tun.",
        (Status::Critical, Language::En) => "Critical: somebody has to do something now.",
        (Status::Warning, Language::De) => "Warnung: Jemand sollte es sich in den nächsten Tagen ansehen.",
        (Status::Warning, Language::En) => "Warning: somebody should look at it in the next days.",
        (Status::Unknown, Language::De) => {
            "Unklar: Allmende kann gerade nicht erkennen, ob alles in Ordnung ist. Sieh bei Gelegenheit nach."
        }
        (Status::Unknown, Language::En) => {
            "Unclear: Allmende cannot tell at the moment whether all is well. Have a look when you can."
        }
        (Status::Ok, Language::De) => "Es ist nichts zu tun.",
        (Status::Ok, Language::En) => "There is nothing to do.",
    }
}

/// What happened beyond the ordinary, as a sentence; nothing for an incident that just began.
pub fn happened(kind: NoticeKind, language: Language) -> &'static str {
    match (kind, language) {
        (NoticeKind::Worsened, Language::De) => "Es ist schlimmer geworden.",
        (NoticeKind::Worsened, Language::En) => "It became worse.",
        (NoticeKind::Flapping, Language::De) => {
            "Es kommt und geht immer wieder. Weitere Wechsel werden nicht gemeldet, bis es zur Ruhe kommt."
        }
        (NoticeKind::Flapping, Language::En) => {
            "It comes and goes again and again. Further changes are not reported until it has calmed down."
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_at_most_two_units() {
        for (seconds, de, en) in [
            (0, "weniger als eine Minute", "less than a minute"),
            (60, "1 Minute", "1 minute"),
            (3 * 3600 + 20 * 60, "3 Stunden 20 Minuten", "3 hours 20 minutes"),
            (86_400 + 120, "1 Tag", "1 day"),
            (-5, "weniger als eine Minute", "less than a minute"),
        ] {
            let duration = SignedDuration::from_secs(seconds);
            assert_eq!(lasted(duration, Language::De), de);
            assert_eq!(lasted(duration, Language::En), en);
        }
    }
}
