//! The other sides: a mail server, and a web server that can answer anything.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A mail that the server took.
#[derive(Debug, Clone)]
pub struct Mail {
    pub to: String,
    pub text: String,
    pub encrypted: bool,
    pub account: Option<String>,
}

/// How the mail server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Good,
    WrongPassword,
    UnknownRecipient,
    Greylisting,
    Silent,
}

pub struct MailServer {
    pub port: u16,
    pub certificate: String,
    pub mails: Arc<Mutex<Vec<Mail>>>,
    pub mood: Arc<Mutex<Mood>>,
}

#[derive(Clone)]
struct Desk {
    tls: TlsAcceptor,
    mails: Arc<Mutex<Vec<Mail>>>,
    mood: Arc<Mutex<Mood>>,
}

impl MailServer {
    /// With STARTTLS, or with TLS from the beginning.
    pub async fn start(wrapped: bool) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("a configuration");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = Self {
            port: listener.local_addr().expect("an address").port(),
            certificate: cert.pem(),
            mails: Arc::default(),
            mood: Arc::new(Mutex::new(Mood::Good)),
        };
        let desk = Desk {
            tls: TlsAcceptor::from(Arc::new(config)),
            mails: Arc::clone(&server.mails),
            mood: Arc::clone(&server.mood),
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let desk = desk.clone();
                tokio::spawn(async move {
                    if wrapped {
                        if let Ok(stream) = desk.tls.accept(stream).await {
                            desk.talk(stream, true).await;
                        }
                    } else {
                        desk.talk_plain(stream).await;
                    }
                });
            }
        });
        server
    }

    pub fn taken(&self) -> Vec<Mail> {
        self.mails.lock().expect("a lock").clone()
    }

    pub fn set(&self, mood: Mood) {
        *self.mood.lock().expect("a lock") = mood;
    }
}

impl Desk {
    fn mood(&self) -> Mood {
        *self.mood.lock().expect("a lock")
    }

    /// Until STARTTLS.
    async fn talk_plain(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        say(&mut stream, "220 test ready").await;
        while let Some(line) = hear(&mut stream).await {
            let word = line.to_ascii_uppercase();
            if word.starts_with("EHLO") {
                say(&mut stream, "250-test\r\n250 STARTTLS").await;
            } else if word.starts_with("STARTTLS") {
                say(&mut stream, "220 go on").await;
                if let Ok(stream) = self.tls.accept(stream.into_inner()).await {
                    self.serve(BufReader::new(stream), true).await;
                }
                return;
            } else {
                say(&mut stream, "530 5.7.0 say STARTTLS first").await;
            }
        }
    }

    async fn talk(&self, stream: impl AsyncRead + AsyncWrite + Unpin, encrypted: bool) {
        let mut stream = BufReader::new(stream);
        say(&mut stream, "220 test ready").await;
        self.serve(stream, encrypted).await;
    }

    async fn serve(&self, mut stream: BufReader<impl AsyncRead + AsyncWrite + Unpin>, encrypted: bool) {
        let (mut account, mut to) = (None, String::new());
        while let Some(line) = hear(&mut stream).await {
            let word = line.to_ascii_uppercase();
            if self.mood() == Mood::Silent {
                std::future::pending::<()>().await;
            }
            let answer = if word.starts_with("EHLO") {
                "250-test\r\n250 AUTH PLAIN"
            } else if word.starts_with("AUTH PLAIN") {
                account = line.split(' ').nth(2).map(str::to_owned);
                match self.mood() {
                    Mood::WrongPassword => "535 5.7.8 wrong, and I repeat what you said: hunter2-hunter2",
                    _ => "235 welcome",
                }
            } else if word.starts_with("RCPT TO:") {
                to = line[8..].trim_matches(['<', '>', ' ']).to_owned();
                match self.mood() {
                    Mood::UnknownRecipient => "550 5.1.1 no such user",
                    Mood::Greylisting => "451 4.7.1 come again later",
                    _ => "250 yes",
                }
            } else if word.starts_with("DATA") {
                say(&mut stream, "354 go on").await;
                let mut text = String::new();
                while let Some(line) = hear(&mut stream).await {
                    if line == "." {
                        break;
                    }
                    text.push_str(&line);
                    text.push('\n');
                }
                self.mails.lock().expect("a lock").push(Mail {
                    to: to.clone(),
                    text,
                    encrypted,
                    account: account.clone(),
                });
                "250 2.0.0 taken as 4711"
            } else if word.starts_with("QUIT") {
                say(&mut stream, "221 bye").await;
                return;
            } else {
                "250 yes"
            };
            say(&mut stream, answer).await;
        }
    }
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), line: &str) {
    // Whoever hung up does not hear it.
    let _ = stream.write_all(format!("{line}\r\n").as_bytes()).await;
    let _ = stream.flush().await;
}

async fn hear(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Option<String> {
    let mut line = String::new();
    match stream.read_line(&mut line).await {
        Ok(read) if read > 0 => Some(line.trim_end_matches(['\r', '\n']).to_owned()),
        _ => None,
    }
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct Request {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(header, _)| header.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// How the web server answers once.
#[derive(Debug, Clone)]
pub enum Reply {
    Status(u16, &'static str, String),
    Hang,
    HangUp,
}

pub struct WebServer {
    pub url: String,
    pub requests: Arc<Mutex<Vec<Request>>>,
    replies: Arc<Mutex<VecDeque<Reply>>>,
    usual: Arc<Mutex<Reply>>,
}

impl WebServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = Self {
            url: format!("http://{}", listener.local_addr().expect("an address")),
            requests: Arc::default(),
            replies: Arc::default(),
            usual: Arc::new(Mutex::new(Reply::Status(200, "", "{}".to_owned()))),
        };
        let requests = Arc::clone(&server.requests);
        let replies = Arc::clone(&server.replies);
        let usual = Arc::clone(&server.usual);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (requests, replies, usual) =
                    (Arc::clone(&requests), Arc::clone(&replies), Arc::clone(&usual));
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    while let Some(request) = read(&mut stream).await {
                        requests.lock().expect("a lock").push(request);
                        let scripted = replies.lock().expect("a lock").pop_front();
                        let reply = scripted.unwrap_or_else(|| usual.lock().expect("a lock").clone());
                        match reply {
                            Reply::Hang => std::future::pending::<()>().await,
                            Reply::HangUp => return,
                            Reply::Status(status, header, body) => {
                                let length = body.len();
                                let answer = format!(
                                    "HTTP/1.1 {status} X\r\n{header}content-length: {length}\r\n\r\n{body}"
                                );
                                let _ = stream.write_all(answer.as_bytes()).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    /// Answers so the next time.
    pub fn next(&self, reply: Reply) {
        self.replies.lock().expect("a lock").push_back(reply);
    }

    /// Answers so whenever nothing else was said.
    pub fn usually(&self, reply: Reply) {
        *self.usual.lock().expect("a lock") = reply;
    }

    pub fn taken(&self) -> Vec<Request> {
        self.requests.lock().expect("a lock").clone()
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let line = hear(stream).await?;
    let mut headers = Vec::new();
    loop {
        let header = hear(stream).await?;
        match header.split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => break,
        }
    }
    let request = Request {
        line,
        headers,
        body: String::new(),
    };
    let length: usize = request
        .header("content-length")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request {
        body: String::from_utf8(body).expect("text"),
        ..request
    })
}
