//! What depends on what: of one fault, the cause is told and not its consequences.
//!
//! - Whatever hangs on a host depends on the host being reached.
//! - A check depends on those that it names (`needs`): of the same service, or of its host.
//! - Failed units and differences from what was set up may have a cause that is known more precisely: they depend on all checks of
//!   units on their host.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::questions::Item;
use crate::model::{CheckKey, Name, Subject};

/// The check that says whether a host is reached.
const CONTACT: &str = "contact";

/// Sets for each item what it depends on, with all that those depend on.
pub fn find(items: &mut [Item]) {
    let mut direct: HashMap<CheckKey, BTreeSet<CheckKey>> = HashMap::new();
    let mut units: BTreeMap<&Name, Vec<&CheckKey>> = BTreeMap::new();
    let keys: BTreeSet<&CheckKey> = items.iter().map(|item| &item.key).collect();
    for item in items.iter().filter(|item| item.is_unit()) {
        if let Some(host) = item.host_name() {
            units.entry(host).or_default().push(&item.key);
        }
    }
    for item in items.iter() {
        let Some(host) = item.host_name() else {
            continue;
        };
        let at_host = |id: &str| CheckKey {
            subject: Subject::Host(host.clone()),
            id: id.to_owned(),
        };
        let mut on = BTreeSet::from([at_host(CONTACT)]);
        for id in item.needs() {
            let own = CheckKey {
                subject: item.key.subject.clone(),
                id: id.clone(),
            };
            on.insert(if keys.contains(&own) { own } else { at_host(id) });
        }
        if item.is_overview() {
            on.extend(units.get(host).into_iter().flatten().copied().cloned());
        }
        on.retain(|key| *key != item.key && keys.contains(key));
        direct.insert(item.key.clone(), on);
    }
    for item in items {
        item.depends_on = closure(&item.key, &direct);
    }
}

/// All that can be reached from a check; circles end where they began.
fn closure(key: &CheckKey, direct: &HashMap<CheckKey, BTreeSet<CheckKey>>) -> Vec<CheckKey> {
    let mut found = BTreeSet::new();
    let mut open = vec![key];
    while let Some(key) = open.pop() {
        for next in direct.get(key).into_iter().flatten() {
            if found.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    found.remove(key);
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_depends_on_what_its_causes_depend_on_and_never_on_itself() {
        let key = |text: &str| text.parse::<CheckKey>().expect(text);
        let direct = [
            ("kita/cloud:setup", "kita/cloud:page"),
            ("kita/cloud:page", "web1:nginx"),
            ("web1:nginx", "web1:contact"),
            // Somebody added two that name each other.
            ("web1:a", "web1:b"),
            ("web1:b", "web1:a"),
        ];
        let direct = direct
            .into_iter()
            .map(|(check, cause)| (key(check), BTreeSet::from([key(cause)])))
            .collect();
        let found = |check: &str| {
            closure(&key(check), &direct)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(found("web1:contact"), Vec::<String>::new());
        assert_eq!(
            found("kita/cloud:setup"),
            ["web1:contact", "web1:nginx", "kita/cloud:page"]
        );
        assert_eq!(found("web1:a"), ["web1:b"]);
    }
}
