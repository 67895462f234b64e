//! Mail, by an SMTP server with TLS. A repeated attempt has the same Message-ID, so that readers recognise it.

use std::time::Duration;

use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::response::Response;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::failure::{Failure, Fault, kept, with_causes};
use super::message::Message;
use crate::model::{Encryption, Secret, Server};

/// How long one step of the conversation may take.
const STEP: Duration = Duration::from_secs(20);

/// How mail goes out.
pub struct Post<'a> {
    /// The server.
    pub server: &'a Server,
    /// How the connection is protected.
    pub encryption: Encryption,
    /// The sender.
    pub from: &'a str,
    /// The account.
    pub user: Option<&'a str>,
    /// Further certificates to trust, as PEM.
    pub ca: Option<&'a str>,
    /// The account's password.
    pub password: Option<&'a Secret>,
}

/// Says that no person wrote this, so that nobody's "I am on holiday" comes back.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Post<'_> {
    /// Sends a message and says what the server answered.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn send(&self, to: &str, message: &Message) -> Result<String, Failure> {
        let letter = self.letter(to, message)?;
        let transport = self.transport()?;
        match transport.send(letter).await {
            Ok(response) => Ok(kept(&said(&response), self.password)),
            Err(error) => Err(self.judge(&error)),
        }
    }

    fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, Failure> {
        let (tls, usual) = match self.encryption {
            Encryption::Plain => (Tls::None, 25),
            Encryption::Starttls => (Tls::Required(self.tls()?), 587),
            Encryption::Tls => (Tls::Wrapper(self.tls()?), 465),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.server.host)
            .port(self.server.port.unwrap_or(usual))
            .tls(tls)
            .timeout(Some(STEP));
        if let (Some(user), Some(password)) = (self.user, self.password) {
            builder = builder.credentials(Credentials::new(user.to_owned(), password.reveal().to_owned()));
        }
        Ok(builder.build())
    }

    fn tls(&self) -> Result<TlsParameters, Failure> {
        let refuse = |error: lettre::transport::smtp::Error| {
            Failure::new(
                Fault::Channel,
                format!("cannot prepare TLS for {}: {}", self.server, with_causes(&error)),
            )
        };
        let mut builder = TlsParameters::builder(self.server.host.clone());
        if let Some(ca) = self.ca {
            builder = builder.add_root_certificate(Certificate::from_pem(ca.as_bytes()).map_err(refuse)?);
        }
        builder.build_rustls().map_err(refuse)
    }

    fn letter(&self, to: &str, message: &Message) -> Result<lettre::Message, Failure> {
        let from: Mailbox = parse(self.from).map_err(|said| Failure::new(Fault::Channel, said))?;
        let to: Mailbox = parse(to).map_err(|said| Failure::new(Fault::Refused, said))?;
        let id = |uid: &str| format!("<{uid}@{}>", from.email.domain());
        let mut builder = MessageBuilder::new()
            .message_id(Some(id(&message.uid)))
            .header(AutoSubmitted)
            .subject(&message.subject)
            .to(to);
        if let Some(alert) = &message.reply_to {
            builder = builder.in_reply_to(id(alert)).references(id(alert));
        }
        let body = SinglePart::builder()
            .header(ContentType::TEXT_PLAIN)
            .body(message.body.clone());
        builder.from(from).singlepart(body).map_err(|error| {
            Failure::new(
                Fault::Refused,
                format!("the mail cannot be written: {}", with_causes(&error)),
            )
        })
    }

    fn judge(&self, error: &lettre::transport::smtp::Error) -> Failure {
        let code = error.status().map(|code| code.to_string());
        let fault = match code.as_deref() {
            // What concerns the account or the server: too busy, asks for TLS, does not know the password.
            Some("421" | "432" | "454" | "500" | "502" | "503" | "504" | "530" | "534" | "535" | "538") => {
                Fault::Channel
            }
            Some(_) if error.is_permanent() => Fault::Refused,
            Some(_) => Fault::Message,
            None => Fault::Channel,
        };
        let hint = match code.as_deref() {
            Some("535") => ". Is the password right? allmende notify channel edit NAME --secret",
            _ => "",
        };
        let said = format!(
            "{} did not take the mail: {}{hint}",
            self.server,
            with_causes(error)
        );
        Failure::new(fault, said).without(self.password)
    }
}

/// A mailbox as people write it: `anna@example.org`, `Anna Muster <anna@example.org>`.
pub fn parse(text: &str) -> Result<Mailbox, String> {
    text.parse::<Mailbox>()
        .or_else(|_| text.parse::<Address>().map(|address| Mailbox::new(None, address)))
        .map_err(|error| format!("{text:?} is no mail address: {error}"))
}

fn said(response: &Response) -> String {
    let lines: Vec<&str> = response.message().collect();
    format!("{} {}", response.code(), lines.join(" "))
}
