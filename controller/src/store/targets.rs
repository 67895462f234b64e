//! Targets, the repositories in them, and how large they grew.

use jiff::Timestamp;

use super::columns::{count, from_json, name, optional_count, optional_time, size, time, to_json};
use super::connection::Connection;
use super::query::{query, query_scalar};
use super::{Store, StoreError};
use crate::model::{IntegrityCheck, MonthlyCost, Name, Repository, Size, Target, TargetSize};

/// The targets and repositories in the store.
pub struct Targets<'a>(pub(super) &'a Store);

#[derive(sqlx::FromRow)]
struct TargetRow {
    name: String,
    location: String,
    place: Option<String>,
    retention: String,
    quota_bytes: Option<i64>,
    monthly_cost_cents: Option<i64>,
    organisations: String,
    created_at: i64,
}

const TARGETS: &str =
    "SELECT name, location, place, retention, quota_bytes, monthly_cost_cents, organisations, created_at
     FROM targets ORDER BY created_at, id";

impl TargetRow {
    fn target(self) -> Result<Target, StoreError> {
        let what = format!("target {}", self.name);
        let cents = self.monthly_cost_cents.map(u32::try_from).transpose();
        Ok(Target {
            name: name(self.name, &what)?,
            location: from_json(&self.location, &what)?,
            place: self.place,
            retention: from_json(&self.retention, &what)?,
            quota_bytes: self.quota_bytes.map(|bytes| size(bytes, &what)).transpose()?,
            monthly_cost: cents
                .map_err(|error| StoreError::damaged(&what, error))?
                .map(MonthlyCost),
            organisations: from_json(&self.organisations, &what)?,
            created_at: time(self.created_at, &what)?,
        })
    }
}

#[derive(sqlx::FromRow)]
struct RepositoryRow {
    id: String,
    target: String,
    organisation: String,
    service: String,
    folder: String,
    created_at: i64,
    size_bytes: Option<i64>,
    counted_at: Option<i64>,
    checked_at: Option<i64>,
    check_part: Option<i64>,
    check_parts: Option<i64>,
    damaged: Option<String>,
    pruned_at: Option<i64>,
}

const REPOSITORIES: &str =
    "SELECT r.id, t.name AS target, r.organisation, r.service, r.folder, r.created_at, r.size_bytes, r.counted_at,
            r.checked_at, r.check_part, r.check_parts, r.damaged, r.pruned_at
     FROM repositories r JOIN targets t ON t.id = r.target_id
     ORDER BY r.organisation, r.service, t.created_at, t.id";

impl RepositoryRow {
    fn repository(self) -> Result<Repository, StoreError> {
        let what = format!("repository {}", self.id);
        let number = |number: i64| u32::try_from(number).map_err(|error| StoreError::damaged(&what, error));
        let check = match (self.checked_at, self.check_part, self.check_parts) {
            (Some(at), Some(part), Some(parts)) => Some(IntegrityCheck {
                at: time(at, &what)?,
                part: number(part)?,
                parts: number(parts)?,
            }),
            _ => None,
        };
        Ok(Repository {
            target: name(self.target, &what)?,
            organisation: name(self.organisation, &what)?,
            service: name(self.service, &what)?,
            folder: self.folder,
            created_at: time(self.created_at, &what)?,
            size_bytes: self.size_bytes.map(|bytes| size(bytes, &what)).transpose()?,
            counted_at: optional_time(self.counted_at, &what)?,
            check,
            damaged: self.damaged,
            pruned_at: optional_time(self.pruned_at, &what)?,
            id: self.id,
        })
    }
}

impl Targets<'_> {
    /// Adds a target.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the name is taken.
    pub async fn add(&self, target: &Target) -> Result<(), StoreError> {
        query(
            "INSERT INTO targets (name, location, place, retention, quota_bytes, monthly_cost_cents, organisations, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(target.name.as_str())
        .bind(to_json(&target.location)?)
        .bind(&target.place)
        .bind(to_json(&target.retention)?)
        .bind(optional_count(target.quota_bytes))
        .bind(target.monthly_cost.map(|cost| cost.0))
        .bind(to_json(&target.organisations)?)
        .bind(target.created_at.as_millisecond())
        .execute(&self.0.write)
        .await
        .map_err(|error| StoreError::taken(error, "target", &target.name))?;
        Ok(())
    }

    /// All targets, the oldest first.
    pub async fn list(&self) -> Result<Vec<Target>, StoreError> {
        let mut connection = self.0.read.acquire().await?;
        list(&mut connection).await
    }

    /// The target with this name.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest names.
    pub async fn get(&self, name: &Name) -> Result<Target, StoreError> {
        let mut connection = self.0.read.acquire().await?;
        get(&mut connection, name).await
    }

    /// Changes a target in one transaction and returns how it is now. Its name and its age stay.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest names.
    pub async fn update(
        &self,
        name: &Name,
        change: impl FnOnce(&mut Target) + Send,
    ) -> Result<Target, StoreError> {
        let mut transaction = self.0.begin().await?;
        let before = get(&mut transaction, name).await?;
        let mut after = before.clone();
        change(&mut after);
        let after = Target {
            name: before.name,
            created_at: before.created_at,
            ..after
        };
        query(
            "UPDATE targets SET location = $2, place = $3, retention = $4, quota_bytes = $5, monthly_cost_cents = $6,
                 organisations = $7
             WHERE name = $1",
        )
        .bind(name.as_str())
        .bind(to_json(&after.location)?)
        .bind(&after.place)
        .bind(to_json(&after.retention)?)
        .bind(optional_count(after.quota_bytes))
        .bind(after.monthly_cost.map(|cost| cost.0))
        .bind(to_json(&after.organisations)?)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(after)
    }

    /// Removes a target that has no repositories.
    ///
    /// # Errors
    /// [`StoreError::InUse`] with the list while there are any; [`StoreError::Unknown`] with the nearest names.
    pub async fn remove(&self, name: &Name) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        get(&mut transaction, name).await?;
        let by: Vec<String> = repositories(&mut transaction)
            .await?
            .into_iter()
            .filter(|repository| repository.target == *name)
            .map(|repository| {
                format!(
                    "the backups of {}/{}",
                    repository.organisation, repository.service
                )
            })
            .collect();
        if !by.is_empty() {
            return Err(StoreError::InUse {
                noun: "target",
                name: name.to_string(),
                by,
            });
        }
        query("DELETE FROM targets WHERE name = $1")
            .bind(name.as_str())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Adds a repository; what is known of its size and health is not looked at.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the target has one for this service; [`StoreError::Unknown`] when there is no such target.
    pub async fn add_repository(&self, repository: &Repository) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        let target = id(&mut transaction, &repository.target).await?;
        query(
            "INSERT INTO repositories (id, target_id, organisation, service, folder, created_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&repository.id)
        .bind(target)
        .bind(repository.organisation.as_str())
        .bind(repository.service.as_str())
        .bind(&repository.folder)
        .bind(repository.created_at.as_millisecond())
        .execute(&mut *transaction)
        .await
        .map_err(|error| {
            let full = format!(
                "{}/{} in {}",
                repository.organisation, repository.service, repository.target
            );
            StoreError::taken(error, "repository", &full)
        })?;
        transaction.commit().await?;
        Ok(())
    }

    /// All repositories, by organisation and service, then by the age of their targets.
    pub async fn repositories(&self) -> Result<Vec<Repository>, StoreError> {
        let mut connection = self.0.read.acquire().await?;
        repositories(&mut connection).await
    }

    /// The repositories of a service, by the age of their targets.
    pub async fn repositories_of(
        &self,
        organisation: &Name,
        service: &Name,
    ) -> Result<Vec<Repository>, StoreError> {
        let mut all = self.repositories().await?;
        all.retain(|repository| repository.organisation == *organisation && repository.service == *service);
        Ok(all)
    }

    /// The repository with this id.
    ///
    /// # Errors
    /// [`StoreError::Unknown`].
    pub async fn repository(&self, id: &str) -> Result<Repository, StoreError> {
        let all = self.repositories().await?;
        all.into_iter()
            .find(|repository| repository.id == id)
            .ok_or_else(|| StoreError::unknown("repository", id, &[]))
    }

    /// Forgets a repository and what is in it; its data stay where they are.
    pub async fn forget_repository(&self, id: &str) -> Result<(), StoreError> {
        query("DELETE FROM repositories WHERE id = $1")
            .bind(id)
            .execute(&self.0.write)
            .await?;
        Ok(())
    }

    /// Remembers how large a repository is.
    pub async fn set_size(&self, id: &str, bytes: Size, at: Timestamp) -> Result<(), StoreError> {
        query("UPDATE repositories SET size_bytes = $2, counted_at = $3 WHERE id = $1")
            .bind(id)
            .bind(count(bytes.0))
            .bind(at.as_millisecond())
            .execute(&self.0.write)
            .await?;
        Ok(())
    }

    /// Remembers a look at a repository that ended well.
    pub async fn set_checked(&self, id: &str, check: IntegrityCheck) -> Result<(), StoreError> {
        query("UPDATE repositories SET checked_at = $2, check_part = $3, check_parts = $4 WHERE id = $1")
            .bind(id)
            .bind(check.at.as_millisecond())
            .bind(check.part)
            .bind(check.parts)
            .execute(&self.0.write)
            .await?;
        Ok(())
    }

    /// Remembers what is wrong with a repository; none, that it is well again.
    pub async fn set_damaged(&self, id: &str, damage: Option<&str>) -> Result<(), StoreError> {
        query("UPDATE repositories SET damaged = $2 WHERE id = $1")
            .bind(id)
            .bind(damage)
            .execute(&self.0.write)
            .await?;
        Ok(())
    }

    /// Remembers that data were removed that nothing needs any more.
    pub async fn set_pruned(&self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        query("UPDATE repositories SET pruned_at = $2 WHERE id = $1")
            .bind(id)
            .bind(at.as_millisecond())
            .execute(&self.0.write)
            .await?;
        Ok(())
    }

    /// Remembers how large a target is on a day, in the place of what was known of that day.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest names.
    pub async fn put_day(&self, target: &Name, size: &TargetSize) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        let id = id(&mut transaction, target).await?;
        query(
            "INSERT INTO target_sizes (target_id, day, bytes, free_bytes) VALUES ($1, $2, $3, $4)
             ON CONFLICT (target_id, day) DO UPDATE SET bytes = excluded.bytes, free_bytes = excluded.free_bytes",
        )
        .bind(id)
        .bind(size.day.to_string())
        .bind(count(size.bytes.0))
        .bind(optional_count(size.free_bytes))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// How large a target was, the oldest day first.
    pub async fn days(&self, target: &Name) -> Result<Vec<TargetSize>, StoreError> {
        let rows: Vec<(String, i64, Option<i64>)> = query(
            "SELECT s.day, s.bytes, s.free_bytes FROM target_sizes s JOIN targets t ON t.id = s.target_id
             WHERE t.name = $1 ORDER BY s.day",
        )
        .bind(target.as_str())
        .fetch_all(&self.0.read)
        .await?;
        let what = format!("size of target {target}");
        rows.into_iter()
            .map(|(day, bytes, free)| {
                Ok(TargetSize {
                    day: day.parse().map_err(|error| StoreError::damaged(&what, error))?,
                    bytes: size(bytes, &what)?,
                    free_bytes: free.map(|free| size(free, &what)).transpose()?,
                })
            })
            .collect()
    }
}

async fn list(connection: &mut Connection) -> Result<Vec<Target>, StoreError> {
    let rows: Vec<TargetRow> = query(TARGETS).fetch_all(connection).await?;
    rows.into_iter().map(TargetRow::target).collect()
}

async fn get(connection: &mut Connection, name: &Name) -> Result<Target, StoreError> {
    let all = list(connection).await?;
    let names: Vec<String> = all.iter().map(|target| target.name.to_string()).collect();
    all.into_iter()
        .find(|target| target.name == *name)
        .ok_or_else(|| StoreError::unknown("target", name, &names))
}

async fn id(connection: &mut Connection, name: &Name) -> Result<i64, StoreError> {
    get(connection, name).await?;
    Ok(query_scalar("SELECT id FROM targets WHERE name = $1")
        .bind(name.as_str())
        .fetch_one(connection)
        .await?)
}

async fn repositories(connection: &mut Connection) -> Result<Vec<Repository>, StoreError> {
    let rows: Vec<RepositoryRow> = query(REPOSITORIES).fetch_all(connection).await?;
    rows.into_iter().map(RepositoryRow::repository).collect()
}
