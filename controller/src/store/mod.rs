//! The store: everything Allmende remembers, in one SQLite file, or in a PostgreSQL database that several controllers share.
//!
//! Functions speak in model types and names; SQL, row ids and column formats stay in here. Each noun has a file and a handle:
//! `store.hosts().get(&name)`. Whatever belongs together is written in one transaction: a job and what the audit log says
//! about it, a claim and the locks of its hosts.

mod audit;
mod backups;
mod checks;
mod claims;
mod columns;
mod connection;
mod copy;
mod drills;
mod duties;
mod error;
mod hosts;
mod jobs;
mod migrations;
mod notify;
mod open;
mod organisations;
mod postgres;
mod query;
mod queue;
mod schedules;
mod secrets;
mod servers;
mod services;
mod targets;
#[cfg(test)]
pub(crate) mod tests;
mod watch;

use std::sync::{Arc, OnceLock};

use connection::{Pool, Transaction, Writer};
use jiff::Timestamp;

pub use audit::{Audit, AuditPhase, AuditRecord, AuditVerdict, Seal};
pub use backups::{Backups, EndedBackup, NewBackup};
pub use checks::Checks;
pub use claims::{Claim, Claimed};
pub use copy::{Cell, Snapshot, Table};
pub use drills::Drills;
pub use error::StoreError;
pub use hosts::Hosts;
pub use jobs::{Jobs, NewJob};
pub use notify::{Beat, DeliveryClaim, LastWeek, NewDelivery, Notifications};
pub use organisations::Organisations;
pub use postgres::PostgresAddress;
pub use queue::Cancelled;
pub use schedules::{DueSchedule, ScheduleRun, Schedules, Serving, Start};
pub use secrets::Secrets;
pub use servers::Servers;
pub use services::Services;
pub use targets::Targets;
pub use watch::{Asked, Keep, RollupSpan, Sample, Watch};

/// What the database is called in the data directory.
pub const FILE_NAME: &str = "allmende.db";

/// The database. Clones share its connections.
#[derive(Clone)]
pub struct Store {
    write: Writer,
    /// It cannot write.
    read: Pool,
    /// The file or the address, for people.
    place: String,
    seal: Arc<OnceLock<Box<dyn Seal>>>,
}

impl Store {
    /// Organisations.
    pub fn organisations(&self) -> Organisations<'_> {
        Organisations(self)
    }

    /// Hosts.
    pub fn hosts(&self) -> Hosts<'_> {
        Hosts(self)
    }

    /// Services.
    pub fn services(&self) -> Services<'_> {
        Services(self)
    }

    /// Checks that people added.
    pub fn checks(&self) -> Checks<'_> {
        Checks(self)
    }

    /// Jobs, their events, claims and locks.
    pub fn jobs(&self) -> Jobs<'_> {
        Jobs(self)
    }

    /// What is watched, and what came of it.
    pub fn watch(&self) -> Watch<'_> {
        Watch(self)
    }

    /// The servers that are running.
    pub fn servers(&self) -> Servers<'_> {
        Servers(self)
    }

    /// Schedules, and the times that were served.
    pub fn schedules(&self) -> Schedules<'_> {
        Schedules(self)
    }

    /// The audit log.
    pub fn audit(&self) -> Audit<'_> {
        Audit(self)
    }

    /// Targets and the repositories in them.
    pub fn targets(&self) -> Targets<'_> {
        Targets(self)
    }

    /// Backups and their snapshots.
    pub fn backups(&self) -> Backups<'_> {
        Backups(self)
    }

    /// Drills.
    pub fn drills(&self) -> Drills<'_> {
        Drills(self)
    }

    /// Channels, people who are told, rules, and messages on their way.
    pub fn notifications(&self) -> Notifications<'_> {
        Notifications(self)
    }

    /// Encrypted secrets and their keys; only the vault has a use for them.
    pub fn secrets(&self) -> Secrets<'_> {
        Secrets(self)
    }

    /// Gives the store the key with which the end of the audit log is sealed; the vault does this when it is opened.
    /// Before that nothing can be written that the audit log must know about. A second seal is ignored.
    pub fn set_seal(&self, seal: Box<dyn Seal>) {
        let _ = self.seal.set(seal);
    }

    fn seal(&self) -> Result<&dyn Seal, StoreError> {
        self.seal.get().map(Box::as_ref).ok_or(StoreError::NoSeal)
    }

    /// The database's file or address, for people.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// A transaction that may read first and write afterwards: nobody else writes from its beginning to its end.
    async fn begin(&self) -> Result<Transaction, StoreError> {
        Ok(self.write.begin().await?)
    }

    /// Brings what was written to the disk and into the one file, so that a power cut or a copy of the file alone loses nothing.
    /// Single writes would be too slow for that; it is done where something ends, and where a host will know what we must not
    /// forget. It waits for nobody: what somebody else is still reading follows with the next time. PostgreSQL does so with every
    /// transaction.
    async fn settle(&self) {
        if let Pool::Sqlite(write) = &self.write.0 {
            // What was written is safe from all but a power cut, and is tried again.
            let _ = sqlx::raw_sql("PRAGMA wal_checkpoint(PASSIVE)")
                .execute(write)
                .await;
        }
    }

    /// Closes all connections; what was written is then in the one file.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.0.close().await;
    }
}

/// The time as the store keeps it, in milliseconds.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
