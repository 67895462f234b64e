//! What programs say, in the manner of plugins for Nagios and Icinga.

use allmende_agent::observe::Said;
use serde_json::json;

use super::answer;
use crate::fleet::one_line;
use crate::model::{Answer, Figure, Status, Text};

pub(super) fn command(found: &Said) -> Answer {
    let status = match found.code {
        Some(0) => Status::Ok,
        Some(1) => Status::Warning,
        Some(2) => Status::Critical,
        _ => Status::Unknown,
    };
    let first = found.text.lines().next().unwrap_or_default();
    let (said, figures) = first.split_once('|').unwrap_or((first, ""));
    let mut said = one_line(said);
    if said.is_empty() {
        // What went wrong stands on standard error.
        said = found.tail.last().map(|line| one_line(line)).unwrap_or_default();
    }
    let figure = first_figure(figures);
    if said.is_empty() {
        let key = match (found.code, status) {
            (None, _) => "inside.command.killed",
            (_, Status::Ok) => "inside.command.good",
            _ => "inside.command.silent",
        };
        return answer(status, figure, key, json!({ "code": found.code }));
    }
    let german = found
        .text
        .lines()
        .skip(1)
        .find_map(|line| line.strip_prefix("de: "));
    Answer {
        status,
        figure,
        sentence: Text {
            de: german
                .map(one_line)
                .filter(|german| !german.is_empty())
                .unwrap_or_else(|| said.clone()),
            en: said,
        },
        advice: None,
    }
}

/// The first of the figures that plugins print: `'label'=12.5ms;10;20;0;100`.
fn first_figure(figures: &str) -> Option<Figure> {
    let figures = figures.trim_start();
    // A label in quotes may hold blanks and equal signs.
    let rest = match figures.strip_prefix('\'') {
        Some(quoted) => quoted.split_once('\'')?.1.strip_prefix('=')?,
        None => figures.split_once('=')?.1,
    };
    let figure = rest.split([';', ' ']).next()?;
    let end = figure.find(|character: char| !character.is_ascii_digit() && !".-+".contains(character));
    let (value, unit) = figure.split_at_checked(end.unwrap_or(figure.len()))?;
    let value: f64 = value.parse().ok()?;
    let short = unit.len() <= 8
        && unit
            .chars()
            .all(|character| character.is_alphabetic() || character == '%');
    (value.is_finite() && short).then(|| Figure {
        value,
        unit: unit.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_figure_of_a_plugin_is_taken() {
        let taken = |text: &str| first_figure(text).map(|figure| (figure.value, figure.unit));
        assert_eq!(
            taken(" time=12.5ms;10;20;0;100 size=3B"),
            Some((12.5, "ms".to_owned()))
        );
        assert_eq!(taken("'free space = all'=-3%"), Some((-3.0, "%".to_owned())));
        assert_eq!(taken("mails=12"), Some((12.0, String::new())));
        for none in ["", "x", "x=", "x=U", "'x=1", "x=1.2.3", "x=1<script>"] {
            assert_eq!(taken(none), None, "{none}");
        }
    }

    #[test]
    fn a_program_may_say_it_in_german_too() {
        let said = |text: &str| {
            let found = Said {
                code: Some(1),
                text: text.to_owned(),
                tail: Vec::new(),
            };
            let Text { de, en } = command(&found).sentence;
            (de, en)
        };
        let both = |de: &str, en: &str| (de.to_owned(), en.to_owned());
        assert_eq!(
            said("12 mails wait | mails=12\nthe oldest for a day\nde: 12 Mails warten\n"),
            both("12 Mails warten", "12 mails wait")
        );
        assert_eq!(
            said("12 mails wait\nde:  \n"),
            both("12 mails wait", "12 mails wait")
        );
    }

    proptest! {
        #[test]
        fn programs_may_print_anything(text in "('|=|;|[0-9.]{1,4}|%|\n|.){0,40}", code in proptest::option::of(any::<i32>())) {
            let answer = command(&Said { code, text: text.clone(), tail: vec![text] });
            prop_assert!(!answer.sentence.de.is_empty() && !answer.sentence.de.contains(char::is_control));
        }
    }
}
