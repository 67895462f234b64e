//! Talking to systemd, where it started the server: `sd_notify(3)`.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use super::stop::Stop;

/// Tells systemd something; nobody listens where it did not start this process.
pub fn notify(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let path = path.to_string_lossy();
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(path.as_ref()),
    };
    let told = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = told {
        super::log(&format!("cannot tell systemd {state}: {error}"));
    }
}

/// Shows systemd that tasks still get their turn, twice as often as it asks for; and that the server stops.
pub async fn feed_watchdog(stop: Stop) {
    let asked = std::env::var("WATCHDOG_USEC")
        .ok()
        .and_then(|text| text.parse().ok());
    if let Some(microseconds) = asked {
        while stop.sleep(Duration::from_micros(microseconds) / 2).await {
            notify("WATCHDOG=1");
        }
    }
    stop.stopping().await;
    notify("STOPPING=1");
    // Jobs in hand may take longer than the watchdog's patience.
    notify("WATCHDOG_USEC=0");
}
