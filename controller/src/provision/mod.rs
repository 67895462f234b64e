//! Provisioning: hosts made to look as their services want it.

mod archives;
mod assembly;
mod authority;
mod folder;
mod removal;
mod trial;

use allmende_agent::protocol::{Action, Event, RefusalKind, Report, Request};
use serde::Serialize;

pub use archives::{ArchiveCache, ArchiveError};
pub use assembly::{Assembler, Assembly, BASE, Part, host_templates, settings_for, watching_templates};
pub use authority::{AuthorityError, IssuedCertificate, create as create_authority};
pub use removal::{Data, turned_around};
pub use trial::{Tried, try_check};

use crate::catalogue::CatalogueError;
use crate::fleet::{BlobSource, FleetError, Session};
use crate::model::{JobEventKind, Name, Secret, Service};
use crate::vault::{Vault, VaultError};

/// What a host's plan found.
#[derive(Debug, Clone, Serialize)]
pub struct HostPlan {
    /// The host.
    pub host: Name,
    /// What people need to read, one for each section of the report.
    pub parts: Vec<Part>,
    /// What differs.
    pub report: Report,
}

impl HostPlan {
    /// Whether there is anything to do.
    pub fn has_changes(&self) -> bool {
        has_changes(&self.report)
    }
}

/// Whether a report found or did anything.
pub fn has_changes(report: &Report) -> bool {
    !report.handlers.is_empty()
        || report
            .resources
            .iter()
            .any(|resource| resource.action != Action::None)
}

/// Why a host could not be planned or brought about.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// Parameters or templates.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// Secrets.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Archives.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Certificates.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The way to the host.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// Something about one service.
    #[error("{service}: {source}")]
    Service {
        /// "kita-sonne/cloud".
        service: String,
        /// What it is.
        source: Box<ProvisionError>,
    },
    /// The way to the host, or its agent, was lost in the middle.
    #[error(
        "{source}. Nothing is half-written: once {host} can be reached, apply again, and the work goes on from there"
    )]
    CutOff {
        /// The host.
        host: Name,
        /// What happened.
        source: FleetError,
    },
    /// The host stopped before the end.
    #[error("{host} stopped: {reason}")]
    Stopped {
        /// The host.
        host: Name,
        /// What the agent said.
        reason: String,
    },
}

impl ProvisionError {
    fn about(self, service: &Service) -> Self {
        Self::Service {
            service: service.full_name(),
            source: Box::new(self),
        }
    }
}

/// A run that changes a host.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its name in the host's journal.
    pub id: String,
    /// Who asks, for whoever finds the host busy.
    pub holder: String,
}

/// Compares a host with an assembly; changes nothing.
///
/// # Errors
/// See [`ProvisionError`].
pub async fn plan(session: &Session, host: &Name, assembly: Assembly) -> Result<HostPlan, ProvisionError> {
    let report = session.report(Request::Plan(assembly.desired), |_| {}).await?;
    Ok(HostPlan {
        host: host.clone(),
        parts: assembly.parts,
        report,
    })
}

/// Makes a host look like an assembly and reports as it happens.
///
/// Certificates that were issued for it go into the vault first, so that no host has a key that the controller lost.
///
/// # Errors
/// See [`ProvisionError`]; what had been changed by then stays changed, the next apply goes on from there.
pub async fn apply(
    session: &Session,
    host: &Name,
    assembly: Assembly,
    cache: &ArchiveCache,
    vault: &Vault,
    run: &Run,
    notify: &(dyn Fn(JobEventKind) + Send + Sync),
) -> Result<HostPlan, ProvisionError> {
    for (scope, name, certificate) in &assembly.issued {
        let text = serde_json::to_string(certificate).unwrap_or_default();
        vault.put(scope, name, &Secret::new(text)).await?;
    }
    let on_event = |event: Event| {
        notify(JobEventKind::Agent {
            host: host.to_string(),
            event,
        });
    };
    let request = || Request::Apply {
        run: run.id.clone(),
        holder: run.holder.clone(),
        desired: assembly.desired.clone(),
    };
    let mut report = session.report(request(), on_event).await;
    if matches!(&report, Err(FleetError::Refused { refusal, .. }) if refusal.kind == RefusalKind::BlobsMissing)
    {
        send_archives(session, host, &assembly, cache, notify).await?;
        report = session.report(request(), on_event).await;
    }
    let report = report.map_err(|error| match error {
        FleetError::Lost { .. } | FleetError::AgentEnded { .. } | FleetError::AgentSilent { .. } => {
            ProvisionError::CutOff {
                host: host.clone(),
                source: error,
            }
        }
        error => error.into(),
    })?;
    if let Some(reason) = report.stopped {
        return Err(ProvisionError::Stopped {
            host: host.clone(),
            reason,
        });
    }
    Ok(HostPlan {
        host: host.clone(),
        parts: assembly.parts,
        report,
    })
}

/// Sends what the host lacks; what it has is not even looked for here.
async fn send_archives(
    session: &Session,
    host: &Name,
    assembly: &Assembly,
    cache: &ArchiveCache,
    notify: &(dyn Fn(JobEventKind) + Send + Sync),
) -> Result<(), ProvisionError> {
    for (sha256, archive) in &assembly.archives {
        let path = cache.file(archive).await?;
        let what = format!(
            "sending {} to {host}",
            path.file_name().unwrap_or_default().to_string_lossy()
        );
        let progress = |done: u64, total: u64| {
            notify(JobEventKind::Progress {
                what: what.clone(),
                done,
                total,
            });
        };
        session
            .put_blob(BlobSource::File(&path), sha256, progress)
            .await?;
    }
    Ok(())
}
