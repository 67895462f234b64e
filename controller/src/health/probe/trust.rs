//! Judging certificates. The handshake takes every certificate, so that what is wrong with it can be said; nothing is sent to the
//! other side before it was judged.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use x509_parser::prelude::{GeneralName, X509Certificate, X509Name};

use super::Finding;
use crate::catalogue::Trust;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Who judges certificates, and what handshakes are made with.
pub(super) struct Judges {
    provider: Arc<CryptoProvider>,
    /// Takes every certificate, and never takes up an old session: that one would show none.
    config: Arc<ClientConfig>,
    /// The controller's own.
    authority: Option<CertificateDer<'static>>,
    /// Those of the system. Reading them takes a while, and many a question needs none.
    public: OnceLock<RootCertStore>,
    known: OnceLock<RootCertStore>,
    internal: RootCertStore,
}

impl Judges {
    pub(super) fn new(authority: Option<CertificateDer<'static>>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = TakesAll(Arc::clone(&provider));
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        // Ring's provider has what both versions need.
        let builder = builder
            .with_safe_default_protocol_versions()
            .unwrap_or_else(|_| ClientConfig::builder_with_protocol_versions(rustls::DEFAULT_VERSIONS));
        let mut config = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        let mut internal = RootCertStore::empty();
        internal.add_parsable_certificates(authority.iter().cloned());
        Self {
            provider,
            config: Arc::new(config),
            authority,
            public: OnceLock::new(),
            known: OnceLock::new(),
            internal,
        }
    }

    pub(super) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// The authorities that may have signed; none where everybody may.
    fn authorities(&self, trust: Trust) -> Option<&RootCertStore> {
        let public = || {
            self.public.get_or_init(|| {
                let mut store = RootCertStore::empty();
                store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                store
            })
        };
        match trust {
            Trust::Anybody => None,
            Trust::Public => Some(public()),
            Trust::Internal => Some(&self.internal),
            Trust::Known => Some(self.known.get_or_init(|| {
                let mut store = public().clone();
                store.add_parsable_certificates(self.authority.iter().cloned());
                store
            })),
        }
    }

    /// The days that a chain of certificates, the server's own first, is good for this name from now on.
    pub(super) fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        trust: Trust,
        now: UnixTime,
    ) -> Result<f64, Finding> {
        let (own, others) = chain
            .split_first()
            .ok_or_else(|| Finding::critical("outside.tls.none"))?;
        let unreadable = || Finding::critical("outside.tls.unreadable").then("next.certificate");
        let (_, certificate) = x509_parser::parse_x509_certificate(own).map_err(|_| unreadable())?;
        let parsed = ParsedCertificate::try_from(own).map_err(|_| unreadable())?;
        let now_seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let left = certificate
            .validity()
            .not_after
            .timestamp()
            .saturating_sub(now_seconds);
        let early = certificate
            .validity()
            .not_before
            .timestamp()
            .saturating_sub(now_seconds);
        if left < 0 {
            let finding = match -left / DAY {
                0 => Finding::critical("outside.tls.expired_today"),
                days => Finding::critical("outside.tls.expired").with("days", days),
            };
            return Err(finding.then("next.renew"));
        }
        if early > 0 {
            return Err(Finding::critical("outside.tls.early").then("next.clock"));
        }
        if verify_server_name(&parsed, name).is_err() {
            return Err(Finding::critical("outside.tls.other_name")
                .with("names", names(&certificate))
                .then("next.other_name"));
        }
        if let Some(authorities) = self.authorities(trust) {
            if authorities.is_empty() {
                return Err(Finding::unknown("outside.tls.no_authorities").then("next.no_authorities"));
            }
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&parsed, authorities, others, now, algorithms)
                .map_err(|error| distrusted(&error, &certificate, trust))?;
        }
        Ok(left as f64 / DAY as f64)
    }
}

/// Why nobody who is trusted stands behind a certificate.
fn distrusted(error: &Error, certificate: &X509Certificate<'_>, trust: Trust) -> Finding {
    let self_signed = certificate.subject().as_raw() == certificate.issuer().as_raw();
    let finding = match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) if trust == Trust::Internal => {
            Finding::critical("outside.tls.not_internal").then("next.renew")
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer) if self_signed => {
            Finding::critical("outside.tls.self_signed").then("next.self_signed")
        }
        // Authorities of one's own have no address at which the certificate in between could be fetched.
        Error::InvalidCertificate(CertificateError::UnknownIssuer) if has_issuer_address(certificate) => {
            Finding::critical("outside.tls.incomplete").then("next.incomplete")
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            Finding::critical("outside.tls.unknown_authority").then("next.unknown_authority")
        }
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            Finding::critical("outside.tls.chain_expired").then("next.incomplete")
        }
        error => Finding::critical("outside.tls.bad").with("reason", error),
    };
    finding.with("issuer", known_as(certificate.issuer()))
}

/// Whether the certificate says where that of its issuer can be had.
fn has_issuer_address(certificate: &X509Certificate<'_>) -> bool {
    use x509_parser::prelude::ParsedExtension;
    certificate.extensions().iter().any(|extension| {
        matches!(extension.parsed_extension(), ParsedExtension::AuthorityInfoAccess(access)
            if access.accessdescs.iter().any(|entry| entry.access_method.to_id_string() == "1.3.6.1.5.5.7.48.2"))
    })
}

/// What people call the owner of a certificate.
fn known_as(name: &X509Name<'_>) -> String {
    let first = |text: Option<&str>| text.map(str::to_owned);
    let organisation = name
        .iter_organization()
        .next()
        .and_then(|part| first(part.as_str().ok()));
    let common = name
        .iter_common_name()
        .next()
        .and_then(|part| first(part.as_str().ok()));
    match (organisation, common) {
        (Some(organisation), Some(common)) if organisation != common => format!("{organisation}, {common}"),
        (Some(name), _) | (None, Some(name)) => name,
        (None, None) => name.to_string(),
    }
}

/// The first names that a certificate is for.
fn names(certificate: &X509Certificate<'_>) -> String {
    const SHOWN: usize = 3;
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let mut names: Vec<String> = alternative
        .iter()
        .flat_map(|alternative| &alternative.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .take(SHOWN + 1)
        .collect();
    match names.len() {
        0 => known_as(certificate.subject()),
        length if length > SHOWN => {
            names.truncate(SHOWN);
            format!("{}, …", names.join(", "))
        }
        _ => names.join(", "),
    }
}

/// Takes every certificate, but makes sure that the other side has its key.
#[derive(Debug)]
struct TakesAll(Arc<CryptoProvider>);

impl ServerCertVerifier for TakesAll {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
