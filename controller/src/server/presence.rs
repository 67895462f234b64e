//! Being found: as long as a server promises to be alive, work is handed to it.

use std::sync::Arc;

use super::log;
use super::stop::Stop;
use crate::operations::{Controller, Holder, LEASE, RENEWAL};

/// Promises to be alive, again and again, and leaves when the server stops.
pub async fn keep(controller: Arc<Controller>, stop: Stop) {
    let holder = Holder::this_process();
    loop {
        if let Err(error) = controller.store.servers().announce(holder.claim(LEASE)).await {
            log(&format!("cannot tell that this server runs: {error}"));
        }
        if !stop.sleep(RENEWAL).await {
            break;
        }
    }
    if let Err(error) = controller.store.servers().leave(holder.identity()).await {
        log(&format!("cannot tell that this server stops: {error}"));
    }
}
