//! Asking a host how it and its services are, from inside: a look, no job.

use super::{Controller, OperationError};
use crate::catalogue::Check;
use crate::fleet::FleetError;
use crate::health::inside::{Histories, OpenPorts, answers, questions};
use crate::model::{Answer, CheckKey, Host, ServiceRef, Subject};
use crate::provision::host_templates;

/// What is to be asked about a host and the services that are set up on it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Watched {
    /// All checks, from inside and from outside: the host's, then its services'.
    pub checks: Vec<(CheckKey, Check)>,
    /// The ports that its services open in the firewall.
    pub open: OpenPorts,
    /// What could not be worked out: whose checks, and why.
    pub problems: Vec<(Subject, String)>,
}

impl Controller {
    /// What is to be asked about a host and the services that are set up on it. A service that its template refuses costs only
    /// its own checks.
    ///
    /// # Errors
    /// What the store says.
    pub async fn watched(&self, host: &Host) -> Result<Watched, OperationError> {
        let mut services = self.store.services().on_host(&host.name).await?;
        services.retain(|service| service.applied.is_some());
        let mut watched = Watched::default();
        watched.open.tcp.extend([22, host.port]);
        let subject = Subject::Host(host.name.clone());
        for template in host_templates(&self.catalogue, services.iter().map(|service| &*service.template))? {
            match self.care_on_host(&template, host).await {
                Ok((wanted, care)) => {
                    watched.open.add(&wanted);
                    watched.add(&subject, care.checks);
                }
                Err(error) => watched.problems.push((subject.clone(), error.to_string())),
            }
        }
        for service in &services {
            let organisation = self.store.organisations().get(&service.organisation).await?;
            let subject = Subject::Service(ServiceRef {
                organisation: Some(service.organisation.clone()),
                service: service.name.clone(),
            });
            let worked_out = match self.check_requirements(service, host, &organisation) {
                Ok(wanted) => self.care(service).await.map(|care| (wanted, care)),
                Err(error) => Err(error),
            };
            match worked_out {
                Ok((wanted, care)) => {
                    watched.open.add(&wanted);
                    watched.add(&subject, care.checks);
                }
                Err(error) => watched.problems.push((subject, error.to_string())),
            }
        }
        Ok(watched)
    }

    /// Asks all checks of a host and its services that are asked from inside, in one round trip.
    ///
    /// # Errors
    /// Whatever stands in the way to the host.
    pub async fn observe(
        &self,
        host: &Host,
        watched: &Watched,
        histories: &Histories,
    ) -> Result<Vec<(CheckKey, Answer)>, OperationError> {
        let session = self.session(host).await?;
        let observed = session.observe(questions(&watched.checks, &watched.open)).await;
        session.close().await;
        let observed = observed.map_err(|error: FleetError| OperationError::from(error))?;
        Ok(answers(&watched.checks, &observed, histories))
    }
}

impl Watched {
    /// Two host-wide templates may call a check the same: the later one then bears a number.
    fn add(&mut self, subject: &Subject, checks: Vec<Check>) {
        for check in checks {
            let named = |id: String| CheckKey {
                subject: subject.clone(),
                id,
            };
            let ids =
                std::iter::once(check.id.clone()).chain((2..).map(|number| format!("{}-{number}", check.id)));
            let is_free = |key: &CheckKey| self.checks.iter().all(|(other, _)| other != key);
            if let Some(key) = ids.map(named).find(is_free) {
                self.checks.push((key, check));
            }
        }
    }
}
