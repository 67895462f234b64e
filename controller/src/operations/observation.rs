//! Asking a host how it and its services are, from inside: a look, no job.

use super::{Controller, OperationError, Watched};
use crate::catalogue::Check;
use crate::fleet::Session;
use crate::health::inside::{Histories, OpenPorts, answers, questions};
use crate::model::{Answer, CheckKey, Host};
use crate::provision::host_templates;

impl Controller {
    /// The ports that a host and the services that are set up on it open to everybody.
    ///
    /// # Errors
    /// What the store says, or why a template refuses its service.
    pub async fn open_ports(&self, host: &Host) -> Result<OpenPorts, OperationError> {
        let mut services = self.store.services().on_host(&host.name).await?;
        services.retain(|service| service.applied.is_some());
        let owner = match &host.organisation {
            Some(name) => Some(self.store.organisations().get(name).await?),
            None => None,
        };
        let mut open = OpenPorts::default();
        open.tcp.extend([22, host.port]);
        for template in host_templates(&self.catalogue, services.iter().map(|service| &*service.template))? {
            open.add(&self.wanted_on_host(&template, host, owner.as_ref())?);
        }
        for service in &services {
            let organisation = self.store.organisations().get(&service.organisation).await?;
            open.add(&self.check_requirements(service, host, &organisation)?);
        }
        Ok(open)
    }

    /// Asks a host's agent those of these checks that are asked from inside, all in one round trip.
    ///
    /// # Errors
    /// What stands in the way.
    pub async fn observe(
        &self,
        session: &Session,
        checks: &[Watched],
        open: &OpenPorts,
        histories: &Histories,
    ) -> Result<Vec<(CheckKey, Answer)>, OperationError> {
        let checks: Vec<(CheckKey, Check)> = checks
            .iter()
            .map(|watched| (watched.key.clone(), Check::clone(&watched.check)))
            .collect();
        let observed = session.observe(questions(&checks, open)).await?;
        Ok(answers(&checks, &observed, histories))
    }
}
