//! What can be wrong with a service template or with what was given to it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::Text;

/// Something wrong at a place in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// From the outside in: `resources`, `nginx-site`, `content`.
    place: Vec<String>,
    /// What is wrong; never a secret.
    what: String,
}

impl Problem {
    /// A problem whose place callers add.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            place: Vec::new(),
            what: what.into(),
        }
    }

    /// The same problem, seen from one level further out.
    #[must_use]
    pub fn inside(mut self, place: impl Into<String>) -> Self {
        self.place.insert(0, place.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place.join(", "))?;
        }
        f.write_str(&self.what)
    }
}

/// Why the catalogue could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// A folder of templates cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A template cannot be written.
    #[error("cannot write {path}: {source}")]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A template that is there, but cannot be used.
    #[error(transparent)]
    Unusable(Arc<CatalogueError>),
    /// There is no such template.
    #[error("there is no service template {name:?}; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names of all.
        known: String,
    },
    /// There is no such action.
    #[error(
        "{template} has no action {name:?}; {}",
        if known.is_empty() { "it has none".to_owned() } else { format!("it has: {known}") }
    )]
    UnknownAction {
        /// The template.
        template: String,
        /// What was asked for.
        name: String,
        /// The names of all.
        known: String,
    },
    /// The template itself is wrong: its author has to mend it.
    #[error("the service template {template} is wrong: {problem}")]
    Template {
        /// Its name.
        template: String,
        /// What and where.
        problem: Problem,
    },
    /// Values for parameters are missing or wrong.
    #[error("{}", lines(.0))]
    Parameters(Vec<String>),
    /// A requirement of the template does not hold.
    #[error("{}", .0.en)]
    Requirement(Text),
}

fn lines(problems: &[String]) -> String {
    match problems {
        [problem] => problem.clone(),
        problems => format!(
            "{} values are wrong:\n  {}",
            problems.len(),
            problems.join("\n  ")
        ),
    }
}
