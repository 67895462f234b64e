//! Keeping house: what is old is summed up, then forgotten.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::log;
use super::stop::Stop;
use crate::operations::{Controller, OperationError};
use crate::store::Keep;

/// How often.
const EVERY: Duration = Duration::from_secs(3600);

/// Keeps house until the server stops.
pub async fn keep(controller: Arc<Controller>, stop: Stop) {
    loop {
        match tidy(&controller).await {
            Ok(0) => {}
            Ok(forgotten) => log(&format!("{forgotten} old jobs were forgotten")),
            Err(error) => log(&format!("cannot keep house: {error}")),
        }
        if !stop.sleep(EVERY).await {
            return;
        }
    }
}

async fn tidy(controller: &Controller) -> Result<u64, OperationError> {
    let controller = controller.refreshed().await?;
    let days = i64::from(controller.settings.keep_jobs_days);
    let before = Timestamp::now() - SignedDuration::from_hours(24 * days);
    let keep = Keep {
        answers: SignedDuration::from_hours(24 * i64::from(controller.settings.keep_answers_days)),
        hours: SignedDuration::from_hours(24 * i64::from(controller.settings.keep_hours_days)),
        days: SignedDuration::from_hours(24 * i64::from(controller.settings.keep_history_days)),
    };
    controller.store.watch().roll_up(Timestamp::now(), keep).await?;
    controller.store.notifications().clear(before).await?;
    Ok(controller.store.jobs().forget(before).await?)
}
