//! Organisations.

use super::columns::{from_json, from_word, name, to_json, to_word};
use super::connection::Connection;
use super::query::{query, query_scalar};
use super::{Store, StoreError};
use crate::model::{Name, Organisation};

/// The organisations in the store.
pub struct Organisations<'a>(pub(super) &'a Store);

#[derive(sqlx::FromRow)]
struct Row {
    name: String,
    title: String,
    sector: String,
    place: Option<String>,
    contacts: String,
}

impl Row {
    fn organisation(self) -> Result<Organisation, StoreError> {
        let what = format!("organisation {}", self.name);
        Ok(Organisation {
            name: name(self.name, &what)?,
            title: self.title,
            sector: from_word(&self.sector, &what)?,
            place: self.place,
            contacts: from_json(&self.contacts, &what)?,
        })
    }
}

impl Organisations<'_> {
    /// Adds an organisation.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the name is taken.
    pub async fn add(&self, organisation: &Organisation) -> Result<(), StoreError> {
        let sql =
            "INSERT INTO organisations (name, title, sector, place, contacts) VALUES ($1, $2, $3, $4, $5)";
        query(sql)
            .bind(organisation.name.as_str())
            .bind(&organisation.title)
            .bind(to_word(&organisation.sector)?)
            .bind(&organisation.place)
            .bind(to_json(&organisation.contacts)?)
            .execute(&self.0.write)
            .await
            .map_err(|error| StoreError::taken(error, "organisation", &organisation.name.to_string()))?;
        Ok(())
    }

    /// All organisations, by name.
    pub async fn list(&self) -> Result<Vec<Organisation>, StoreError> {
        let rows: Vec<Row> =
            query("SELECT name, title, sector, place, contacts FROM organisations ORDER BY name")
                .fetch_all(&self.0.read)
                .await?;
        rows.into_iter().map(Row::organisation).collect()
    }

    /// The organisation with this name.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest names.
    pub async fn get(&self, name: &Name) -> Result<Organisation, StoreError> {
        let mut connection = self.0.read.acquire().await?;
        get(&mut connection, name).await
    }

    /// Changes an organisation in one transaction and returns how it is now. Its name stays.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest names.
    pub async fn update(
        &self,
        name: &Name,
        change: impl FnOnce(&mut Organisation) + Send,
    ) -> Result<Organisation, StoreError> {
        let mut transaction = self.0.begin().await?;
        let mut organisation = get(&mut transaction, name).await?;
        change(&mut organisation);
        organisation.name = name.clone();
        query("UPDATE organisations SET title = $2, sector = $3, place = $4, contacts = $5 WHERE name = $1")
            .bind(name.as_str())
            .bind(&organisation.title)
            .bind(to_word(&organisation.sector)?)
            .bind(&organisation.place)
            .bind(to_json(&organisation.contacts)?)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(organisation)
    }

    /// What would be left without its organisation: "host web1", "service kita-sonne/cloud".
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest names.
    pub async fn dependents(&self, name: &Name) -> Result<Vec<String>, StoreError> {
        let mut connection = self.0.read.acquire().await?;
        let id = id(&mut connection, name).await?;
        dependents(&mut connection, id).await
    }

    /// Removes an organisation, its secrets and their key.
    ///
    /// # Errors
    /// [`StoreError::InUse`] with the list while hosts or services depend on it.
    pub async fn remove(&self, name: &Name) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        let id = id(&mut transaction, name).await?;
        let by = dependents(&mut transaction, id).await?;
        if !by.is_empty() {
            return Err(StoreError::InUse {
                noun: "organisation",
                name: name.to_string(),
                by,
            });
        }
        query("DELETE FROM organisations WHERE id = $1")
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }
}

async fn get(connection: &mut Connection, name: &Name) -> Result<Organisation, StoreError> {
    let row: Option<Row> =
        query("SELECT name, title, sector, place, contacts FROM organisations WHERE name = $1")
            .bind(name.as_str())
            .fetch_optional(&mut *connection)
            .await?;
    match row {
        Some(row) => row.organisation(),
        None => Err(unknown(connection, name).await?),
    }
}

/// The row id of an organisation.
pub(super) async fn id(connection: &mut Connection, name: &Name) -> Result<i64, StoreError> {
    let id: Option<i64> = query_scalar("SELECT id FROM organisations WHERE name = $1")
        .bind(name.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    match id {
        Some(id) => Ok(id),
        None => Err(unknown(connection, name).await?),
    }
}

/// The row id of an organisation, when one is given.
pub(super) async fn optional_id(
    connection: &mut Connection,
    name: Option<&Name>,
) -> Result<Option<i64>, StoreError> {
    match name {
        Some(name) => Ok(Some(id(connection, name).await?)),
        None => Ok(None),
    }
}

async fn unknown(connection: &mut Connection, name: &Name) -> Result<StoreError, StoreError> {
    let existing: Vec<String> = query_scalar("SELECT name FROM organisations ORDER BY name")
        .fetch_all(connection)
        .await?;
    Ok(StoreError::unknown("organisation", name, &existing))
}

async fn dependents(connection: &mut Connection, id: i64) -> Result<Vec<String>, StoreError> {
    let hosts: Vec<String> = query_scalar("SELECT name FROM hosts WHERE organisation_id = $1 ORDER BY name")
        .bind(id)
        .fetch_all(&mut *connection)
        .await?;
    let services: Vec<(String, String)> = query(
        "SELECT o.name, s.name FROM services s JOIN organisations o ON o.id = s.organisation_id
         WHERE o.id = $1 ORDER BY s.name",
    )
    .bind(id)
    .fetch_all(&mut *connection)
    .await?;
    Ok(hosts
        .into_iter()
        .map(|host| format!("host {host}"))
        .chain(
            services
                .into_iter()
                .map(|(organisation, name)| format!("service {organisation}/{name}")),
        )
        .collect())
}
