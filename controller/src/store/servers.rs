//! The servers that are running: whoever has work to do can hand it to them.

use super::claims::{Claim, lease_end};
use super::query::query;
use super::{Store, StoreError, now};

/// The servers in the store.
pub struct Servers<'a>(pub(super) &'a Store);

impl Servers<'_> {
    /// Promises that this server is alive for a lease.
    pub async fn announce(&self, claim: Claim<'_>) -> Result<(), StoreError> {
        let at = now();
        query(
            "INSERT INTO servers (identity, holder, started_at, lease_until) VALUES ($1, $2, $3, $4)
             ON CONFLICT (identity) DO UPDATE SET lease_until = excluded.lease_until",
        )
        .bind(claim.identity)
        .bind(claim.holder)
        .bind(at.as_millisecond())
        .bind(lease_end(at, claim.lease))
        .execute(&self.0.write)
        .await?;
        Ok(())
    }

    /// This server ends.
    pub async fn leave(&self, identity: &str) -> Result<(), StoreError> {
        query("DELETE FROM servers WHERE identity = $1 OR lease_until < $2")
            .bind(identity)
            .bind(now().as_millisecond())
            .execute(&self.0.write)
            .await?;
        Ok(())
    }

    /// Who is running, for people: "process 4711 on buero-pc". Those whose lease ran out or whose process is gone, as
    /// `is_gone` finds by its identity, are left out.
    pub async fn running(&self, is_gone: impl Fn(&str) -> bool) -> Result<Vec<String>, StoreError> {
        let promised: Vec<(String, String)> = query(
            "SELECT identity, holder FROM servers WHERE lease_until > $1 ORDER BY started_at, identity",
        )
        .bind(now().as_millisecond())
        .fetch_all(&self.0.read)
        .await?;
        let running = promised.into_iter().filter(|(identity, _)| !is_gone(identity));
        Ok(running.map(|(_, holder)| holder).collect())
    }
}
