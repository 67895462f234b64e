//! A host for tests: an SSH server in this process, behind which a test plays the agent.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use allmende_agent::protocol::{
    Answer, Event, Facts, Frame, FromAgent, Hello, PROTOCOL_VERSION, Refusal, Request, ToAgent,
};
use russh::keys::{Algorithm, PrivateKey};
use russh::server::{self, Auth, ChannelOpenHandle, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::net::TcpListener;

use super::frames::{FrameDecoder, encode};
use super::keys::{ControllerKey, ControllerKeys, host_key};
use super::{Destination, EMBEDDED_AGENT};
use crate::model::{Host, HostKey};

type Play = Pin<Box<dyn Future<Output = ()> + Send>>;
type Script = Arc<dyn Fn(TestAgent, usize) -> Play + Send + Sync>;

/// A host whose agent is played by a test.
pub struct TestHost {
    pub host: Host,
    pub key: ControllerKey,
    /// How often somebody tried to log in.
    pub logins: Arc<AtomicUsize>,
}

impl TestHost {
    /// Starts the host; `play` is the agent of each channel, which are counted from 0.
    pub async fn start<F>(play: impl Fn(TestAgent, usize) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let script: Script = Arc::new(move |agent, number| Box::pin(play(agent, number)));
        let key = ControllerKey::generate().expect("generates");
        let server_key = new_key();
        let pinned = host_key(server_key.public_key()).expect("encodes");
        let config = Arc::new(server::Config {
            keys: vec![server_key],
            auth_rejection_time: std::time::Duration::ZERO,
            ..server::Config::default()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("is bound").port();
        let logins = Arc::<AtomicUsize>::default();
        let accepted = key.public_key().to_owned();
        let counted = Arc::clone(&logins);
        tokio::spawn(async move {
            let started = Arc::<AtomicUsize>::default();
            while let Ok((stream, _)) = listener.accept().await {
                let connection = Server {
                    script: Arc::clone(&script),
                    accepted: accepted.clone(),
                    logins: Arc::clone(&counted),
                    started: Arc::clone(&started),
                    channels: HashMap::new(),
                };
                let config = Arc::clone(&config);
                tokio::spawn(async move {
                    if let Ok(session) = server::run_stream(config, stream, connection).await {
                        let _ = session.await;
                    }
                });
            }
        });
        Self {
            host: Host {
                name: "web1".parse().expect("is a name"),
                organisation: None,
                address: "127.0.0.1".to_owned(),
                port,
                host_key: pinned,
                jumps: Vec::new(),
                lock: None,
                location: None,
                provider: None,
                monthly_cost: None,
                settings: Default::default(),
                facts: Facts::default(),
                seen_at: Default::default(),
            },
            key,
            logins,
        }
    }

    pub(super) fn keys(&self) -> ControllerKeys {
        ControllerKeys {
            agent: self.key.clone(),
            jump: self.key.clone(),
        }
    }

    pub(super) fn destination(&self) -> Destination {
        Destination::from(&self.host)
    }
}

fn new_key() -> PrivateKey {
    PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).expect("generates")
}

/// The key of some other host.
pub fn another_host_key() -> HostKey {
    host_key(new_key().public_key()).expect("encodes")
}

struct Server {
    script: Script,
    accepted: String,
    logins: Arc<AtomicUsize>,
    started: Arc<AtomicUsize>,
    channels: HashMap<ChannelId, Channel<Msg>>,
}

impl server::Handler for Server {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        self.logins.fetch_add(1, Ordering::Relaxed);
        let key = host_key(key.public_key).expect("encodes").0;
        Ok(if user == "root" && key == self.accepted {
            Auth::Accept
        } else {
            Auth::reject()
        })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        _command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(id)?;
        let channel = self.channels.remove(&id).expect("is open");
        let (read, write) = channel.split();
        let agent = TestAgent {
            read,
            write,
            handle: session.handle(),
            decoder: FrameDecoder::default(),
            arrived: VecDeque::new(),
        };
        let number = self.started.fetch_add(1, Ordering::SeqCst);
        tokio::spawn((self.script)(agent, number));
        Ok(())
    }
}

/// The agent's side of one channel.
pub struct TestAgent {
    read: ChannelReadHalf,
    write: ChannelWriteHalf<Msg>,
    handle: server::Handle,
    decoder: FrameDecoder,
    arrived: VecDeque<Frame>,
}

impl TestAgent {
    /// Says hello as the agent that the controller carries.
    pub(super) async fn hello(&mut self) {
        self.hello_as(PROTOCOL_VERSION, EMBEDDED_AGENT.sha256).await;
    }

    pub(super) async fn hello_as(&mut self, protocol: u32, sha256: &str) {
        let hello = Hello {
            protocol,
            version: "0.0.1".to_owned(),
            sha256: sha256.to_owned(),
            facts: Facts {
                arch: EMBEDDED_AGENT.arch.to_owned(),
                ..Facts::default()
            },
            waiting_reports: vec!["run-1".to_owned(), "another-controllers-1".to_owned()],
            standing_restores: Vec::new(),
        };
        self.say(&FromAgent::Hello(hello)).await;
    }

    pub(super) async fn event(&mut self, id: u64, event: Event) {
        self.say(&FromAgent::Event { id, event }).await;
    }

    pub(super) async fn answer(&mut self, id: u64, answer: Result<Answer, Refusal>) {
        self.say(&FromAgent::Answer { id, answer }).await;
    }

    async fn say(&mut self, message: &FromAgent) {
        let body = serde_json::to_vec(message).expect("serialises");
        self.raw(&encode(&Frame::Message(body)).expect("fits")).await;
    }

    /// Writes whatever it is to standard output. A peer that is gone hears nothing.
    pub(super) async fn raw(&mut self, bytes: &[u8]) {
        let _ = self.write.data_bytes(bytes.to_vec()).await;
    }

    pub(super) async fn stderr(&mut self, text: &str) {
        let _ = self.write.extended_data_bytes(1, text.as_bytes().to_vec()).await;
    }

    /// The next frame; none once the controller closed the input or is gone.
    pub(super) async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.arrived.pop_front() {
                return Some(frame);
            }
            match self.read.wait().await? {
                ChannelMsg::Data { data } => {
                    let arrived = &mut self.arrived;
                    self.decoder
                        .feed(&data, |frame| arrived.push_back(frame))
                        .expect("is the protocol");
                }
                ChannelMsg::Eof | ChannelMsg::Close => return None,
                _ => {}
            }
        }
    }

    /// The next request.
    pub(super) async fn request(&mut self) -> Option<(u64, Request)> {
        loop {
            let Frame::Message(body) = self.frame().await? else {
                panic!("a blob came instead of a request");
            };
            match serde_json::from_slice(&body).expect("is a message") {
                ToAgent::Hello { protocol, .. } => assert_eq!(protocol, PROTOCOL_VERSION),
                ToAgent::Alive {} => {}
                ToAgent::Request { id, request } => return Some((id, request)),
            }
        }
    }

    /// Waits until the controller closes the input.
    pub(super) async fn until_input_ends(&mut self) {
        while self.frame().await.is_some() {}
    }

    pub(super) async fn exit(self, status: u32) {
        let _ = self.write.eof().await;
        let _ = self.handle.exit_status_request(self.write.id(), status).await;
        let _ = self.write.close().await;
    }

    pub(super) async fn killed(self, signal: Sig) {
        let _ = self.write.eof().await;
        let (none, language) = (String::new(), String::new());
        let _ = self
            .handle
            .exit_signal_request(self.write.id(), signal, false, none, language)
            .await;
        let _ = self.write.close().await;
    }
}
