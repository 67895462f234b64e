//! One SSH connection: reaching the host, pinning its key, logging in.

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, AuthResult, Handle, Msg};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{Channel, ChannelOpenFailure, Preferred, SshId, cipher, compression, kex};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::error::one_line;
use super::keys::{self, ControllerKey, fingerprint_of};
use super::{Destination, FleetError};
use crate::model::{HostKey, Jump};

/// How long reaching the host may take, over all its addresses.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the SSH handshake may take; name look-ups by a slow host are part of it.
const HANDSHAKE: Duration = Duration::from_secs(20);
/// A peer that is silent gets a keepalive this often …
const KEEPALIVE: Duration = Duration::from_secs(3);
/// … and is given up after this many without an answer: nine seconds in all.
const KEEPALIVES: usize = 2;
/// Sent bytes that nobody acknowledges end the connection after this time; keepalives do not run while a write is stuck.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// Elliptic curves, with ML-KEM where the host has it: what is sent to hosts holds passwords, and may be recorded today to be
/// read by a quantum computer one day. Measured for a whole cold login: 2.0 ms of processor time with X25519 alone, 2.2 ms with
/// ML-KEM; OpenSSH's sntrup761, which russh does not have, costs its client some 70 ms.
const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::DH_GEX_SHA256,
    kex::DH_G16_SHA512,
    kex::DH_G14_SHA256,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

const CIPHERS: &[cipher::Name] = &[
    cipher::AES_256_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_128_CTR,
];

const ECDSA: [EcdsaCurve; 3] = [EcdsaCurve::NistP256, EcdsaCurve::NistP384, EcdsaCurve::NistP521];

/// A connection to a host whose key is the pinned one.
pub(super) struct Connection {
    host: Destination,
    handle: Handle<Guard>,
    end: End,
    /// The connection to the last host on the way, over which this one runs.
    _through: Option<Box<Connection>>,
}

/// What SSH is spoken over: TCP, or a channel of a jump host.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Connection {
    /// Connects and checks the key; nobody is logged in yet. `jump_key` gets through the hosts on the way.
    pub(super) async fn open(
        host: &Destination,
        pinned: &HostKey,
        jump_key: &ControllerKey,
    ) -> Result<Self, FleetError> {
        let pinned = keys::parse(pinned)?;
        let mut algorithms = algorithms();
        // The pinned kind comes first, so that a host with several keys shows that one.
        algorithms.sort_by_key(|algorithm| !same_kind(algorithm, &pinned.algorithm()));
        let pin = Pin::Exactly(pinned.key_data().clone().into());
        handshake(host, pin, algorithms, jump_key)
            .await
            .map_err(|failure| failure.on(host))
    }

    /// Logs in as root with the controller's key.
    pub(super) async fn log_in(&mut self, key: &ControllerKey) -> Result<(), FleetError> {
        let line = key.authorized_line();
        let key = PrivateKeyWithHashAlg::new(key.private(), None);
        let outcome = self.handle.authenticate_publickey("root", key).await;
        if self.accepted(outcome)? {
            Ok(())
        } else {
            Err(FleetError::KeyRefused {
                host: self.host.clone(),
                line,
            })
        }
    }

    /// Connects to a jump host and logs in there with the key that is for nothing else.
    pub(super) async fn to_jump(
        jump: &Jump,
        before: &[Jump],
        jump_key: &ControllerKey,
    ) -> Result<Self, FleetError> {
        let host = Destination::of_jump(&jump.at, before);
        // Boxed: the way to a jump host may lead through another.
        let mut connection = Box::pin(Self::open(&host, &jump.host_key, jump_key)).await?;
        let key = PrivateKeyWithHashAlg::new(jump_key.private(), None);
        let outcome = connection
            .handle
            .authenticate_publickey(jump.at.user.clone(), key)
            .await;
        match connection.accepted(outcome)? {
            true => Ok(connection),
            false => Err(FleetError::JumpRefused {
                host,
                user: jump.at.user.clone(),
                line: jump_key.jump_line(),
            }),
        }
    }

    /// A connection from this host to another.
    async fn onwards(&self, to: &Destination) -> Result<impl Stream + use<>, FleetError> {
        let opening =
            self.handle
                .channel_open_direct_tcpip(to.bare_address(), u32::from(to.port), "127.0.0.1", 0);
        match self.in_time("the connection beyond it", opening).await? {
            Ok(channel) => Ok(channel.into_stream()),
            Err(russh::Error::ChannelOpenFailure(reason)) => Err(FleetError::BeyondJump {
                host: to.clone(),
                jump: Box::new(self.host.clone()),
                reason: match reason {
                    ChannelOpenFailure::AdministrativelyProhibited => {
                        "its SSH server forbids it; look at AllowTcpForwarding and PermitOpen in its sshd_config".to_owned()
                    }
                    ChannelOpenFailure::ConnectFailed => {
                        "nothing answers there. Is it switched on, and are the address and the port right, as seen from there?".to_owned()
                    }
                    reason => format!("{reason:?}"),
                },
            }),
            Err(error) => Err(self.lost("while it connected onwards", Some(error))),
        }
    }

    /// Whether an attempt to log in was accepted; an error if the connection did not live to see it.
    pub(super) fn accepted(&self, outcome: Result<AuthResult, russh::Error>) -> Result<bool, FleetError> {
        match outcome {
            Ok(AuthResult::Success) => Ok(true),
            Ok(AuthResult::Failure { .. }) if !self.handle.is_closed() => Ok(false),
            Ok(AuthResult::Failure { .. }) => Err(self.lost("during the login", None)),
            Err(error) => Err(self.lost("during the login", Some(error))),
        }
    }

    /// A channel on which a command can be started.
    pub(super) async fn channel(&self) -> Result<Channel<Msg>, FleetError> {
        let opened = self
            .in_time("a channel", self.handle.channel_open_session())
            .await?;
        opened.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(reason) => FleetError::Handshake {
                host: self.host.clone(),
                reason: format!(
                    "it opens no further channel ({reason:?}); is MaxSessions in its sshd_config very low?"
                ),
            },
            error => self.lost("while a channel was opened", Some(error)),
        })
    }

    /// Bounds what the host is waited for.
    pub(super) async fn in_time<T>(
        &self,
        waiting_for: &'static str,
        what: impl Future<Output = T>,
    ) -> Result<T, FleetError> {
        timeout(HANDSHAKE, what).await.map_err(|_| FleetError::TimedOut {
            host: self.host.clone(),
            waiting_for,
            seconds: HANDSHAKE.as_secs(),
        })
    }

    /// The error for a connection that is gone.
    pub(super) fn lost(&self, doing: &str, error: Option<russh::Error>) -> FleetError {
        let reason = self.end.reason().or_else(|| error.map(|error| explain(&error)));
        FleetError::Lost {
            host: self.host.clone(),
            doing: doing.to_owned(),
            reason: reason.unwrap_or_else(|| "the host closed it".to_owned()),
        }
    }

    /// Why the connection ended, if it did: shared with those who wait for something on it.
    pub(super) fn end(&self) -> End {
        self.end.clone()
    }

    pub(super) fn host(&self) -> &Destination {
        &self.host
    }

    pub(super) fn handle(&mut self) -> &mut Handle<Guard> {
        &mut self.handle
    }

    /// Says goodbye.
    pub(super) async fn close(&self) {
        // A connection that is gone already is closed as well.
        let _ = self
            .handle
            .disconnect(russh::Disconnect::ByApplication, "", "")
            .await;
    }
}

/// Why a connection ended.
#[derive(Debug, Clone, Default)]
pub(super) struct End(Arc<Mutex<Option<String>>>);

impl End {
    pub(super) fn reason(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, reason: String) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(reason);
    }
}

pub(super) enum Pin {
    /// Only this key will do.
    Exactly(PublicKey),
    /// See the key, then hang up.
    LookOnly,
}

/// What russh asks about a connection.
pub(super) struct Guard {
    pin: Pin,
    end: End,
}

/// Why no connection came about, or how it ended.
#[derive(Debug)]
pub(super) enum Failure {
    Ssh(russh::Error),
    Io(io::Error),
    NameNotResolved(String),
    TimedOut(&'static str, Duration),
    OtherKey {
        pinned: String,
        shown: String,
    },
    /// On the way to the host.
    Way(Box<FleetError>),
    Seen(Box<PublicKey>),
}

impl From<russh::Error> for Failure {
    fn from(error: russh::Error) -> Self {
        match error {
            russh::Error::IO(error) => Self::Io(error),
            error => Self::Ssh(error),
        }
    }
}

impl client::Handler for Guard {
    type Error = Failure;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Failure> {
        let shown = shown.public_key();
        match &self.pin {
            Pin::LookOnly => Err(Failure::Seen(Box::new(shown))),
            Pin::Exactly(pinned) if pinned.key_data() == shown.key_data() => Ok(true),
            Pin::Exactly(pinned) => Err(Failure::OtherKey {
                pinned: fingerprint_of(pinned),
                shown: fingerprint_of(&shown),
            }),
        }
    }

    async fn disconnected(&mut self, reason: client::DisconnectReason<Failure>) -> Result<(), Failure> {
        match reason {
            client::DisconnectReason::ReceivedDisconnect(info) => {
                self.end
                    .set(format!("the host said: {}", one_line(&info.message)));
                Ok(())
            }
            client::DisconnectReason::Error(failure) => {
                match &failure {
                    Failure::Ssh(error) => self.end.set(explain(error)),
                    Failure::Io(error) => self.end.set(broken_off(error)),
                    _ => {}
                }
                Err(failure)
            }
        }
    }
}

impl Failure {
    pub(super) fn on(self, host: &Destination) -> FleetError {
        let host = host.clone();
        match self {
            Self::NameNotResolved(reason) => FleetError::NameNotResolved { host, reason },
            Self::TimedOut(waiting_for, time) => FleetError::TimedOut {
                host,
                waiting_for,
                seconds: time.as_secs(),
            },
            Self::Way(error) => *error,
            Self::OtherKey { pinned, shown } => FleetError::HostKeyChanged { host, pinned, shown },
            Self::Io(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => FleetError::ConnectionRefused { host },
                io::ErrorKind::TimedOut => FleetError::TimedOut {
                    host,
                    waiting_for: "the connection",
                    seconds: CONNECT.as_secs(),
                },
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                    handshake_failed(&host, HUNG_UP.to_owned())
                }
                _ => FleetError::Unreachable {
                    host,
                    reason: error.to_string(),
                },
            },
            Self::Ssh(error) => {
                let reason = match &error {
                    russh::Error::Disconnect | russh::Error::HUP => HUNG_UP.to_owned(),
                    error => explain(error),
                };
                handshake_failed(&host, reason)
            }
            Self::Seen(_) => handshake_failed(&host, "it was only looked at".to_owned()),
        }
    }
}

const HUNG_UP: &str = "the other side hung up. Does another program than an SSH server listen on that port, or does the host \
                       block this machine for now (fail2ban, MaxStartups)?";

pub(super) fn handshake_failed(host: &Destination, reason: String) -> FleetError {
    FleetError::Handshake {
        host: host.clone(),
        reason,
    }
}

/// russh's errors in words.
fn explain(error: &russh::Error) -> String {
    match error {
        russh::Error::KeepaliveTimeout => format!(
            "it was silent for {} seconds",
            (KEEPALIVE * (KEEPALIVES as u32 + 1)).as_secs()
        ),
        russh::Error::Disconnect | russh::Error::HUP | russh::Error::SendError | russh::Error::RecvError => {
            "the host closed it".to_owned()
        }
        russh::Error::Version => "what answers there is no SSH server. Is the port right?".to_owned(),
        russh::Error::NoCommonAlgo { kind, theirs, .. } => format!(
            "its SSH server is too old or configured too narrowly: of {kind:?} it offers only {}",
            one_line(&theirs.join(", "))
        ),
        russh::Error::IO(error) => broken_off(error),
        error => one_line(&error.to_string()),
    }
}

/// The end of a connection that was there, in words.
fn broken_off(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "the host closed it".to_owned()
        }
        io::ErrorKind::TimedOut => "the host did not answer any more".to_owned(),
        _ => error.to_string(),
    }
}

pub(super) async fn handshake(
    host: &Destination,
    pin: Pin,
    algorithms: Vec<Algorithm>,
    jump_key: &ControllerKey,
) -> Result<Connection, Failure> {
    let (stream, through) = reach(host, jump_key).await?;
    let end = End::default();
    let guard = Guard {
        pin,
        end: end.clone(),
    };
    let connecting = client::connect_stream(Arc::new(config(algorithms)), stream, guard);
    let handle = timeout(HANDSHAKE, connecting)
        .await
        .map_err(|_| Failure::TimedOut("the SSH handshake", HANDSHAKE))??;
    Ok(Connection {
        host: host.clone(),
        handle,
        end,
        _through: through,
    })
}

/// Opens a way to the host: directly, or through the hosts before it.
pub(super) async fn reach(
    host: &Destination,
    jump_key: &ControllerKey,
) -> Result<(Box<dyn Stream>, Option<Box<Connection>>), Failure> {
    let Some((last, before)) = host.jumps.split_last() else {
        return Ok((Box::new(dial(host).await?), None));
    };
    let way = async {
        let jump = Connection::to_jump(last, before, jump_key).await?;
        let stream = jump.onwards(host).await?;
        Ok((Box::new(stream) as Box<dyn Stream>, Some(Box::new(jump))))
    };
    way.await.map_err(|error| Failure::Way(Box::new(error)))
}

/// Opens a TCP connection to the first address that answers.
async fn dial(host: &Destination) -> Result<TcpStream, Failure> {
    let late = |_| Failure::TimedOut("the connection", CONNECT);
    let trying = async {
        let addresses: Vec<_> = tokio::net::lookup_host((host.bare_address(), host.port))
            .await
            .map_err(|error| Failure::NameNotResolved(error.to_string()))?
            .collect();
        let each = CONNECT / u32::try_from(addresses.len().max(1)).unwrap_or(1);
        let mut last = Failure::NameNotResolved("the name has no address".to_owned());
        for address in addresses {
            match timeout(each, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = Failure::Io(error),
                Err(elapsed) => last = late(elapsed),
            }
        }
        Err(last)
    };
    let stream = timeout(CONNECT, trying).await.map_err(late)??;
    stream.set_nodelay(true).map_err(Failure::Io)?;
    let limit = u32::try_from(UNACKNOWLEDGED.as_millis()).unwrap_or(u32::MAX);
    rustix::net::sockopt::set_tcp_user_timeout(&stream, limit).map_err(|error| Failure::Io(error.into()))?;
    Ok(stream)
}

fn config(algorithms: Vec<Algorithm>) -> client::Config {
    client::Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!(
            "SSH-2.0-Allmende_",
            env!("CARGO_PKG_VERSION")
        ))),
        preferred: Preferred {
            kex: Cow::Borrowed(KEX),
            key: Cow::Owned(algorithms),
            cipher: Cow::Borrowed(CIPHERS),
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::DEFAULT
        },
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVES,
        nodelay: true,
        ..client::Config::default()
    }
}

/// The kinds of host key that are accepted, best first.
pub(super) fn algorithms() -> Vec<Algorithm> {
    let mut algorithms = vec![Algorithm::Ed25519];
    algorithms.extend(ECDSA.map(|curve| Algorithm::Ecdsa { curve }));
    algorithms.extend([HashAlg::Sha512, HashAlg::Sha256].map(|hash| Algorithm::Rsa { hash: Some(hash) }));
    algorithms
}

/// Whether two algorithms use the same key; RSA signs with several hashes.
pub(super) fn same_kind(one: &Algorithm, other: &Algorithm) -> bool {
    match (one, other) {
        (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
        (one, other) => one == other,
    }
}
