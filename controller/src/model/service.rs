//! Services: instances of service templates.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{JobId, Name, ServiceRef, instance_name};

/// Values given for the parameters of a template, by name; never secrets, those are in the vault.
pub type Parameters = BTreeMap<String, String>;

/// One instance of a service template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Short name, unique in its organisation.
    pub name: Name,
    /// The organisation it belongs to.
    pub organisation: Name,
    /// The host it lives on.
    pub host: Name,
    /// Its service template.
    pub template: String,
    /// Values that were given; parameters that are not here have their default.
    pub parameters: Parameters,
    /// When an apply first set about bringing it onto its host, however that ended; none when nothing of it can be there.
    pub begun: Option<Timestamp>,
    /// The last apply that ended well; none when it was never set up.
    pub applied: Option<Applied>,
}

/// What the last successful apply brought about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// When it ended.
    pub at: Timestamp,
    /// The job that did it.
    pub job: JobId,
    /// All parameters with the values they had, secrets left out.
    pub parameters: Parameters,
}

impl Service {
    /// What the service is called on its host; see [`instance_name`].
    pub fn instance(&self) -> String {
        instance_name(&self.organisation, &self.name)
    }

    /// `kita-sonne/cloud`.
    pub fn full_name(&self) -> String {
        self.reference().to_string()
    }

    /// How to point at it without any doubt.
    pub fn reference(&self) -> ServiceRef {
        ServiceRef {
            organisation: Some(self.organisation.clone()),
            service: self.name.clone(),
        }
    }
}
