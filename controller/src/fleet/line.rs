//! A connection that is kept: sessions with the agent begin on it without another login.

use std::sync::Arc;

use super::agent_channel::AgentChannel;
use super::connection::Connection;
use super::{ControllerKeys, Destination, FleetError, Session};
use crate::model::{Host, HostKey};

/// A connection to a host, logged in with the controller's key. Nothing runs on the host while no session is open.
pub struct Line {
    connection: Arc<Connection>,
}

impl Line {
    /// Connects to a host whose key is pinned.
    ///
    /// # Errors
    /// See [`FleetError`]; nothing is sent to a host with another key than the pinned one.
    pub async fn connect(host: &Host, keys: &ControllerKeys) -> Result<Self, FleetError> {
        Self::open(&Destination::from(host), &host.host_key, keys).await
    }

    pub(super) async fn open(
        host: &Destination,
        pinned: &HostKey,
        keys: &ControllerKeys,
    ) -> Result<Self, FleetError> {
        let mut connection = Connection::open(host, pinned, &keys.jump).await?;
        connection.log_in(&keys.agent).await?;
        Ok(Self {
            connection: Arc::new(connection),
        })
    }

    /// Starts the agent and exchanges hellos; the agent stays as it is.
    ///
    /// # Errors
    /// As for [`Session::connect`].
    pub async fn session(&self) -> Result<Session, FleetError> {
        let channel = AgentChannel::start(&self.connection).await?;
        let session = Session {
            connection: self.connection.clone(),
            channel,
        };
        session.refuse_newer()?;
        Ok(session)
    }

    /// Whether the host can still be spoken to, as far as is known.
    pub fn is_open(&self) -> bool {
        self.connection.end().reason().is_none()
    }
}
