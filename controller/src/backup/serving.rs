//! Which targets serve a service.

use crate::model::{Name, Target, TargetKind};

/// The targets of an organisation's services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving<'a> {
    /// The one that hosts write to; without it there are no backups.
    pub first: Option<&'a Target>,
    /// Those that get copies of what is in the first.
    pub copies: Vec<&'a Target>,
}

impl<'a> Serving<'a> {
    /// All targets that are the organisation's or everybody's serve it. Of these, hosts write to the oldest that is a disk of the
    /// controller's: the only kind for which no host needs a password.
    pub fn of(organisation: &Name, targets: &'a [Target]) -> Self {
        let serves =
            |target: &&Target| target.organisations.is_empty() || target.organisations.contains(organisation);
        let mut copies: Vec<&Target> = targets.iter().filter(serves).collect();
        copies.sort_by_key(|target| target.created_at);
        let first = copies
            .iter()
            .position(|target| target.location.kind() == TargetKind::Disk)
            .map(|place| copies.remove(place));
        Self { first, copies }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::{Location, Retention};

    fn target(name: &str, disk: bool, age: i64, organisations: &[&str]) -> Target {
        Target {
            name: name.parse().expect(name),
            location: if disk {
                Location::Disk {
                    folder: format!("/srv/{name}").into(),
                    mounted: false,
                }
            } else {
                Location::Rest {
                    url: "https://backup.example.org".to_owned(),
                    user: None,
                }
            },
            place: None,
            retention: Retention::USUAL,
            quota_bytes: None,
            monthly_cost: None,
            organisations: organisations
                .iter()
                .map(|name| name.parse().expect("a name"))
                .collect(),
            created_at: Timestamp::from_second(1_000_000 - age).expect("a time"),
        }
    }

    fn serving(targets: &[Target], organisation: &str) -> (Option<String>, Vec<String>) {
        let serving = Serving::of(&organisation.parse().expect("a name"), targets);
        (
            serving.first.map(|target| target.name.to_string()),
            serving
                .copies
                .iter()
                .map(|target| target.name.to_string())
                .collect(),
        )
    }

    #[test]
    fn hosts_write_to_the_oldest_disk_and_the_others_get_copies() {
        let targets = [
            target("new-disk", true, 1, &[]),
            target("old-disk", true, 2, &[]),
            target("far", false, 3, &[]),
        ];
        let copies = vec!["far".to_owned(), "new-disk".to_owned()];
        assert_eq!(
            serving(&targets, "kita-sonne"),
            (Some("old-disk".to_owned()), copies)
        );
    }

    #[test]
    fn a_target_of_others_serves_nobody_else() {
        let targets = [
            target("theirs", true, 9, &["wg-nord"]),
            target("ours", true, 1, &["kita-sonne", "wg-nord"]),
        ];
        assert_eq!(serving(&targets, "kita-sonne"), (Some("ours".to_owned()), vec![]));
        assert_eq!(
            serving(&targets, "wg-nord"),
            (Some("theirs".to_owned()), vec!["ours".to_owned()])
        );
    }

    #[test]
    fn without_a_disk_nothing_can_be_written() {
        let targets = [target("far", false, 1, &[])];
        assert_eq!(serving(&targets, "kita-sonne"), (None, vec!["far".to_owned()]));
        assert_eq!(serving(&[], "kita-sonne"), (None, vec![]));
    }
}
