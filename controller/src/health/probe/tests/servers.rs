//! Small servers that do what they are told.

use std::future::Future;
use std::sync::Arc;

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A server that does this with every connection; its port.
pub(super) async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("is bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    port
}

/// Reads a request up to the blank line behind its headers.
pub(super) async fn request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut heard = Vec::new();
    let mut part = [0; 1024];
    while !heard.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut part).await {
            Ok(length) if length > 0 => heard.extend(&part[..length]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&heard).into_owned()
}

/// A server that answers every request with these bytes, and hangs up.
pub(super) async fn says(answer: impl Into<Vec<u8>>) -> u16 {
    let answer: Arc<Vec<u8>> = Arc::new(answer.into());
    server(move |mut stream| {
        let answer = Arc::clone(&answer);
        async move {
            request(&mut stream).await;
            // Whoever asked may have heard enough.
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

/// A page with this code, further headers, and this text.
pub(super) fn page(code: u16, headers: &str, text: &str) -> String {
    format!(
        "HTTP/1.1 {code} X\r\nContent-Length: {}\r\n{headers}\r\n{text}",
        text.len()
    )
}

/// An authority for certificates, or one between it and them.
pub(super) struct Authority {
    params: CertificateParams,
    key: KeyPair,
    pub(super) certificate: rcgen::Certificate,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let params = Self::params(name);
        let key = KeyPair::generate().expect("generates");
        let certificate = params.self_signed(&key).expect("signs");
        Self {
            params,
            key,
            certificate,
        }
    }

    /// One that this one signed.
    pub(super) fn below(&self, name: &str) -> Self {
        let params = Self::params(name);
        let key = KeyPair::generate().expect("generates");
        let certificate = params.signed_by(&key, &self.issuer()).expect("signs");
        Self {
            params,
            key,
            certificate,
        }
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    /// A certificate for a name, from one day to another, counted from today.
    pub(super) fn issue(&self, name: &str, days: (i64, i64)) -> Served {
        let key = KeyPair::generate().expect("generates");
        let mut params = leaf(name, days);
        params.custom_extensions.push(issuer_address());
        let certificate = params.signed_by(&key, &self.issuer()).expect("signs");
        Served {
            chain: vec![certificate.der().clone()],
            key,
        }
    }
}

/// What a server shows.
pub(super) struct Served {
    pub(super) chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Served {
    /// A certificate that its own key signed.
    pub(super) fn by_itself(name: &str) -> Self {
        let key = KeyPair::generate().expect("generates");
        let mut params = leaf(name, (-1, 60));
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).expect("signs");
        Self {
            chain: vec![certificate.der().clone()],
            key,
        }
    }

    /// What TLS is spoken with.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), key)
            .expect("a certificate with its key");
        TlsAcceptor::from(Arc::new(config))
    }

    /// A server that shows it, and answers every request with these bytes.
    pub(super) async fn says(&self, answer: &str) -> u16 {
        let acceptor = self.acceptor();
        let answer = answer.to_owned();
        server(move |stream| {
            let (acceptor, answer) = (acceptor.clone(), answer.clone());
            async move {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    request(&mut stream).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                }
            }
        })
        .await
    }
}

fn leaf(name: &str, (from, until): (i64, i64)) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    params.distinguished_name = rcgen::DistinguishedName::new();
    let day = |days: i64| {
        let at = Timestamp::now()
            .checked_add((days * 24).hours())
            .expect("in time");
        let date = at.to_zoned(TimeZone::UTC).date();
        rcgen::date_time_ymd(
            i32::from(date.year()),
            date.month().unsigned_abs(),
            date.day().unsigned_abs(),
        )
    };
    params.not_before = day(from);
    params.not_after = day(until);
    params
}

/// Where the certificate of the issuer can be had, as public authorities write it.
fn issuer_address() -> CustomExtension {
    let method = [0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02];
    let address = b"http://ca.test/i.crt";
    let mut access = method.to_vec();
    access.extend([0x86, address.len() as u8]);
    access.extend(address);
    let mut entry = vec![0x30, access.len() as u8];
    entry.extend(access);
    let mut list = vec![0x30, entry.len() as u8];
    list.extend(entry);
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], list)
}
