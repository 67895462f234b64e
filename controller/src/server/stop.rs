//! The wish to stop: first nothing new is begun, a while later jobs that may be repeated are given back.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How long jobs in hand may go on before they are given back.
const GRACE: Duration = Duration::from_secs(20);

/// Where the server stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Running,
    Stopping,
    GivingBack,
}

/// Tells all tasks when the server stops. Clones hear the same.
#[derive(Clone)]
pub struct Stop(watch::Receiver<Stage>);

impl Stop {
    /// Stops on SIGTERM and SIGINT; a second signal gives jobs back at once.
    ///
    /// # Errors
    /// When signals cannot be heard.
    pub fn on_signals() -> std::io::Result<Self> {
        let (sender, receiver) = watch::channel(Stage::Running);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(async move {
            let mut heard =
                async || tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () };
            heard().await;
            super::log("stopping: jobs in hand go on for a while");
            sender.send_replace(Stage::Stopping);
            tokio::select! { () = heard() => (), () = tokio::time::sleep(GRACE) => () }
            sender.send_replace(Stage::GivingBack);
            // Who waits for this stage must not find the sender gone.
            std::future::pending::<()>().await;
        });
        Ok(Self(receiver))
    }

    /// Ends when the server stops.
    pub async fn stopping(&self) {
        self.reached(Stage::Stopping).await;
    }

    /// Ends when jobs in hand have to be given back.
    pub async fn giving_back(&self) {
        self.reached(Stage::GivingBack).await;
    }

    /// Waits, but not longer than until the server stops. Whether it goes on.
    pub async fn sleep(&self, time: Duration) -> bool {
        tokio::select! {
            () = self.stopping() => false,
            () = tokio::time::sleep(time) => true,
        }
    }

    async fn reached(&self, stage: Stage) {
        // The sender lives as long as the process.
        let _ = self.0.clone().wait_for(|now| *now >= stage).await;
    }
}
