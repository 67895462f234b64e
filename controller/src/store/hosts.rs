//! Hosts.

use allmende_agent::protocol::Facts;
use jiff::Timestamp;

use super::columns::{from_json, name, time, to_json};
use super::connection::Connection;
use super::query::{query, query_scalar};
use super::{Store, StoreError, organisations};
use crate::model::{Host, HostKey, MonthlyCost, Name};

/// The hosts in the store.
pub struct Hosts<'a>(pub(super) &'a Store);

#[derive(sqlx::FromRow)]
struct Row {
    name: String,
    organisation: Option<String>,
    address: String,
    port: i64,
    host_key: String,
    jumps: String,
    lock: Option<String>,
    location: Option<String>,
    provider: Option<String>,
    monthly_cost_cents: Option<i64>,
    settings: String,
    facts: String,
    seen_at: i64,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT h.name, o.name AS organisation, h.address, h.port, h.host_key, h.jumps, h.lock, h.location, h.provider,
                    h.monthly_cost_cents, h.settings, h.facts, h.seen_at
             FROM hosts h LEFT JOIN organisations o ON o.id = h.organisation_id ",
            $rest
        )
    };
}

impl Row {
    fn host(self) -> Result<Host, StoreError> {
        let what = format!("host {}", self.name);
        Ok(Host {
            name: name(self.name, &what)?,
            organisation: self.organisation.map(|text| name(text, &what)).transpose()?,
            address: self.address,
            port: u16::try_from(self.port).map_err(|error| StoreError::damaged(&what, error))?,
            host_key: HostKey(self.host_key),
            jumps: from_json(&self.jumps, &what)?,
            lock: self.lock.map(|text| from_json(&text, &what)).transpose()?,
            location: self.location,
            provider: self.provider,
            monthly_cost: self
                .monthly_cost_cents
                .map(u32::try_from)
                .transpose()
                .map_err(|error| StoreError::damaged(&what, error))?
                .map(MonthlyCost),
            settings: from_json(&self.settings, &what)?,
            facts: from_json(&self.facts, &what)?,
            seen_at: time(self.seen_at, &what)?,
        })
    }
}

impl Hosts<'_> {
    /// Adds a host.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the name is taken, [`StoreError::Unknown`] when there is no such organisation.
    pub async fn add(&self, host: &Host) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        let organisation = organisations::optional_id(&mut transaction, host.organisation.as_ref()).await?;
        query(
            "INSERT INTO hosts (name, organisation_id, address, port, host_key, location, provider,
                                monthly_cost_cents, settings, facts, seen_at, jumps, lock)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        )
        .bind(host.name.as_str())
        .bind(organisation)
        .bind(&host.address)
        .bind(host.port)
        .bind(&host.host_key.0)
        .bind(&host.location)
        .bind(&host.provider)
        .bind(host.monthly_cost.map(|cost| cost.0))
        .bind(to_json(&host.settings)?)
        .bind(to_json(&host.facts)?)
        .bind(host.seen_at.as_millisecond())
        .bind(to_json(&host.jumps)?)
        .bind(host.lock.as_ref().map(to_json).transpose()?)
        .execute(&mut *transaction)
        .await
        .map_err(|error| StoreError::taken(error, "host", &host.name.to_string()))?;
        transaction.commit().await?;
        Ok(())
    }

    /// All hosts, by name.
    pub async fn list(&self) -> Result<Vec<Host>, StoreError> {
        let rows: Vec<Row> = query(select!("ORDER BY h.name")).fetch_all(&self.0.read).await?;
        rows.into_iter().map(Row::host).collect()
    }

    /// The host with this name.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest names.
    pub async fn get(&self, name: &Name) -> Result<Host, StoreError> {
        let mut connection = self.0.read.acquire().await?;
        get(&mut connection, name).await
    }

    /// Changes a host in one transaction and returns how it is now. Its name stays.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest names, for the host and for an organisation it is given to.
    pub async fn update(
        &self,
        name: &Name,
        change: impl FnOnce(&mut Host) + Send,
    ) -> Result<Host, StoreError> {
        let mut transaction = self.0.begin().await?;
        let mut host = get(&mut transaction, name).await?;
        change(&mut host);
        host.name = name.clone();
        let organisation = organisations::optional_id(&mut transaction, host.organisation.as_ref()).await?;
        query(
            "UPDATE hosts SET organisation_id = $2, address = $3, port = $4, host_key = $5, location = $6,
                              provider = $7, monthly_cost_cents = $8, settings = $9, facts = $10, seen_at = $11,
                              jumps = $12, lock = $13
             WHERE name = $1",
        )
        .bind(name.as_str())
        .bind(organisation)
        .bind(&host.address)
        .bind(host.port)
        .bind(&host.host_key.0)
        .bind(&host.location)
        .bind(&host.provider)
        .bind(host.monthly_cost.map(|cost| cost.0))
        .bind(to_json(&host.settings)?)
        .bind(to_json(&host.facts)?)
        .bind(host.seen_at.as_millisecond())
        .bind(to_json(&host.jumps)?)
        .bind(host.lock.as_ref().map(to_json).transpose()?)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(host)
    }

    /// Remembers what a host is, as of a contact.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest names.
    pub async fn set_facts(&self, name: &Name, facts: &Facts, seen_at: Timestamp) -> Result<(), StoreError> {
        let done = query("UPDATE hosts SET facts = $2, seen_at = $3 WHERE name = $1")
            .bind(name.as_str())
            .bind(to_json(facts)?)
            .bind(seen_at.as_millisecond())
            .execute(&self.0.write)
            .await?;
        if done == 0 {
            let mut connection = self.0.read.acquire().await?;
            return Err(unknown(&mut connection, name).await?);
        }
        Ok(())
    }

    /// Removes a host from the inventory. Its jobs stay; locks on it end.
    ///
    /// # Errors
    /// [`StoreError::InUse`] with the list while services live on it.
    pub async fn remove(&self, name: &Name) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        let id = id(&mut transaction, name).await?;
        let by = dependents(&mut transaction, id).await?;
        if !by.is_empty() {
            return Err(StoreError::InUse {
                noun: "host",
                name: name.to_string(),
                by,
            });
        }
        query("DELETE FROM hosts WHERE id = $1")
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }
}

async fn get(connection: &mut Connection, name: &Name) -> Result<Host, StoreError> {
    let row: Option<Row> = query(select!("WHERE h.name = $1"))
        .bind(name.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    match row {
        Some(row) => row.host(),
        None => Err(unknown(connection, name).await?),
    }
}

/// The row id of a host.
pub(super) async fn id(connection: &mut Connection, name: &Name) -> Result<i64, StoreError> {
    let id: Option<i64> = query_scalar("SELECT id FROM hosts WHERE name = $1")
        .bind(name.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    match id {
        Some(id) => Ok(id),
        None => Err(unknown(connection, name).await?),
    }
}

async fn unknown(connection: &mut Connection, name: &Name) -> Result<StoreError, StoreError> {
    let existing: Vec<String> = query_scalar("SELECT name FROM hosts ORDER BY name")
        .fetch_all(connection)
        .await?;
    Ok(StoreError::unknown("host", name, &existing))
}

async fn dependents(connection: &mut Connection, id: i64) -> Result<Vec<String>, StoreError> {
    let services: Vec<(String, String)> = query(
        "SELECT o.name, s.name FROM services s JOIN organisations o ON o.id = s.organisation_id
         WHERE s.host_id = $1 ORDER BY o.name, s.name",
    )
    .bind(id)
    .fetch_all(connection)
    .await?;
    Ok(services
        .into_iter()
        .map(|(organisation, name)| format!("service {organisation}/{name}"))
        .collect())
}
