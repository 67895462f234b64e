//! Certificates in files: when the first of them ends.

use allmende_agent::observe::Certificates;
use jiff::Timestamp;
use serde_json::json;
use x509_parser::pem::parse_x509_pem;

use super::{answer, figure, words};
use crate::catalogue::CertificateCheck;
use crate::fleet::one_line;
use crate::model::{Answer, Status};

/// What is looked at of a certificate: seconds since 1970.
struct Validity {
    name: String,
    from: i64,
    until: i64,
}

impl Validity {
    fn read(pem: &str) -> Option<Self> {
        let (_, pem) = parse_x509_pem(pem.as_bytes()).ok()?;
        let certificate = pem.parse_x509().ok()?;
        let subject = certificate.subject();
        let common = subject
            .iter_common_name()
            .next()
            .and_then(|name| name.as_str().ok());
        Some(Self {
            name: one_line(&common.map_or_else(|| subject.to_string(), str::to_owned)),
            from: certificate.validity().not_before.timestamp(),
            until: certificate.validity().not_after.timestamp(),
        })
    }
}

pub(super) fn certificate(check: &CertificateCheck, found: &Certificates, now: Timestamp) -> Answer {
    let path = &check.path;
    let bad = |status, key: &str| answer(status, None, key, json!({ "path": path }));
    if !found.exists {
        return bad(Status::Critical, "inside.certificate.missing");
    }
    if found.pem.is_empty() {
        return bad(Status::Critical, "inside.certificate.none");
    }
    let read: Option<Vec<Validity>> = found.pem.iter().map(|pem| Validity::read(pem)).collect();
    let first = read.and_then(|all| all.into_iter().min_by_key(|certificate| certificate.until));
    let Some(first) = first else {
        return bad(Status::Unknown, "inside.certificate.unreadable");
    };
    let left = first.until.saturating_sub(now.as_second());
    let at_least = |seconds: u64| left >= i64::try_from(seconds).unwrap_or(i64::MAX);
    let (status, key) = match left {
        ..=0 => (Status::Critical, "inside.certificate.over"),
        _ if first.from > now.as_second() => (Status::Critical, "inside.certificate.early"),
        _ if !at_least(check.critical.seconds) => (Status::Critical, "inside.certificate.ends"),
        _ if !at_least(check.warning.seconds) => (Status::Warning, "inside.certificate.ends"),
        _ => (Status::Ok, "inside.certificate.ends"),
    };
    let values = json!({
        "path": path,
        "name": first.name,
        "left": words::duration(left.unsigned_abs()),
    });
    answer(status, figure(left as f64 / 86_400.0, "d"), key, values)
}
