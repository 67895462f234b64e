//! Kept connections to hosts, one each.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::fleet::{Line, Session};
use crate::model::{Host, Name};
use crate::operations::{Controller, OperationError};

/// A connection and the way by which it was made: another address or key needs another connection.
struct Kept {
    way: String,
    line: Line,
}

/// The connections of a sweep.
#[derive(Default)]
pub struct Lines {
    // A lock for each host: one that does not answer holds up nobody else.
    kept: Mutex<HashMap<Name, Arc<Mutex<Option<Kept>>>>>,
}

impl Lines {
    /// A session with a host's agent, over the connection that is kept, or over a new one.
    ///
    /// # Errors
    /// What stands in the way to the host.
    pub async fn session(&self, controller: &Controller, host: &Host) -> Result<Session, OperationError> {
        let slot = self
            .kept
            .lock()
            .await
            .entry(host.name.clone())
            .or_default()
            .clone();
        let mut slot = slot.lock().await;
        let way = way(host);
        let open = slot.take().filter(|kept| kept.way == way && kept.line.is_open());
        // A connection may have died without anybody noticing: then a new one is tried at once.
        if let Some(kept) = open
            && let Ok(session) = kept.line.session().await
        {
            *slot = Some(kept);
            return current(session).await;
        }
        let line = controller.line(host).await?;
        let session = line.session().await?;
        *slot = Some(Kept { way, line });
        current(session).await
    }

    /// Gives up connections to hosts that are no longer there.
    pub async fn keep_only(&self, hosts: &[Name]) {
        self.kept.lock().await.retain(|name, _| hosts.contains(name));
    }
}

async fn current(mut session: Session) -> Result<Session, OperationError> {
    session.ensure_current().await?;
    Ok(session)
}

fn way(host: &Host) -> String {
    format!(
        "{} {} {:?} {:?}",
        host.address, host.port, host.host_key, host.jumps
    )
}
