//! Services.

use jiff::Timestamp;

use super::columns::{from_json, name, time, to_json};
use super::connection::Connection;
use super::query::{query, query_scalar};
use super::{Store, StoreError, hosts, organisations};
use crate::model::{Applied, Name, Service, ServiceRef};

/// The services in the store.
pub struct Services<'a>(pub(super) &'a Store);

#[derive(sqlx::FromRow)]
struct Row {
    name: String,
    organisation: String,
    host: String,
    template: String,
    parameters: String,
    begun_at: Option<i64>,
    applied_at: Option<i64>,
    applied_job: Option<i64>,
    applied_parameters: Option<String>,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT s.name, o.name AS organisation, h.name AS host, s.template, s.parameters,
                    s.begun_at, s.applied_at, s.applied_job, s.applied_parameters
             FROM services s
             JOIN organisations o ON o.id = s.organisation_id
             JOIN hosts h ON h.id = s.host_id ",
            $rest
        )
    };
}

impl Row {
    fn service(self) -> Result<Service, StoreError> {
        let what = format!("service {}/{}", self.organisation, self.name);
        let applied = match (self.applied_at, self.applied_job, self.applied_parameters) {
            (Some(at), Some(job), Some(parameters)) => Some(Applied {
                at: time(at, &what)?,
                job,
                parameters: from_json(&parameters, &what)?,
            }),
            _ => None,
        };
        Ok(Service {
            name: name(self.name, &what)?,
            organisation: name(self.organisation, &what)?,
            host: name(self.host, &what)?,
            template: self.template,
            parameters: from_json(&self.parameters, &what)?,
            begun: self.begun_at.map(|at| time(at, &what)).transpose()?,
            applied,
        })
    }
}

impl Services<'_> {
    /// Adds a service; `begun` and `applied` are not looked at.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the organisation has one with this name; [`StoreError::Unknown`] when there is no such
    /// organisation or host.
    pub async fn add(&self, service: &Service) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        let organisation = organisations::id(&mut transaction, &service.organisation).await?;
        let host = hosts::id(&mut transaction, &service.host).await?;
        query(
            "INSERT INTO services (organisation_id, host_id, name, template, parameters) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(organisation)
        .bind(host)
        .bind(service.name.as_str())
        .bind(&service.template)
        .bind(to_json(&service.parameters)?)
        .execute(&mut *transaction)
        .await
        .map_err(|error| StoreError::taken(error, "service", &service.full_name()))?;
        transaction.commit().await?;
        Ok(())
    }

    /// All services, by organisation and name.
    pub async fn list(&self) -> Result<Vec<Service>, StoreError> {
        let rows: Vec<Row> = query(select!("ORDER BY o.name, s.name"))
            .fetch_all(&self.0.read)
            .await?;
        rows.into_iter().map(Row::service).collect()
    }

    /// The services on a host, by organisation and name; empty when there is no such host.
    pub async fn on_host(&self, host: &Name) -> Result<Vec<Service>, StoreError> {
        let rows: Vec<Row> = query(select!("WHERE h.name = $1 ORDER BY o.name, s.name"))
            .bind(host.as_str())
            .fetch_all(&self.0.read)
            .await?;
        rows.into_iter().map(Row::service).collect()
    }

    /// The service a person points at.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest names; [`StoreError::Ambiguous`] with the candidates when several
    /// organisations have a service with this name and none was given.
    pub async fn find(&self, reference: &ServiceRef) -> Result<Service, StoreError> {
        let mut connection = self.0.read.acquire().await?;
        find(&mut connection, reference).await
    }

    /// Changes a service's host, template or parameters in one transaction and returns how it is now. Its names and what was
    /// begun and applied stay.
    ///
    /// # Errors
    /// As [`Services::find`]; [`StoreError::Unknown`] for a host it is moved to.
    pub async fn update(
        &self,
        reference: &ServiceRef,
        change: impl FnOnce(&mut Service) + Send,
    ) -> Result<Service, StoreError> {
        let mut transaction = self.0.begin().await?;
        let before = find(&mut transaction, reference).await?;
        let mut after = before.clone();
        change(&mut after);
        let after = Service {
            name: before.name,
            organisation: before.organisation,
            begun: before.begun,
            applied: before.applied,
            ..after
        };
        let organisation = organisations::id(&mut transaction, &after.organisation).await?;
        let host = hosts::id(&mut transaction, &after.host).await?;
        query(
            "UPDATE services SET host_id = $3, template = $4, parameters = $5
             WHERE organisation_id = $1 AND name = $2",
        )
        .bind(organisation)
        .bind(after.name.as_str())
        .bind(host)
        .bind(&after.template)
        .bind(to_json(&after.parameters)?)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(after)
    }

    /// Remembers that an apply sets about bringing it onto its host; only the first time counts.
    ///
    /// # Errors
    /// As [`Services::find`].
    pub async fn set_begun(&self, reference: &ServiceRef, at: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        let service = find(&mut transaction, reference).await?;
        let organisation = organisations::id(&mut transaction, &service.organisation).await?;
        query(
            "UPDATE services SET begun_at = $3
             WHERE organisation_id = $1 AND name = $2 AND begun_at IS NULL",
        )
        .bind(organisation)
        .bind(service.name.as_str())
        .bind(at.as_millisecond())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Remembers the last apply that ended well; none forgets it.
    ///
    /// # Errors
    /// As [`Services::find`].
    pub async fn set_applied(
        &self,
        reference: &ServiceRef,
        applied: Option<&Applied>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        let service = find(&mut transaction, reference).await?;
        let organisation = organisations::id(&mut transaction, &service.organisation).await?;
        query(
            "UPDATE services SET applied_at = $3, applied_job = $4, applied_parameters = $5
             WHERE organisation_id = $1 AND name = $2",
        )
        .bind(organisation)
        .bind(service.name.as_str())
        .bind(applied.map(|applied| applied.at.as_millisecond()))
        .bind(applied.map(|applied| applied.job))
        .bind(applied.map(|applied| to_json(&applied.parameters)).transpose()?)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Removes a service from the inventory and returns how it was. Its secrets are the vault's.
    ///
    /// # Errors
    /// As [`Services::find`].
    pub async fn remove(&self, reference: &ServiceRef) -> Result<Service, StoreError> {
        let mut transaction = self.0.begin().await?;
        let service = find(&mut transaction, reference).await?;
        let organisation = organisations::id(&mut transaction, &service.organisation).await?;
        query("DELETE FROM services WHERE organisation_id = $1 AND name = $2")
            .bind(organisation)
            .bind(service.name.as_str())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(service)
    }
}

/// The row id of a service.
pub(super) async fn id(connection: &mut Connection, reference: &ServiceRef) -> Result<i64, StoreError> {
    let service = find(&mut *connection, reference).await?;
    let organisation = organisations::id(&mut *connection, &service.organisation).await?;
    let id = query_scalar("SELECT id FROM services WHERE organisation_id = $1 AND name = $2")
        .bind(organisation)
        .bind(service.name.as_str())
        .fetch_one(connection)
        .await?;
    Ok(id)
}

async fn find(connection: &mut Connection, reference: &ServiceRef) -> Result<Service, StoreError> {
    let organisation = reference.organisation.as_ref().map(Name::as_str);
    let rows: Vec<Row> = query(select!(
        "WHERE s.name = $1 AND ($2 IS NULL OR o.name = $2) ORDER BY o.name"
    ))
    .bind(reference.service.as_str())
    .bind(organisation)
    .fetch_all(&mut *connection)
    .await?;
    let mut found = rows
        .into_iter()
        .map(Row::service)
        .collect::<Result<Vec<_>, _>>()?;
    match (found.pop(), found.is_empty()) {
        (Some(service), true) => Ok(service),
        (Some(last), false) => Err(StoreError::Ambiguous {
            name: reference.to_string(),
            candidates: found.iter().chain([&last]).map(Service::full_name).collect(),
        }),
        (None, _) => {
            if let Some(organisation) = &reference.organisation {
                organisations::id(&mut *connection, organisation).await?;
            }
            let existing: Vec<String> = query_scalar(
                "SELECT o.name || '/' || s.name FROM services s JOIN organisations o ON o.id = s.organisation_id
                 ORDER BY o.name, s.name",
            )
            .fetch_all(connection)
            .await?;
            Err(StoreError::unknown("service", reference, &existing))
        }
    }
}
