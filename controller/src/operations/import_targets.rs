//! Taking over the targets of an inventory: what is known about them, not what they hold.

use super::import::{Changes, ImportInventory, differences, known};
use super::organisation::check_optional;
use super::{Controller, OperationError};
use crate::fleet::fingerprint;
use crate::model::{Location, Name, TargetEntry};

impl ImportInventory {
    /// Compares a target with what is known. Its folder is made, and its password kept, only by `target edit`.
    pub(super) async fn target(
        &self,
        controller: &Controller,
        name: &Name,
        entry: &TargetEntry,
        changes: &mut Changes,
    ) -> Result<(), OperationError> {
        let refuse = |reason: String| Err(OperationError::Refused(format!("target {name}: {reason}")));
        check_optional(&format!("the place of {name}"), entry.place.as_ref())?;
        for organisation in &entry.organisations {
            self.organisation_named(controller, organisation).await?;
        }
        if let Location::Sftp { host_key, .. } = &entry.location
            && let Err(error) = fingerprint(host_key)
        {
            return refuse(format!("its host_key makes no sense: {error}"));
        }
        let mut wanted = entry.named(name);
        match known(controller.store.targets().get(name).await)? {
            None => {
                let next = match &entry.location {
                    Location::Disk { folder, .. } => {
                        format!(
                            "when its disk is here: allmende target edit {name} --disk {}",
                            folder.display()
                        )
                    }
                    _ => format!("its password is asked for by: allmende target edit {name} --secret"),
                };
                changes.sentences.push(format!("target {name}: added; {next}"));
                changes.new_targets.push(wanted);
            }
            Some(known) => {
                if known.location.kind() != wanted.location.kind() {
                    return refuse(format!(
                        "it is of the kind {} here and cannot become {}",
                        known.location.kind(),
                        wanted.location.kind()
                    ));
                }
                wanted.created_at = known.created_at;
                let fields = differences(&TargetEntry::from(&known), &TargetEntry::from(&wanted));
                if !fields.is_empty() {
                    changes.sentences.push(format!("target {name}: {fields}"));
                    changes.targets.push(wanted);
                }
            }
        }
        Ok(())
    }
}
