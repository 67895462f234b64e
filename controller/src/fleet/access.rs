//! The access of a person who adds a host: used once, kept nowhere.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::MethodKind;
use russh::client::{AuthResult, KeyboardInteractiveAuthResponse};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};

use super::connection::Connection;
use super::error::one_line;
use super::{Destination, FleetError, identity};
use crate::model::Secret;

/// sshd hangs up after six attempts; one is left for a password.
const MOST_AGENT_KEYS: usize = 4;
/// How often a password is asked for.
const TRIES: usize = 3;
/// How many rounds of questions one keyboard-interactive login may have.
const ROUNDS: usize = 10;

/// Asks a person; None if they give no answer.
pub type Ask<'a> = dyn FnMut(&Question) -> Option<Secret> + Send + 'a;

/// What a person is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The passphrase of a key file.
    Passphrase {
        /// The file.
        path: PathBuf,
    },
    /// The password of a user on a host.
    Password {
        /// The user.
        user: String,
        /// The host.
        host: Destination,
    },
    /// The password that sudo wants.
    SudoPassword {
        /// The user.
        user: String,
        /// The host.
        host: Destination,
    },
    /// Something that the host asks: a one-time code, a password.
    FromHost {
        /// The host.
        host: Destination,
        /// What it asks, without control characters.
        prompt: String,
        /// Whether the answer may be seen while it is typed.
        echo: bool,
    },
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passphrase { path } => write!(f, "Passphrase of {}", path.display()),
            Self::Password { user, host } => write!(f, "Password of {user} on {host}"),
            Self::SudoPassword { user, host } => write!(f, "Password of {user} for sudo on {host}"),
            Self::FromHost { host, prompt, .. } => write!(f, "{host} asks: {prompt}"),
        }
    }
}

/// A person's own access to a host.
pub struct PersonalAccess<'a> {
    user: String,
    identity: Option<PathBuf>,
    agent_socket: Option<PathBuf>,
    usual_identities: Vec<PathBuf>,
    ask: &'a mut Ask<'a>,
}

impl<'a> PersonalAccess<'a> {
    /// Access as a user with what `ssh` would use: the ssh-agent, the usual key files, a password.
    pub fn new(user: impl Into<String>, ask: &'a mut Ask<'a>) -> Self {
        let home = std::env::home_dir().unwrap_or_default().join(".ssh");
        Self {
            user: user.into(),
            identity: None,
            agent_socket: std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from),
            usual_identities: ["id_ed25519", "id_ecdsa", "id_rsa"]
                .map(|name| home.join(name))
                .into(),
            ask,
        }
    }

    /// Only this key file, besides a password.
    pub fn with_identity(mut self, path: impl Into<PathBuf>) -> Self {
        self.identity = Some(path.into());
        self
    }

    /// The user.
    pub fn user(&self) -> &str {
        &self.user
    }

    pub(super) fn ask(&mut self, question: &Question) -> Option<Secret> {
        (self.ask)(question)
    }

    /// Logs in, by whatever the host accepts first.
    pub(super) async fn log_in(&mut self, connection: &mut Connection) -> Result<(), FleetError> {
        let mut attempt = Attempt {
            connection,
            user: self.user.clone(),
            tried: Vec::new(),
            offered: Vec::new(),
        };
        if attempt.learn_methods().await? {
            return Ok(());
        }
        if attempt.offers(MethodKind::PublicKey) && self.with_keys(&mut attempt).await? {
            return Ok(());
        }
        if attempt.offers(MethodKind::Password) && self.with_password(&mut attempt).await? {
            return Ok(());
        }
        if attempt.offers(MethodKind::KeyboardInteractive) && self.with_answers(&mut attempt).await? {
            return Ok(());
        }
        Err(attempt.refused())
    }

    async fn with_keys(&mut self, attempt: &mut Attempt<'_>) -> Result<bool, FleetError> {
        if let Some(path) = &self.identity {
            // The ssh-agent may hold it: then nobody needs to type its passphrase.
            if let Some(socket) = self.agent_socket.clone()
                && let Some(public) = identity::public_half(path).await
                && attempt.with_agent(&socket, Some(&public)).await?
            {
                return Ok(true);
            }
            let Some(key) = identity::load(path, self.ask).await? else {
                attempt
                    .tried
                    .push(format!("no passphrase was given for {}", path.display()));
                return Ok(false);
            };
            attempt
                .tried
                .push(format!("the key {} was refused", path.display()));
            return attempt.with_key(key).await;
        }
        if let Some(socket) = self.agent_socket.clone()
            && attempt.with_agent(&socket, None).await?
        {
            return Ok(true);
        }
        for path in &self.usual_identities {
            if !path.exists() {
                continue;
            }
            match identity::load(path, self.ask).await {
                Ok(Some(key)) => {
                    attempt
                        .tried
                        .push(format!("the key {} was refused", path.display()));
                    if attempt.with_key(key).await? {
                        return Ok(true);
                    }
                }
                Ok(None) => attempt
                    .tried
                    .push(format!("no passphrase was given for {}", path.display())),
                // Nobody asked for this file: it is one possibility of several.
                Err(error) => attempt.tried.push(error.to_string()),
            }
        }
        Ok(false)
    }

    async fn with_password(&mut self, attempt: &mut Attempt<'_>) -> Result<bool, FleetError> {
        let question = Question::Password {
            user: self.user.clone(),
            host: attempt.connection.host().clone(),
        };
        for _ in 0..TRIES {
            let Some(password) = (self.ask)(&question) else {
                attempt.tried.push("no password was given".to_owned());
                return Ok(false);
            };
            let user = attempt.user.clone();
            let outcome = attempt
                .connection
                .handle()
                .authenticate_password(user, password.reveal())
                .await;
            if attempt.settle(outcome)? {
                return Ok(true);
            }
            if !attempt.offers(MethodKind::Password) {
                break;
            }
        }
        attempt.tried.push("the password was refused".to_owned());
        Ok(false)
    }

    async fn with_answers(&mut self, attempt: &mut Attempt<'_>) -> Result<bool, FleetError> {
        let host = attempt.connection.host().clone();
        let lost = |connection: &Connection, error| connection.lost("during the login", Some(error));
        for _ in 0..TRIES {
            let user = attempt.user.clone();
            let started = attempt
                .connection
                .handle()
                .authenticate_keyboard_interactive_start(user, None)
                .await;
            let mut response = started.map_err(|error| lost(attempt.connection, error))?;
            for _ in 0..ROUNDS {
                let prompts = match response {
                    KeyboardInteractiveAuthResponse::Success => return Ok(true),
                    KeyboardInteractiveAuthResponse::Failure {
                        remaining_methods, ..
                    } => {
                        attempt.offered = remaining_methods.to_vec();
                        break;
                    }
                    KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
                };
                let mut answers = Vec::new();
                for prompt in prompts {
                    let question = Question::FromHost {
                        host: host.clone(),
                        prompt: one_line(&prompt.prompt),
                        echo: prompt.echo,
                    };
                    let Some(answer) = (self.ask)(&question) else {
                        attempt
                            .tried
                            .push("a question of the host was left unanswered".to_owned());
                        return Ok(false);
                    };
                    answers.push(answer.reveal().to_owned());
                }
                let answered = attempt
                    .connection
                    .handle()
                    .authenticate_keyboard_interactive_respond(answers)
                    .await;
                response = answered.map_err(|error| lost(attempt.connection, error))?;
            }
            if !attempt.offers(MethodKind::KeyboardInteractive) {
                break;
            }
        }
        attempt.tried.push("the answers were refused".to_owned());
        Ok(false)
    }
}

/// A login under way.
struct Attempt<'c> {
    connection: &'c mut Connection,
    user: String,
    tried: Vec<String>,
    offered: Vec<MethodKind>,
}

impl Attempt<'_> {
    /// Asks what the host accepts; true if it lets everybody in.
    async fn learn_methods(&mut self) -> Result<bool, FleetError> {
        let user = self.user.clone();
        let outcome = self.connection.handle().authenticate_none(user).await;
        self.settle(outcome)
    }

    /// Notes what the host offers next; true if the login is complete.
    fn settle(&mut self, outcome: Result<AuthResult, russh::Error>) -> Result<bool, FleetError> {
        if let Ok(AuthResult::Failure {
            remaining_methods, ..
        }) = &outcome
        {
            self.offered = remaining_methods.to_vec();
        }
        self.connection.accepted(outcome)
    }

    fn offers(&self, method: MethodKind) -> bool {
        self.offered.contains(&method)
    }

    async fn with_key(&mut self, key: PrivateKey) -> Result<bool, FleetError> {
        let hash = self.hash_for(key.public_key()).await?;
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
        let user = self.user.clone();
        let outcome = self.connection.handle().authenticate_publickey(user, key).await;
        self.settle(outcome)
    }

    /// Tries what the ssh-agent holds: one certain key, or all.
    async fn with_agent(&mut self, socket: &Path, only: Option<&PublicKey>) -> Result<bool, FleetError> {
        let keys = async {
            let mut agent = AgentClient::connect_uds(socket).await?;
            let keys = agent.request_identities().await?;
            Ok::<_, russh::keys::Error>((agent, keys))
        };
        let (mut agent, keys) = match keys.await {
            Ok(found) => found,
            Err(error) => {
                self.tried
                    .push(format!("the ssh-agent could not be asked ({error})"));
                return Ok(false);
            }
        };
        let mut refused = 0;
        for key in keys {
            let AgentIdentity::PublicKey { key, comment } = key else {
                continue;
            };
            if only.is_some_and(|only| only.key_data() != key.key_data()) {
                continue;
            }
            if refused == MOST_AGENT_KEYS {
                self.tried
                    .push("the ssh-agent holds more keys: name one with --identity".to_owned());
                break;
            }
            let hash = self.hash_for(&key).await?;
            let user = self.user.clone();
            let outcome = self
                .connection
                .handle()
                .authenticate_publickey_with(user, key, hash, &mut agent)
                .await;
            match outcome {
                Ok(outcome) if self.settle(Ok(outcome.clone()))? => return Ok(true),
                Ok(_) => refused += 1,
                Err(error) => {
                    let comment = one_line(&comment);
                    self.tried
                        .push(format!("the ssh-agent did not sign with {comment} ({error})"));
                }
            }
        }
        self.tried.push(match refused {
            0 if only.is_some() => return Ok(false),
            0 => "the ssh-agent holds no usable key".to_owned(),
            1 => "the ssh-agent's key was refused".to_owned(),
            several => format!("{several} keys of the ssh-agent were refused"),
        });
        Ok(false)
    }

    /// The hash with which an RSA key signs for this host; others need none.
    async fn hash_for(&mut self, key: &PublicKey) -> Result<Option<HashAlg>, FleetError> {
        if !key.algorithm().is_rsa() {
            return Ok(None);
        }
        let best = self.connection.handle().best_supported_rsa_hash().await;
        match best {
            Ok(best) => Ok(best.flatten().or(Some(HashAlg::Sha512))),
            Err(error) => Err(self.connection.lost("during the login", Some(error))),
        }
    }

    fn refused(self) -> FleetError {
        let tried = match self.tried.is_empty() {
            true => "there was nothing to try".to_owned(),
            false => self.tried.join("; "),
        };
        let offered: Vec<String> = self.offered.iter().map(String::from).collect();
        let reason = match offered.is_empty() {
            true => tried,
            false => format!("{tried}. The host accepts: {}", offered.join(", ")),
        };
        FleetError::AccessRefused {
            host: self.connection.host().clone(),
            user: self.user,
            reason,
        }
    }
}
