//! Telling people: decides who is told of what happened, sends what is due, and shows the dead-man's switch that this server lives.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::log;
use super::stop::Stop;
use crate::notify::{self, Sender, deadman, digest};
use crate::operations::{Controller, Holder, LEASE};

/// How often it is looked for something to tell.
const BEAT: Duration = Duration::from_secs(2);

/// How often the dead-man's switch is shown that somebody lives.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// Tells people until the server stops, whenever this is the server to do it.
pub async fn keep(controller: Arc<Controller>, stop: Stop) {
    let holder = Holder::this_process();
    let sender = match Sender::new(&controller.store, &controller.vault, holder.identity()) {
        Ok(sender) => sender,
        Err(failure) => return log(&format!("nobody can be told of anything: {failure}")),
    };
    let (mut beaten, mut said) = (None::<Instant>, String::new());
    loop {
        let servers = controller.store.servers();
        let mine = servers
            .take_duty("telling", holder.claim(LEASE), Holder::is_gone)
            .await;
        if matches!(mine, Ok(true)) {
            let mut problems = Vec::new();
            if beaten.is_none_or(|then| then.elapsed() >= HEARTBEAT) {
                beaten = Some(Instant::now());
                problems.extend(beat(&controller).await);
            }
            problems.extend(tell(&controller, &sender).await);
            let problems = problems.join("; ");
            // Once is enough for what every look finds again.
            if !problems.is_empty() && problems != said {
                log(&problems);
            }
            said = problems;
        }
        if !stop.sleep(BEAT).await {
            return;
        }
    }
}

/// Shows that somebody lives, and finds out whether nobody did for a while; what went wrong.
async fn beat(controller: &Controller) -> Vec<String> {
    let now = Timestamp::now();
    let settings = match controller.refreshed().await {
        Ok(controller) => controller.settings.deadman,
        Err(error) => return vec![error.to_string()],
    };
    let mut problems = Vec::new();
    if let Err(error) = deadman::beat(&controller.store, &settings, now).await {
        problems.push(format!("the heart does not beat: {error}"));
    }
    if let Err(failure) = deadman::ping(&controller.store, &settings, now).await {
        problems.push(format!("the dead-man's switch does not answer: {failure}"));
    }
    if let Err(error) = digest::due(&controller.store, now).await {
        problems.push(format!("the digest cannot be made: {error}"));
    }
    problems
}

/// Decides and sends; what went wrong.
async fn tell(controller: &Controller, sender: &Sender<'_>) -> Vec<String> {
    let mut problems = Vec::new();
    if let Err(error) = notify::route(&controller.store, Timestamp::now()).await {
        problems.push(format!("cannot decide who is told: {error}"));
    }
    if let Err(error) = sender.send_due(Timestamp::now()).await {
        problems.push(format!("cannot tell people: {error}"));
    }
    problems
}
