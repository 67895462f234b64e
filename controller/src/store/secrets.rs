//! Encrypted secrets and the encrypted keys they are encrypted with. What is in here means nothing without the vault.

use super::query::{query, query_scalar};
use super::{Store, StoreError, now, organisations};
use crate::model::Name;

/// The vault's rows in the store.
pub struct Secrets<'a>(pub(super) &'a Store);

/// A data key, encrypted with the master key.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct SealedKey {
    /// Row id; secrets refer to it.
    pub id: i64,
    /// The encrypted key.
    pub sealed: Vec<u8>,
}

impl Secrets<'_> {
    /// The data key of an owner.
    pub async fn key(&self, owner: &str) -> Result<Option<SealedKey>, StoreError> {
        Ok(query("SELECT id, sealed FROM vault_keys WHERE owner = $1")
            .bind(owner)
            .fetch_optional(&self.0.read)
            .await?)
    }

    /// Keeps a data key for an owner unless there is one, and returns the one that is there now. With its organisation it
    /// goes away.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] when there is no such organisation.
    pub async fn key_or_add(
        &self,
        owner: &str,
        organisation: Option<&Name>,
        sealed: &[u8],
    ) -> Result<SealedKey, StoreError> {
        let mut transaction = self.0.begin().await?;
        let organisation = organisations::optional_id(&mut transaction, organisation).await?;
        query(
            "INSERT INTO vault_keys (owner, organisation_id, sealed, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (owner) DO NOTHING",
        )
        .bind(owner)
        .bind(organisation)
        .bind(sealed)
        .bind(now().as_millisecond())
        .execute(&mut *transaction)
        .await?;
        let key = query("SELECT id, sealed FROM vault_keys WHERE owner = $1")
            .bind(owner)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(key)
    }

    /// A secret, encrypted.
    pub async fn get(&self, key: i64, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(
            query_scalar("SELECT sealed FROM vault_secrets WHERE key_id = $1 AND name = $2")
                .bind(key)
                .bind(name)
                .fetch_optional(&self.0.read)
                .await?,
        )
    }

    /// Keeps an encrypted secret, in the place of one with the same name.
    pub async fn put(&self, key: i64, name: &str, sealed: &[u8]) -> Result<(), StoreError> {
        query(
            "INSERT INTO vault_secrets (key_id, name, sealed, changed_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (key_id, name) DO UPDATE SET sealed = excluded.sealed, changed_at = excluded.changed_at",
        )
        .bind(key)
        .bind(name)
        .bind(sealed)
        .bind(now().as_millisecond())
        .execute(&self.0.write)
        .await?;
        self.0.settle().await;
        Ok(())
    }

    /// Keeps an encrypted secret unless there is one with this name, and returns the one that is there now.
    pub async fn get_or_put(&self, key: i64, name: &str, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut transaction = self.0.begin().await?;
        query(
            "INSERT INTO vault_secrets (key_id, name, sealed, changed_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (key_id, name) DO NOTHING",
        )
        .bind(key)
        .bind(name)
        .bind(sealed)
        .bind(now().as_millisecond())
        .execute(&mut *transaction)
        .await?;
        let sealed = query_scalar("SELECT sealed FROM vault_secrets WHERE key_id = $1 AND name = $2")
            .bind(key)
            .bind(name)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        self.0.settle().await;
        Ok(sealed)
    }

    /// Removes a secret; says whether there was one.
    pub async fn remove(&self, key: i64, name: &str) -> Result<bool, StoreError> {
        let done = query("DELETE FROM vault_secrets WHERE key_id = $1 AND name = $2")
            .bind(key)
            .bind(name)
            .execute(&self.0.write)
            .await?;
        Ok(done > 0)
    }

    /// The names of the secrets under a key, sorted.
    pub async fn names(&self, key: i64) -> Result<Vec<String>, StoreError> {
        Ok(
            query_scalar("SELECT name FROM vault_secrets WHERE key_id = $1 ORDER BY name")
                .bind(key)
                .fetch_all(&self.0.read)
                .await?,
        )
    }
}
