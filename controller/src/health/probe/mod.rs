//! Asking from outside: pages, ports, certificates, names, SSH servers.
//!
//! A question has one connection of its own, which nothing before it warmed up and which nobody goes on using: an answer is what
//! the next visitor would get, and what is not open cannot leak. How many are under way at once is bounded; when that many are, the
//! others wait, and what they wait is not counted as slowness of what they ask.

mod date;
mod dns;
mod finding;
mod http;
mod ssh;
mod tcp;
#[cfg(test)]
mod tests;
mod tls;
mod trust;
mod way;

use std::time::Duration;

use domain::resolv::stub::conf::ResolvConf;
use jiff::Zoned;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::catalogue::{Check, Question};
use crate::fleet::ControllerKey;
use crate::model::{Answer, Figure, Host};
use finding::Finding;
use trust::Judges;

/// What questions are asked with.
#[derive(Default)]
pub struct Means {
    /// PEM of the controller's own authority: who signed certificates of services with tls = internal.
    pub authority: Option<String>,
    /// Gets through jump hosts.
    pub jump_key: Option<ControllerKey>,
    /// Who answers for the DNS; the system's own resolvers where nothing is said.
    pub resolvers: Option<ResolvConf>,
}

/// Asks checks from outside, a bounded number at once.
pub struct Prober {
    gate: Semaphore,
    around: Around,
}

/// What every question can use.
struct Around {
    judges: Judges,
    jump_key: Option<ControllerKey>,
    resolvers: Option<ResolvConf>,
}

/// When an answer counts as none.
#[derive(Clone, Copy)]
struct Clock {
    begun: Instant,
    seconds: u64,
}

impl Prober {
    /// Asks at most `limit` questions at once, and so has at most as many connections open; at least one.
    pub fn new(limit: usize, means: Means) -> Self {
        let authority = means
            .authority
            .and_then(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).ok());
        Self {
            gate: Semaphore::new(limit.clamp(1, Semaphore::MAX_PERMITS)),
            around: Around {
                judges: Judges::new(authority),
                jump_key: means.jump_key,
                resolvers: means.resolvers,
            },
        }
    }

    /// Asks a check of a host, or of something else where there is no host; none where only the agent can answer it.
    ///
    /// It answers in the time that the check gives it, once its turn has come.
    pub async fn ask(&self, check: &Check, host: Option<&Host>) -> Option<Answer> {
        if !check.question.is_outside() {
            return None;
        }
        // The gate is never closed.
        let _turn = self.gate.acquire().await.ok()?;
        let finding = match &check.question {
            Question::Http(question) => http::ask(question, host, &self.around).await,
            Question::Tcp(question) => tcp::ask(question, host, &self.around).await,
            Question::Tls(question) => tls::ask(question, host, &self.around).await,
            Question::Dns(question) => dns::ask(question, host, &self.around).await,
            Question::Date(question) => Ok(date::ask(question, Zoned::now().date())),
            Question::Ssh(_) => ssh::ask(host, &self.around).await,
            _ => return None,
        };
        Some(finding.unwrap_or_else(|finding| finding).answer())
    }
}

impl Clock {
    fn start(seconds: u64) -> Self {
        Self {
            begun: Instant::now(),
            seconds,
        }
    }

    fn end(self) -> Instant {
        self.begun + Duration::from_secs(self.seconds)
    }

    /// Waits for something until the time is over; `late` is what that means.
    async fn wait<T>(
        self,
        what: impl Future<Output = T>,
        late: impl FnOnce() -> Finding,
    ) -> Result<T, Finding> {
        tokio::time::timeout_at(self.end(), what)
            .await
            .map_err(|_| late())
    }

    /// How long it took, in milliseconds.
    fn figure(self) -> Figure {
        Figure {
            value: (self.begun.elapsed().as_secs_f64() * 10_000.0).round() / 10.0,
            unit: "ms".to_owned(),
        }
    }
}

/// A good answer that came late is not that good.
fn in_time(finding: Finding, clock: Clock, warning: Option<u64>, critical: Option<u64>) -> Finding {
    let figure = clock.figure();
    let took = figure.value;
    let over = |limit: Option<u64>| limit.filter(|limit| took > *limit as f64);
    let finding = match (over(critical), over(warning)) {
        (Some(limit), _) => Finding::critical("outside.slow").with("limit", limit),
        (None, Some(limit)) => Finding::warning("outside.slow").with("limit", limit),
        (None, None) => finding,
    };
    finding.with("took", took.round()).measured(figure)
}
