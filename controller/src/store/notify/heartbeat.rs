//! When a controller was last known to be alive.

use jiff::{SignedDuration, Timestamp};

use super::Notifications;
use super::outbox::{self, NewDelivery};
use crate::store::StoreError;
use crate::store::columns::optional_time;
use crate::store::query::{query, query_scalar};

/// What a beat of the heart found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// It is the first one ever.
    First,
    /// The one before was not long ago.
    Steady,
    /// There was none for too long.
    Away {
        /// The one before.
        since: Timestamp,
    },
}

impl Notifications<'_> {
    /// Remembers that a controller is alive. If none was for longer than `threshold`, what `tell` says is put on its way in the
    /// same transaction: it is told once, whoever comes first.
    pub async fn beat(
        &self,
        threshold: SignedDuration,
        now: Timestamp,
        tell: impl FnOnce(Timestamp) -> Vec<NewDelivery> + Send,
    ) -> Result<Beat, StoreError> {
        let mut transaction = self.0.begin().await?;
        let before: Option<i64> = query_scalar("SELECT alive_at FROM notify_heartbeat WHERE id = 1")
            .fetch_optional(&mut *transaction)
            .await?;
        let beat = match optional_time(before, "heartbeat")? {
            None => Beat::First,
            Some(since) if now.duration_since(since) > threshold => Beat::Away { since },
            Some(_) => Beat::Steady,
        };
        // A clock that was put back must not look like years of being away later.
        let written = query(
            "INSERT INTO notify_heartbeat (id, alive_at) VALUES (1, $1)
             ON CONFLICT (id) DO UPDATE SET alive_at = excluded.alive_at WHERE notify_heartbeat.alive_at = $2",
        )
        .bind(now.as_millisecond())
        .bind(before.unwrap_or_default())
        .execute(&mut *transaction)
        .await?;
        if written == 0 {
            // Another controller was faster.
            return Ok(Beat::Steady);
        }
        if let Beat::Away { since } = beat {
            for new in tell(since) {
                outbox::insert(&mut transaction, &new, now).await?;
            }
        }
        transaction.commit().await?;
        Ok(beat)
    }
}
