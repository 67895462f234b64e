//! The controller's own certificate authority: for services that no public authority can reach.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How long a certificate is valid, in days.
const VALID_DAYS: i64 = 90;

/// A certificate with fewer days left is renewed by the next apply.
const RENEW_DAYS: i64 = 30;

/// How long the authority itself is valid, in years.
const AUTHORITY_YEARS: i64 = 10;

/// A certificate and its key, as they are kept in the vault.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedCertificate {
    /// The domains it is for.
    pub names: Vec<String>,
    /// PEM: the certificate.
    pub certificate: String,
    /// PEM: its private key. Secret.
    pub key: String,
    /// PEM of the authority that signed it.
    pub authority: String,
    /// The end of its validity.
    pub not_after: Timestamp,
}

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot issue a certificate for {name}: {source}")]
pub struct AuthorityError {
    name: String,
    source: rcgen::Error,
}

/// A new authority; its certificate serves as the root that browsers and hosts have to trust.
///
/// # Errors
/// [`AuthorityError`] when the system gives no randomness.
pub fn create(now: Timestamp) -> Result<IssuedCertificate, AuthorityError> {
    let name = "Allmende authority";
    let failed = |source| AuthorityError {
        name: name.to_owned(),
        source,
    };
    let not_after = later(now, AUTHORITY_YEARS * 365);
    let mut params = base_parameters(Vec::new(), now, not_after).map_err(failed)?;
    params.distinguished_name = distinguished_name(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?.pem();
    Ok(IssuedCertificate {
        names: Vec::new(),
        authority: certificate.clone(),
        certificate,
        key: key.serialize_pem(),
        not_after,
    })
}

impl IssuedCertificate {
    /// SHA-256 of the certificate as browsers and systems show it: `AB:CD:…`.
    pub fn fingerprint(&self) -> String {
        let body: String = self
            .certificate
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .collect();
        let der = BASE64.decode(body).unwrap_or_default();
        let bytes: Vec<String> = Sha256::digest(der)
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        bytes.join(":")
    }

    /// Whether it can still be used for these domains under this authority.
    pub fn serves(&self, names: &[String], authority: &Self, now: Timestamp) -> bool {
        self.names == names
            && self.authority == authority.certificate
            && self.not_after > later(now, RENEW_DAYS)
    }

    /// Issues a certificate for domains, signed by this authority.
    ///
    /// # Errors
    /// [`AuthorityError`] for names that no certificate can carry.
    pub fn issue(&self, names: &[String], now: Timestamp) -> Result<Self, AuthorityError> {
        let failed = |source| AuthorityError {
            name: names.join(", "),
            source,
        };
        let not_after = later(now, VALID_DAYS);
        let mut params = base_parameters(names.to_vec(), now, not_after).map_err(failed)?;
        params.distinguished_name = distinguished_name(names.first().map_or("", String::as_str));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let authority_key = KeyPair::from_pem(&self.key).map_err(failed)?;
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, authority_key).map_err(failed)?;
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &issuer).map_err(failed)?.pem();
        Ok(Self {
            names: names.to_vec(),
            certificate,
            key: key.serialize_pem(),
            authority: self.certificate.clone(),
            not_after,
        })
    }
}

fn base_parameters(
    names: Vec<String>,
    now: Timestamp,
    not_after: Timestamp,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    let day = |at: Timestamp| {
        let date = at.to_zoned(TimeZone::UTC).date();
        rcgen::date_time_ymd(
            i32::from(date.year()),
            date.month().unsigned_abs(),
            date.day().unsigned_abs(),
        )
    };
    // A day earlier, for hosts whose clock is behind.
    params.not_before = day(later(now, -1));
    params.not_after = day(not_after);
    Ok(params)
}

fn distinguished_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn later(at: Timestamp, days: i64) -> Timestamp {
    at.saturating_add((days * 24).hours()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_serves_its_names_until_it_has_to_be_renewed() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().expect("a time");
        let authority = create(now).expect("made");
        let names = vec!["cloud.kita.test".to_owned()];
        let issued = authority.issue(&names, now).expect("issued");
        assert!(issued.serves(&names, &authority, now));
        assert!(issued.serves(&names, &authority, later(now, 59)));
        assert!(!issued.serves(&names, &authority, later(now, 61)));
        assert!(!issued.serves(&["other.test".to_owned()], &authority, now));
        assert!(!issued.serves(&names, &create(now).expect("made"), now));
    }
}
