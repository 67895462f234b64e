//! What the controller remembers about itself: short texts by key.

use super::{Store, StoreError};

/// The controller's own notes in the store. Never secrets.
pub struct ControllerSettings<'a>(pub(super) &'a Store);

impl ControllerSettings<'_> {
    /// The text with this key.
    pub async fn get(&self, key: &str) -> Result<Option<String>, StoreError> {
        Ok(sqlx::query_scalar("SELECT value FROM controller WHERE key = $1")
            .bind(key)
            .fetch_optional(&self.0.read)
            .await?)
    }

    /// Sets the text with this key.
    pub async fn set(&self, key: &str, value: &str) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO controller (key, value) VALUES ($1, $2)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        )
        .bind(key)
        .bind(value)
        .execute(&self.0.write)
        .await?;
        Ok(())
    }

    /// Sets the text with this key unless there is one, and returns the one that is there now.
    pub async fn get_or_set(&self, key: &str, value: &str) -> Result<String, StoreError> {
        sqlx::query("INSERT INTO controller (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING")
            .bind(key)
            .bind(value)
            .execute(&self.0.write)
            .await?;
        Ok(sqlx::query_scalar("SELECT value FROM controller WHERE key = $1")
            .bind(key)
            .fetch_one(&self.0.write)
            .await?)
    }
}
