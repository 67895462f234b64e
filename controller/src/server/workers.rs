//! Workers: they take jobs that wait, as many at a time as the settings allow, and one a host.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::log;
use super::stop::Stop;
use crate::model::{Actor, Job, JobEvent, JobId};
use crate::operations::{ClaimedJob, Controller, Holder, Observer, OperationError, Request};

/// How often it is looked for jobs.
const POLL: Duration = Duration::from_millis(300);

/// How many waiting jobs are looked at in one go: those behind them wait for the hosts of these, or for the next look.
const LOOKED_AT: u32 = 100;

/// How often a job that was cut off is begun, before it stays interrupted for a person to look at.
const ATTEMPTS: i64 = 3;

/// Takes and does jobs until the server stops; then waits for those in hand.
pub async fn work(controller: Arc<Controller>, stop: Stop) {
    let mut in_hand: JoinSet<JobId> = JoinSet::new();
    while stop.sleep(POLL).await {
        while in_hand.try_join_next().is_some() {}
        if let Err(error) = begin(&controller, &stop, &mut in_hand).await {
            log(&format!("cannot look for jobs: {error}"));
        }
    }
    while in_hand.join_next().await.is_some() {}
}

/// Begins what can be begun.
async fn begin(
    controller: &Arc<Controller>,
    stop: &Stop,
    in_hand: &mut JoinSet<JobId>,
) -> Result<(), OperationError> {
    take_up(controller).await?;
    for job in controller.store.jobs().waiting(LOOKED_AT).await? {
        if in_hand.len() >= controller.settings.parallel_hosts {
            break;
        }
        if let Some(claimed) = ClaimedJob::take(controller, job.id).await? {
            in_hand.spawn(perform(controller.clone(), stop.clone(), job, claimed));
        }
    }
    Ok(())
}

/// Puts jobs back into the queue that were cut off and may be repeated.
async fn take_up(controller: &Controller) -> Result<(), OperationError> {
    for job in controller.store.jobs().find_interrupted(Holder::is_gone).await? {
        log(&format!("job {} ({}) was interrupted", job.id, job.title));
    }
    for job in controller.store.jobs().to_be_taken_up(ATTEMPTS).await? {
        let repeatable = Request::of(&job).is_ok_and(|request| request.is_repeatable());
        if repeatable && controller.store.jobs().take_up(job.id).await? {
            log(&format!("job {} ({}) is taken up again", job.id, job.title));
        }
    }
    Ok(())
}

/// Does a job, and tells the journal what came of it.
async fn perform(controller: Arc<Controller>, stop: Stop, job: Job, claimed: ClaimedJob) -> JobId {
    let what = format!("job {} ({}) for {}", job.id, job.title, job.actor);
    log(&format!("{what}: begins"));
    let actor = Actor {
        name: job.actor.clone(),
    };
    let onlooker = Onlooker(stop);
    let done = async {
        // Templates and settings as they are now, not as they were when the server began.
        let controller = controller.refreshed().await?;
        let request = Request::of(&job)?;
        request.work(claimed, &controller, &actor, &onlooker).await
    };
    match done.await {
        Ok(outcome) => log(&format!("{what}: {}", outcome.message)),
        Err(error) => log(&format!("{what}: {error}")),
    }
    job.id
}

/// Looks on for the server: who wants to see a job reads its events in the store.
struct Onlooker(Stop);

impl Observer for Onlooker {
    fn event(&self, _event: &JobEvent) {}

    fn stopped(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.0.giving_back())
    }
}
