//! Colours and signs of the terminal. Colour only says again what a word or sign says.

use std::io::IsTerminal;

/// Paints text, or leaves it as it is where colour is not wanted.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// For standard output: colour on terminals, unless `NO_COLOR` is set.
    pub fn detect() -> Self {
        Self {
            colour: std::io::stdout().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }

    /// Without any colour.
    #[cfg(test)]
    pub const PLAIN: Self = Self { colour: false };

    /// Headings.
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// What is less important.
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// What is created, what went well.
    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// What is changed, what needs attention.
    pub fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// What is removed, what went wrong.
    pub fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}
