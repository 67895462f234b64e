//! A long request to a host, whose engines are served from a repository meanwhile.

use allmende_agent::protocol::{Answer, Event, Request};
use tokio::sync::mpsc;

use super::repository::RESERVE;
use crate::backup::repository::{Repository as Served, serve};
use crate::fleet::{Bridge, Session};
use crate::model::{JobEventKind, Name};
use crate::operations::{JobContext, OperationError};

/// Misdeeds of a host that are told.
const TOLD: usize = 10;

/// Asks the host, and opens a bridge to the repository for each engine that it starts; also returns what has to be said about
/// what the host did there.
pub async fn ask(
    context: &JobContext<'_>,
    session: &Session,
    host: &Name,
    request: Request,
    repository: impl Fn() -> Served,
) -> Result<(Answer, Vec<String>), OperationError> {
    let (wants, mut wanted) = mpsc::unbounded_channel();
    // It holds the sender: when the answer is there, nobody asks for bridges any more.
    let on_event = move |event| match event {
        Event::Bridge(name) => {
            let _ = wants.send(name);
        }
        event => context.notify(JobEventKind::Agent {
            host: host.to_string(),
            event,
        }),
    };
    let asking = session.request(request, on_event);
    let serving = async {
        // Each on a task of its own, which clears away the locks also when the job is cancelled.
        let mut doors = Vec::new();
        while let Some(name) = wanted.recv().await {
            match session.bridge(&name).await {
                Ok(bridge) => doors.push(tokio::spawn(door(bridge, repository()))),
                // The host waits in vain, and says so.
                Err(error) => context.notify(JobEventKind::Warning {
                    text: error.to_string(),
                }),
            }
        }
        let mut said = Vec::new();
        for door in doors {
            said.extend(door.await.unwrap_or_default());
        }
        said
    };
    let (answer, misdeeds) = tokio::join!(asking, serving);
    if answer.is_err() {
        for text in &misdeeds {
            context.notify(JobEventKind::Warning { text: text.clone() });
        }
    }
    Ok((answer?, misdeeds))
}

/// Serves the repository to one engine; returns what has to be said about it. The locks of one that has ended bind nobody.
async fn door(bridge: Bridge, repository: Served) -> Vec<String> {
    let locks = repository.folder.join("locks");
    let served = serve(bridge, repository).await;
    for lock in &served.locks_left {
        let _ = tokio::fs::remove_file(locks.join(lock)).await;
    }
    let (misdeeds, no_room): (Vec<_>, Vec<_>) = served
        .refused
        .iter()
        .partition(|refused| refused.deed.is_misdeed());
    let misdeeds = misdeeds
        .iter()
        .take(TOLD)
        .map(|refused| format!("The host {refused}."));
    let full = no_room.first().map(|_| {
        format!("There is no room left: the target's quota is reached, or less than {RESERVE} % of its disk are free.")
    });
    misdeeds.chain(full).chain(served.failures).collect()
}
