//! Is a certificate good, and for how long?

use std::io;

use rustls::pki_types::{ServerName, UnixTime};
use rustls::{AlertDescription, Error};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::way::{Goal, Line, bare};
use super::{Around, Clock, Finding};
use crate::catalogue::{TlsCheck, Trust};
use crate::model::{Figure, Host};

pub(super) async fn ask(
    question: &TlsCheck,
    host: Option<&Host>,
    around: &Around,
) -> Result<Finding, Finding> {
    let clock = Clock::start(question.timeout);
    let goal = Goal::new(Some(&question.domain), question.port, question.at, host);
    let line = goal.dial(clock, around).await?;
    let (_, left) = secure(line, &question.domain, question.trust, &goal, clock, around).await?;
    let days = left.floor();
    let finding = if left < f64::from(question.critical_days) {
        Finding::critical("outside.tls.days").then("next.renew")
    } else if left < f64::from(question.warning_days) {
        Finding::warning("outside.tls.days").then("next.renew")
    } else {
        Finding::ok("outside.tls.good")
    };
    Ok(finding
        .with("name", &question.domain)
        .with("days", days)
        .measured(Figure {
            value: days,
            unit: "d".to_owned(),
        }))
}

/// Speaks TLS and judges the certificate: a line that is what it says, and the days that it will be.
pub(super) async fn secure(
    line: Box<dyn Line>,
    name: &str,
    trust: Trust,
    goal: &Goal<'_>,
    clock: Clock,
    around: &Around,
) -> Result<(TlsStream<Box<dyn Line>>, f64), Finding> {
    let about = |finding: Finding| finding.with("name", name).with("place", goal);
    let server = ServerName::try_from(bare(name.trim_end_matches('.')))
        .map_err(|_| about(Finding::unknown("outside.tls.no_name")))?
        .to_owned();
    let connector = TlsConnector::from(around.judges.config());
    let stream = clock
        .wait(connector.connect(server.clone(), line), || goal.late(clock))
        .await?
        .map_err(|error| about(no_handshake(&error)))?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let left = around
        .judges
        .judge(chain, &server, trust, UnixTime::now())
        .map_err(about)?;
    Ok((stream, left))
}

/// Why nothing came of a handshake.
fn no_handshake(error: &io::Error) -> Finding {
    let reason = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match reason {
        Some(Error::AlertReceived(AlertDescription::ProtocolVersion)) | Some(Error::PeerIncompatible(_)) => {
            Finding::critical("outside.tls.old").then("next.old_tls")
        }
        Some(Error::AlertReceived(
            AlertDescription::UnrecognisedName
            | AlertDescription::HandshakeFailure
            | AlertDescription::InternalError,
        )) => Finding::critical("outside.tls.unknown_name").then("next.certificate"),
        Some(Error::InvalidCertificate(_)) => {
            Finding::critical("outside.tls.unreadable").then("next.certificate")
        }
        Some(Error::InvalidMessage(_)) => Finding::critical("outside.tls.no_tls"),
        Some(reason) => Finding::critical("outside.tls.no_handshake").with("reason", reason),
        None => Finding::critical("outside.cut"),
    }
}
