//! Following a job: one line that moves on a terminal, plain lines elsewhere.

use std::future::Future;
use std::io::IsTerminal;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use allmende_agent::protocol::Event;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::plan_view::sign;
use super::style::Style;
use crate::model::{JobEvent, JobEventKind};
use crate::operations::Observer;

const MB: u64 = 1_000_000;

/// Shows the events of jobs as they happen. One can follow several jobs at once.
pub struct Follower {
    style: Style,
    /// On a terminal: what is being done now, one line a host.
    bars: Option<MultiProgress>,
    lines: Mutex<std::collections::BTreeMap<String, ProgressBar>>,
    last_tenth: Mutex<u64>,
    /// Whether what happened is what was asked for, and not told beside it.
    is_answer: bool,
}

impl Follower {
    /// A follower on standard error, so that standard output keeps the outcome alone.
    pub fn new(style: Style) -> Self {
        Self {
            style,
            bars: std::io::stderr().is_terminal().then(MultiProgress::new),
            lines: Mutex::default(),
            last_tenth: Mutex::new(0),
            is_answer: false,
        }
    }

    /// A follower that tells on standard output what has happened long ago.
    pub fn of_the_past(style: Style) -> Self {
        Self {
            bars: None,
            is_answer: true,
            ..Self::new(style)
        }
    }

    /// Takes away what moves.
    pub fn finish(&self) {
        if let Ok(mut lines) = self.lines.lock() {
            for line in lines.values() {
                line.finish_and_clear();
            }
            lines.clear();
        }
    }

    /// A line that stays.
    fn say(&self, text: &str) {
        match &self.bars {
            Some(bars) => {
                // A terminal that cannot be written to is about to end the program anyway.
                let _ = bars.println(text);
            }
            None if self.is_answer => println!("{text}"),
            None => eprintln!("{text}"),
        }
    }

    /// What is being done now, for the line that moves.
    fn now(&self, key: &str, text: String) {
        let Some(bars) = &self.bars else { return };
        let Ok(mut lines) = self.lines.lock() else { return };
        let line = lines.entry(key.to_owned()).or_insert_with(|| {
            let line = bars.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}") {
                line.set_style(style);
            }
            line.enable_steady_tick(Duration::from_millis(120));
            line
        });
        line.set_message(text);
    }

    fn progress(&self, what: &str, done: u64, total: u64) {
        let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
        let text = format!("{what}: {percent} % of {} MB", total.div_ceil(MB));
        if self.bars.is_some() {
            self.now(what, text);
            return;
        }
        let Ok(mut last) = self.last_tenth.lock() else {
            return;
        };
        // What takes a moment is not worth a line that stays.
        if total >= 20 * MB && percent / 10 != *last {
            *last = percent / 10;
            self.say(&text);
        }
    }

    fn agent(&self, host: &str, event: &Event) {
        match event {
            Event::Started {
                kind,
                subject,
                position,
                total,
                ..
            } => {
                let text = format!(
                    "{host} [{}/{total}] {} {subject}",
                    position + 1,
                    kind.replace('_', " ")
                );
                self.now(host, text);
            }
            Event::Output(line) => {
                if let Ok(lines) = self.lines.lock()
                    && let Some(bar) = lines.get(host)
                {
                    let first = bar.message().split("  ·  ").next().unwrap_or_default().to_owned();
                    bar.set_message(format!("{first}  ·  {line}"));
                }
            }
            Event::Changed(resource) => self.say(&format!(
                "{} {host}: {} {}",
                sign(resource.action, self.style),
                resource.kind.replace('_', " "),
                resource.subject
            )),
            Event::Waiting(what) => self.say(&format!("{} {host}: {what}", self.style.dim("·"))),
            Event::Handled(handler) => {
                self.say(&format!("{} {host}: {}", self.style.yellow("↻"), handler.what));
            }
            Event::Progress {
                part,
                done_bytes,
                total_bytes,
                done_files,
                total_files,
            } => {
                let mut text = format!("{host} {part}: ");
                if let Some(percent) = done_bytes.saturating_mul(100).checked_div(*total_bytes) {
                    text.push_str(&format!("{percent} % of {} MB", total_bytes.div_ceil(MB)));
                } else {
                    text.push_str(&format!("{} MB", done_bytes.div_ceil(MB)));
                }
                if *total_files > 1 {
                    text.push_str(&format!(", {done_files} of {total_files} files"));
                }
                self.now(host, text);
            }
            // Between controller and agent.
            Event::Bridge(_) => {}
        }
    }
}

impl Observer for Follower {
    fn cancelled(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            // Without a handler for Ctrl-C, it ends the program as it always did.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }

    fn event(&self, event: &JobEvent) {
        match &event.event {
            JobEventKind::Step { text } => {
                self.say(&format!("{} {text}", self.style.dim("·")));
            }
            JobEventKind::Progress { what, done, total } => self.progress(what, *done, *total),
            JobEventKind::Agent { host, event } => self.agent(host, event),
            JobEventKind::Warning { text } => self.say(&format!("{} {text}", self.style.yellow("!"))),
        }
    }
}
