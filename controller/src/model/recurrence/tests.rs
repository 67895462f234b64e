//! What holds for recurrences: by example, against another program's reading, and for all times in many zones.

use std::collections::BTreeSet;

use jiff::civil::DateTime;
use proptest::prelude::*;

use super::*;
use crate::model::Language;

/// With daylight saving at different hours, in both halves of the world, by half an hour, with odd offsets, with a day that
/// was left out (Apia 2011), and without any.
const ZONES: [&str; 12] = [
    "Europe/Berlin",
    "Europe/London",
    "Atlantic/Azores",
    "America/New_York",
    "America/St_Johns",
    "America/Havana",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "UTC",
];

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect(name)
}

fn read(text: &str) -> Recurrence {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> String {
    match text.parse::<Recurrence>() {
        Ok(taken) => panic!("{text} was taken as {:?}", taken.sentence()),
        Err(error) => error.to_string(),
    }
}

fn berlin(text: &str) -> Timestamp {
    let civil: DateTime = text.parse().expect(text);
    civil.to_zoned(zone("Europe/Berlin")).expect(text).timestamp()
}

/// The next times after a moment in Berlin, as its clocks show them.
fn next(recurrence: &str, after: &str, count: usize) -> Vec<String> {
    let here = zone("Europe/Berlin");
    read(recurrence)
        .times_after(berlin(after), &here)
        .take(count)
        .map(|time| {
            time.to_zoned(here.clone())
                .strftime("%m-%d %H:%M %:z")
                .to_string()
        })
        .collect()
}

#[test]
fn words_and_crontab_lines_say_the_same() {
    for (words, line) in [
        ("hourly", "0 * * * *"),
        ("stündlich", "0 * * * *"),
        ("jede Stunde", "0 * * * *"),
        ("every minute", "* * * * *"),
        ("daily 03:00", "0 3 * * *"),
        ("Daily at 3:00", "0 3 * * *"),
        ("every day at 03:00", "0 3 * * *"),
        ("täglich 03:00", "0 3 * * *"),
        ("taeglich um 03:00 Uhr", "0 3 * * *"),
        ("jeden Tag um 23:59 Uhr", "59 23 * * *"),
        ("weekdays 07:00", "0 7 * * 1-5"),
        ("werktags um 07:00 Uhr", "0 7 * * mon-fri"),
        ("weekends 10:00", "0 10 * * 6-7"),
        ("weekly monday 04:30", "30 4 * * 1"),
        ("wöchentlich montag 04:30", "30 4 * * mon"),
        ("montags 04:30", "30 4 * * 1"),
        ("every sunday at 04:30", "30 4 * * 7"),
        ("monday, thursday and friday 18:00", "0 18 * * 1,4,5"),
        ("jeden Montag und Donnerstag um 18:00 Uhr", "0 18 * * 1,4"),
        ("monthly 1 05:00", "0 5 1 * *"),
        ("monatlich am 1. um 05:00 Uhr", "0 5 1 * *"),
        ("every 15 minutes", "*/15 * * * *"),
        ("alle 15 Minuten", "*/15 * * * *"),
        ("every 6 hours", "0 */6 * * *"),
        ("@daily", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
    ] {
        assert_eq!(read(words).fields, read(line).fields, "{words}");
        assert_eq!(read(words).to_string(), words);
    }
}

#[test]
fn what_cannot_be_understood_is_answered_with_what_to_write() {
    for (text, expected) in [
        ("", "this has 0 of them"),
        ("sometimes", "write it in words, like \"daily 03:00\""),
        ("0 3 * *", "this has 4 of them"),
        ("0 0 3 * * *", "this has 6 of them"),
        ("@reboot", "says no times"),
        ("daily", "write it like \"daily 03:00\""),
        ("daily 24:00", "write it like \"daily 03:00\""),
        ("daily 3", "write it like \"daily 03:00\""),
        ("täglich 03:60", "write it like \"daily 03:00\""),
        ("weekly 04:30", "write it like \"weekly monday 04:30\""),
        ("weekly funday 04:30", "write it like \"weekly monday 04:30\""),
        ("monthly 32 05:00", "write it like \"monthly 1 05:00\""),
        (
            "every 7 minutes",
            "possible are 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30",
        ),
        ("alle 5 Stunden", "possible are 1, 2, 3, 4, 6, 8, 12"),
        ("60 3 * * *", "no number from 0 to 59"),
        ("0 24 * * *", "no number from 0 to 23"),
        ("0 3 0 * *", "no number from 1 to 31"),
        ("0 3 * 13 *", "or jan feb"),
        ("0 3 * * 8", "or sun mon"),
        ("0 22-2 * * *", "write 22-23,0-2 instead of 22-2"),
        ("*/90 * * * *", "a number from 1 to 59"),
        ("*/0 * * * *", "a number from 1 to 59"),
        ("5/15 * * * *", "write 5-59/15"),
        ("0 3 L * *", "no number from 1 to 31"),
        ("0 3 ? * 1", "no number from 1 to 31"),
        ("0 3 15W * *", "no number from 1 to 31"),
        ("0 3 * * mon#2", "or sun mon"),
        ("+5 3 * * *", "no number from 0 to 59"),
        ("1,,2 3 * * *", "no number from 0 to 59"),
        ("0 3 30 2 *", "never happens"),
        ("0 3 31 4,6,9,11 *", "never happens"),
    ] {
        let error = refused(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_sentence_says_what_was_understood() {
    for (text, en, de) in [
        ("0 3 * * *", "every day at 03:00", "jeden Tag um 03:00 Uhr"),
        (
            "0 7 * * 1-5",
            "Monday to Friday at 07:00",
            "montags bis freitags um 07:00 Uhr",
        ),
        (
            "30 4,16 * * 0,1",
            "every Monday and Sunday at 04:30 and 16:30",
            "jeden Montag und Sonntag um 04:30 und 16:30 Uhr",
        ),
        (
            "0 5 1 * *",
            "on day 1 of the month at 05:00",
            "am 1. des Monats um 05:00 Uhr",
        ),
        (
            "0 5 1 1,7 *",
            "on day 1 in January and July at 05:00",
            "am 1. im Januar und Juli um 05:00 Uhr",
        ),
        ("*/15 * * * *", "every 15 minutes", "alle 15 Minuten"),
        (
            "0 */6 * * *",
            "every 6 hours on the hour",
            "alle 6 Stunden zur vollen Stunde",
        ),
        (
            "0 * * * *",
            "every hour on the hour",
            "jede Stunde zur vollen Stunde",
        ),
        (
            "0 3 1 * 1",
            "on day 1 of the month and every Monday at 03:00",
            "am 1. des Monats und jeden Montag um 03:00 Uhr",
        ),
        ("0 3 1 * 0-6", "every day at 03:00", "jeden Tag um 03:00 Uhr"),
        (
            "0 */2 * * 1",
            "every Monday, every 2 hours on the hour",
            "jeden Montag, alle 2 Stunden zur vollen Stunde",
        ),
        (
            "*/15 * * 12 *",
            "every 15 minutes in December",
            "alle 15 Minuten im Dezember",
        ),
        (
            "*/10 22-23 * * *",
            "every 10 minutes in the hours 22 and 23",
            "alle 10 Minuten in den Stunden 22 und 23",
        ),
    ] {
        let sentence = read(text).sentence();
        assert_eq!(sentence.spoken(Language::En), en, "{text}");
        assert_eq!(sentence.spoken(Language::De), de, "{text}");
    }
}

#[test]
fn a_time_that_spring_leaves_out_comes_right_after_the_gap() {
    assert_eq!(
        next("30 2 * * *", "2026-03-28T00:00", 3),
        ["03-28 02:30 +01:00", "03-29 03:00 +02:00", "03-30 02:30 +02:00"]
    );
    assert_eq!(
        next("0,30 2,3 * * *", "2026-03-29T00:00", 2),
        ["03-29 03:00 +02:00", "03-29 03:30 +02:00"],
        "times that meet are one"
    );
    assert_eq!(
        next("*/10 2 * * *", "2026-03-29T00:00", 2),
        ["03-29 03:00 +02:00", "03-30 02:00 +02:00"],
        "a rhythm within hours that are left out"
    );
}

#[test]
fn a_time_that_autumn_doubles_comes_the_first_time() {
    assert_eq!(
        next("30 2 * * *", "2026-10-24T12:00", 2),
        ["10-25 02:30 +02:00", "10-26 02:30 +01:00"]
    );
    assert_eq!(
        next("0,30 2 * * *", "2026-10-24T12:00", 3),
        ["10-25 02:00 +02:00", "10-25 02:30 +02:00", "10-26 02:00 +01:00"]
    );
}

#[test]
fn a_rhythm_goes_on_when_clocks_are_moved() {
    let here = zone("Europe/Berlin");
    for day in ["2026-03-29T00:00", "2026-10-25T00:00"] {
        let times: Vec<Timestamp> = read("*/10 * * * *")
            .times_after(berlin(day), &here)
            .take(60)
            .collect();
        for pair in times.windows(2) {
            assert_eq!(pair[1].duration_since(pair[0]), SignedDuration::from_mins(10));
        }
    }
    assert_eq!(
        next("0 * * * *", "2026-10-25T01:30", 3),
        ["10-25 02:00 +02:00", "10-25 02:00 +01:00", "10-25 03:00 +01:00"]
    );
}

#[test]
fn a_day_that_a_country_left_out_is_made_up_for() {
    // Samoa went from the 29th to the 31st of December 2011.
    let apia = zone("Pacific/Apia");
    let after: Timestamp = "2011-12-29T23:00:00Z".parse().expect("a time");
    let times: Vec<String> = read("0 12 * * *")
        .times_after(after, &apia)
        .take(3)
        .map(|time| time.to_zoned(apia.clone()).strftime("%d %H:%M").to_string())
        .collect();
    assert_eq!(times, ["31 00:00", "31 12:00", "01 12:00"]);
}

#[test]
fn a_day_that_few_years_have_is_found() {
    let monday = read("0 0 29 2 *").next_after(berlin("2097-01-01T00:00"), &TimeZone::UTC);
    assert_eq!(monday.expect("in 2104").to_string(), "2104-02-29T00:00:00Z");
    // With a star in front, crontab wants both: the 29th of February that is a Sunday or a Thursday.
    let both = read("0 0 29 2 */4").next_after(berlin("2080-01-01T00:00"), &TimeZone::UTC);
    assert!(both.is_some());
}

#[test]
fn nothing_comes_after_the_end_of_the_calendar() {
    assert_eq!(
        read("0 3 * * *").next_after(Timestamp::MAX, &zone("Europe/Berlin")),
        None
    );
    assert!(
        read("0 3 * * *")
            .next_after(Timestamp::MIN, &zone("Europe/Berlin"))
            .is_some()
    );
}

// ---- For all crontab lines -------------------------------------------------------------------------------------------------

/// A field: a star, a stepped star, numbers, ranges, stepped ranges.
fn field(first: u8, last: u8, stars: bool) -> BoxedStrategy<String> {
    let number = first..=last;
    let range = (number.clone(), number.clone()).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let written_out = prop_oneof![
        4 => proptest::collection::vec(number, 1..4).prop_map(|numbers| {
            numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        }),
        1 => range.clone().prop_map(|(from, to)| format!("{from}-{to}")),
        1 => (range, 1..=last).prop_map(|((from, to), step)| format!("{from}-{to}/{step}")),
    ];
    if !stars {
        return written_out.boxed();
    }
    prop_oneof![
        2 => Just("*".to_owned()),
        1 => (2..=last.min(31)).prop_map(|step| format!("*/{step}")),
        3 => written_out,
    ]
    .boxed()
}

/// Any crontab line.
fn lines() -> impl Strategy<Value = String> {
    (
        field(0, 59, true),
        field(0, 23, true),
        prop_oneof![3 => Just("*".to_owned()), 1 => field(1, 31, true)],
        prop_oneof![4 => Just("*".to_owned()), 1 => field(1, 12, true)],
        prop_oneof![2 => Just("*".to_owned()), 1 => field(0, 7, true)],
    )
        .prop_map(|(minute, hour, day, month, weekday)| format!("{minute} {hour} {day} {month} {weekday}"))
}

/// Lines that name times of day, and so often ones that a change of clocks touches.
fn times_of_day() -> impl Strategy<Value = String> {
    let hours = prop_oneof![2 => field(0, 3, false), 1 => field(0, 23, false)];
    (field(0, 59, false), hours).prop_map(|(minute, hour)| format!("{minute} {hour} * * *"))
}

/// A moment within a few days of a change of clocks, or anywhere between 1995 and 2045.
fn moments(zone: TimeZone) -> BoxedStrategy<Timestamp> {
    let anywhere =
        (788_918_400i64..2_366_841_600).prop_map(|second| Timestamp::from_second(second).expect("in range"));
    let near = (anywhere.clone(), -3 * 86_400i64..86_400).prop_map(move |(time, offset)| {
        let change = zone
            .following(time)
            .next()
            .map_or(time, |change| change.timestamp());
        change.checked_add(offset.seconds()).expect("in range")
    });
    prop_oneof![1 => anywhere, 2 => near].boxed()
}

fn zones_and_moments() -> impl Strategy<Value = (TimeZone, Timestamp)> {
    proptest::sample::select(&ZONES[..]).prop_flat_map(|name| (Just(zone(name)), moments(zone(name))))
}

/// How croner reads a line.
fn croner(line: &str) -> croner::Cron {
    line.parse().unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// Where croner and crontab differ: it takes the days and the weekdays of a line together with *or* unless one is a plain star;
/// crontab, and so we, with *and* as soon as one begins with a star ("every second day, if it is a Monday").
fn days_are_read_alike(line: &str) -> bool {
    let fields: Vec<&str> = line.split(' ').collect();
    let plain = |field: &str| field == "*" || !field.starts_with('*');
    fields[2] == "*" || fields[4] == "*" || (plain(fields[2]) && plain(fields[4]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Any line, where no clock is ever moved.
    #[test]
    fn croner_reads_every_line_like_we_do(line in lines(), at in moments(TimeZone::UTC)) {
        prop_assume!(days_are_read_alike(&line));
        let Ok(ours) = line.parse::<Recurrence>() else {
            return Err(TestCaseError::reject("no such day"));
        };
        let theirs = croner(&line);
        let theirs: Vec<Timestamp> = theirs
            .iter_after(at.to_zoned(TimeZone::UTC))
            .take(5)
            .map(|zoned| zoned.timestamp())
            .collect();
        let ours: Vec<Timestamp> = ours.times_after(at, &TimeZone::UTC).take(5).collect();
        prop_assert_eq!(ours, theirs);
    }

    /// One time of day, or a rhythm through all hours, where clocks are moved. Croner differs for several times of day in one
    /// line, which it takes for a rhythm: it gives them twice in autumn, and in spring leaves out those of the gap.
    #[test]
    fn croner_moves_with_the_clocks_like_we_do(
        (zone, at) in zones_and_moments(),
        hour in 0..24u8,
        minute in 0..60u8,
        rhythm in proptest::option::of(1..31u8),
    ) {
        let line = match rhythm {
            Some(step) => format!("*/{step} * * * *"),
            None => format!("{minute} {hour} * * *"),
        };
        let theirs: Vec<Timestamp> = croner(&line)
            .iter_after(at.to_zoned(zone.clone()))
            .take(5)
            .map(|zoned| zoned.timestamp())
            .collect();
        let ours: Vec<Timestamp> = read(&line).times_after(at, &zone).take(5).collect();
        prop_assert_eq!(ours, theirs, "{} in {:?}", line, zone.iana_name());
    }

    /// Each time of day that the calendar has is answered by exactly one run: at that time, the first of two, or right after
    /// the gap that swallowed it. And there is no run without one.
    #[test]
    fn each_time_of_day_happens_exactly_once((zone, at) in zones_and_moments(), line in times_of_day()) {
        let recurrence = read(&line);
        let until = at.checked_add(SignedDuration::from_hours(96)).expect("in range");
        let runs: BTreeSet<Timestamp> = recurrence.times_after(at, &zone).take_while(|time| *time <= until).collect();
        // Minute by minute through the calendar, without asking for a next time.
        let mut expected = BTreeSet::new();
        let mut civil = zone.to_datetime(at).checked_sub(FARTHEST_MOVE).expect("in range").round(jiff::Unit::Minute).expect("rounds");
        let end = zone.to_datetime(until).checked_add(FARTHEST_MOVE).expect("in range");
        while civil < end {
            let meant = recurrence.fields.minutes.has(civil.minute())
                && recurrence.fields.hours.has(civil.hour())
                && recurrence.fields.on(civil.date());
            if meant {
                // The first moment at which the clock shows this time or has gone past it.
                let shown = zone.to_ambiguous_timestamp(civil).earlier().expect("in range");
                let moment = if zone.to_datetime(shown) == civil {
                    shown
                } else {
                    zone.preceding(zone.to_ambiguous_timestamp(civil).later().expect("in range").checked_add(1.second()).expect("in range"))
                        .next().expect("a change").timestamp()
                };
                expected.insert(moment);
            }
            civil = civil.checked_add(1.minute()).expect("in range");
        }
        let expected: BTreeSet<Timestamp> = expected.into_iter().filter(|time| *time > at && *time <= until).collect();
        prop_assert_eq!(runs, expected, "{} in {:?}", line, zone.iana_name());
    }

    /// Whatever is written and wherever: each time is after the one before, and the clock then shows one that was meant unless
    /// it was just moved.
    #[test]
    fn times_only_go_forward(line in lines(), (zone, at) in zones_and_moments()) {
        let Ok(recurrence) = line.parse::<Recurrence>() else {
            return Err(TestCaseError::reject("no such day"));
        };
        let mut last = at;
        for time in recurrence.times_after(at, &zone).take(30) {
            prop_assert!(time > last, "{} comes after {}", time, last);
            let shown = zone.to_datetime(time);
            let meant = recurrence.fields.minutes.has(shown.minute())
                && recurrence.fields.hours.has(shown.hour())
                && recurrence.fields.on(shown.date());
            let just_moved = zone.preceding(time.checked_add(1.second()).expect("in range")).next()
                .is_some_and(|change| change.timestamp() == time);
            prop_assert!(meant || just_moved, "{} shows {}", time, shown);
            last = time;
        }
    }

    /// Where one looks from makes no difference: from just before a time, that time is the next one.
    #[test]
    fn a_next_time_does_not_depend_on_where_one_looks_from(line in lines(), (zone, at) in zones_and_moments(), back in 1..7200i64) {
        let Ok(recurrence) = line.parse::<Recurrence>() else {
            return Err(TestCaseError::reject("no such day"));
        };
        if let Some(time) = recurrence.next_after(at, &zone) {
            let nearer = time.checked_sub(back.seconds()).expect("in range").max(at);
            prop_assert_eq!(recurrence.next_after(nearer, &zone), Some(time));
        }
    }

    /// Nothing that somebody types makes it panic, and what is taken is given back.
    #[test]
    fn whatever_is_typed_is_answered(text in "[a-zäöü0-9@*/, :-]{0,30}|\\PC{0,20}") {
        if let Ok(recurrence) = text.parse::<Recurrence>() {
            prop_assert_eq!(recurrence.to_string().parse::<Recurrence>(), Ok(recurrence));
        }
    }
}
