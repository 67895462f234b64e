//! Maintenance windows.

use super::Watch;
use crate::model::{Maintenance, MaintenancePlan, MaintenanceScope};
use crate::store::columns::{from_json, optional_time, time, to_json};
use crate::store::connection::Connection;
use crate::store::query::{query, query_scalar};
use crate::store::{StoreError, now};

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    about: String,
    plan: String,
    reason: String,
    made_by: String,
    made_at: i64,
    ended_at: Option<i64>,
}

impl Row {
    fn read(self) -> Result<Maintenance, StoreError> {
        let what = format!("maintenance {}", self.id);
        Ok(Maintenance {
            id: self.id,
            about: from_json(&self.about, &what)?,
            plan: from_json(&self.plan, &what)?,
            reason: self.reason,
            made_by: self.made_by,
            made_at: time(self.made_at, &what)?,
            ended_at: optional_time(self.ended_at, &what)?,
        })
    }
}

/// Those that nobody has ended.
pub(super) async fn current(connection: &mut Connection) -> Result<Vec<Maintenance>, StoreError> {
    let rows: Vec<Row> = query(
        "SELECT id, about, plan, reason, made_by, made_at, ended_at FROM maintenance WHERE ended_at IS NULL ORDER BY id",
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Row::read).collect()
}

impl Watch<'_> {
    /// Makes a window; its number.
    pub async fn add_maintenance(
        &self,
        about: &MaintenanceScope,
        plan: &MaintenancePlan,
        reason: &str,
        made_by: &str,
    ) -> Result<i64, StoreError> {
        Ok(query_scalar(
            "INSERT INTO maintenance (about, plan, reason, made_by, made_at) VALUES ($1, $2, $3, $4, $5) RETURNING id",
        )
        .bind(to_json(about)?)
        .bind(to_json(plan)?)
        .bind(reason)
        .bind(made_by)
        .bind(now().as_millisecond())
        .fetch_one(&self.0.write)
        .await?)
    }

    /// Those that are open now or will be, the oldest first.
    pub async fn maintenance(&self) -> Result<Vec<Maintenance>, StoreError> {
        let mut connection = self.0.read.acquire().await?;
        let now = now();
        let windows = current(&mut connection).await?;
        Ok(windows
            .into_iter()
            .filter(|window| window.plan.next(now).is_some())
            .collect())
    }

    /// Ends a window for good.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] when there is none of this number that is not over.
    pub async fn end_maintenance(&self, id: i64) -> Result<(), StoreError> {
        let ended = query("UPDATE maintenance SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL")
            .bind(id)
            .bind(now().as_millisecond())
            .execute(&self.0.write)
            .await?;
        if ended == 0 {
            return Err(StoreError::Unknown {
                noun: "maintenance window",
                name: id.to_string(),
                hint: "; see: allmende maintenance list".to_owned(),
            });
        }
        Ok(())
    }
}
