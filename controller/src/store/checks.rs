//! Checks that people added.

use super::columns::{from_json, to_json};
use super::query::query;
use super::{Store, StoreError, hosts, services};
use crate::model::{AddedCheck, CheckKey, Subject};

/// The added checks in the store.
pub struct Checks<'a>(pub(super) &'a Store);

impl Checks<'_> {
    /// Adds a check; it goes with its host or service.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when its subject has one of this name; [`StoreError::Unknown`] when there is no such host or
    /// service.
    pub async fn add(&self, check: &AddedCheck) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        let (host, service) = match &check.key.subject {
            Subject::Controller => (None, None),
            Subject::Host(name) => (Some(hosts::id(&mut transaction, name).await?), None),
            Subject::Service(reference) => (None, Some(services::id(&mut transaction, reference).await?)),
        };
        query(
            "INSERT INTO checks (subject, name, host_id, service_id, definition) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(check.key.subject.to_string())
        .bind(&check.key.id)
        .bind(host)
        .bind(service)
        .bind(to_json(&check.definition)?)
        .execute(&mut *transaction)
        .await
        .map_err(|error| StoreError::taken(error, "check", &check.key.to_string()))?;
        transaction.commit().await?;
        Ok(())
    }

    /// All of them, by subject and name.
    pub async fn list(&self) -> Result<Vec<AddedCheck>, StoreError> {
        let rows: Vec<(String, String, String)> =
            query("SELECT subject, name, definition FROM checks ORDER BY subject, name")
                .fetch_all(&self.0.read)
                .await?;
        rows.into_iter()
            .map(|(subject, id, definition)| {
                let what = format!("check {subject}:{id}");
                let subject = subject
                    .parse()
                    .map_err(|error: String| StoreError::damaged(&what, error))?;
                Ok(AddedCheck {
                    key: CheckKey { subject, id },
                    definition: from_json(&definition, &what)?,
                })
            })
            .collect()
    }

    /// Changes what a check asks.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] when nobody added it.
    pub async fn update(&self, check: &AddedCheck) -> Result<(), StoreError> {
        let done = query("UPDATE checks SET definition = $3 WHERE subject = $1 AND name = $2")
            .bind(check.key.subject.to_string())
            .bind(&check.key.id)
            .bind(to_json(&check.definition)?)
            .execute(&self.0.write)
            .await?;
        self.known(&check.key, done).await
    }

    /// Removes a check.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] when nobody added it.
    pub async fn remove(&self, key: &CheckKey) -> Result<(), StoreError> {
        let done = query("DELETE FROM checks WHERE subject = $1 AND name = $2")
            .bind(key.subject.to_string())
            .bind(&key.id)
            .execute(&self.0.write)
            .await?;
        self.known(key, done).await
    }

    async fn known(&self, key: &CheckKey, affected: u64) -> Result<(), StoreError> {
        if affected > 0 {
            return Ok(());
        }
        let existing: Vec<String> = self
            .list()
            .await?
            .into_iter()
            .map(|check| check.key.to_string())
            .collect();
        Err(StoreError::unknown("added check", key, &existing))
    }
}
