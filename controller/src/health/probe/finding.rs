//! An answer in the making: a key of `templates/locales/outside.toml`, and what is filled into its sentence.

use std::collections::BTreeMap;

use crate::fleet::one_line;
use crate::health::say;
use crate::model::{Answer, Figure, Status};

/// What was found.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    status: Status,
    key: &'static str,
    next: Option<&'static str>,
    values: BTreeMap<&'static str, String>,
    figure: Option<Figure>,
}

impl Finding {
    fn new(status: Status, key: &'static str) -> Self {
        Self {
            status,
            key,
            next: None,
            values: BTreeMap::new(),
            figure: None,
        }
    }

    pub(super) fn ok(key: &'static str) -> Self {
        Self::new(Status::Ok, key)
    }

    pub(super) fn warning(key: &'static str) -> Self {
        Self::new(Status::Warning, key)
    }

    pub(super) fn critical(key: &'static str) -> Self {
        Self::new(Status::Critical, key)
    }

    /// What cannot be told, through no fault of what was asked.
    pub(super) fn unknown(key: &'static str) -> Self {
        Self::new(Status::Unknown, key)
    }

    /// A value for the sentence; what comes from outside is cut to a line that cannot paint on a terminal.
    pub(super) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        const LONGEST: usize = 120;
        let line = one_line(&value.to_string());
        let mut short: String = line.chars().take(LONGEST).collect();
        if short.len() < line.len() {
            short.push('…');
        }
        self.values.insert(name, short);
        self
    }

    /// The next step, where more is known about it than whoever wrote the check could know.
    pub(super) fn then(mut self, key: &'static str) -> Self {
        self.next = Some(key);
        self
    }

    /// The figure that decided it.
    pub(super) fn measured(mut self, figure: Figure) -> Self {
        self.figure = Some(figure);
        self
    }

    pub(super) fn answer(self) -> Answer {
        Answer {
            status: self.status,
            figure: self.figure,
            sentence: say(self.key, &self.values),
            advice: self.next.map(|key| say(key, &self.values)),
        }
    }
}
