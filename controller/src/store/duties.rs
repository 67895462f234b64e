//! Duties: what only one of several servers does at a time. The holder renews its lease; another takes over when it is gone.

use super::claims::{Claim, lease_end};
use super::query::query;
use super::servers::Servers;
use super::{StoreError, now};

impl Servers<'_> {
    /// Takes a duty, or keeps it. Whether it is the claimer's for another lease; a holder that is gone, as `is_gone` finds by
    /// its identity, has none any longer.
    pub async fn take_duty(
        &self,
        duty: &str,
        claim: Claim<'_>,
        is_gone: impl Fn(&str) -> bool,
    ) -> Result<bool, StoreError> {
        let held: Option<(String,)> = query("SELECT identity FROM duties WHERE name = $1")
            .bind(duty)
            .fetch_optional(&self.0.read)
            .await?;
        let gone = held
            .map(|(identity,)| identity)
            .filter(|identity| is_gone(identity));
        let at = now();
        // One statement decides, whoever else comes at the same time.
        let taken = query(
            "INSERT INTO duties (name, identity, lease_until) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET identity = excluded.identity, lease_until = excluded.lease_until
             WHERE duties.identity = excluded.identity OR duties.lease_until <= $4 OR duties.identity = $5",
        )
        .bind(duty)
        .bind(claim.identity)
        .bind(lease_end(at, claim.lease))
        .bind(at.as_millisecond())
        .bind(gone)
        .execute(&self.0.write)
        .await?;
        Ok(taken > 0)
    }
}
