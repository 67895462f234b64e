//! The way back: from what a service put on its host to a host without it.

use std::collections::BTreeSet;
use std::path::Path;

use allmende_agent::protocol::{DesiredState, HandlerAct, Resource, Section};
use allmende_agent::resources::{AbsentSpec, RemovalSpec, ResourceSpec, UnitSpec};

use super::assembly::{Assembly, Part};

/// Folders whose files are units.
const UNITS: &str = "/etc/systemd/system/";

/// What becomes of the data of a service that is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// These paths stay, with its databases and its Unix user, whom they belong to.
    Keep(Vec<String>),
    /// Its template does not say where they are: every directory stays with what is in it.
    KeepUnknown,
    /// All of it goes, these paths included.
    Delete(Vec<String>),
}

/// Turns the section of a service around. `assembly` holds the whole host: what other sections want stays as it is.
///
/// Packages stay, for nobody knows who else uses them; so do the traces of commands, but for what the template's `removal` takes
/// away, and its `deletion` with the data. None if the assembly has no such section.
pub fn turned_around(assembly: Assembly, instance: &str, data: &Data) -> Option<Assembly> {
    let Assembly { desired, parts, .. } = assembly;
    let others: BTreeSet<(&str, String)> = desired
        .sections
        .iter()
        .filter(|section| section.name != instance)
        .flat_map(|section| &section.resources)
        .filter_map(|resource| concern(&resource.spec))
        .collect();
    let section = desired.sections.iter().find(|section| section.name == instance)?;
    let part = parts.into_iter().find(|part| part.section == instance)?;
    let mut resources = Vec::new();
    // What the service runs ends before anything is taken away from under it.
    for unit in units(section) {
        let id = format!("stop {unit}");
        resources.push(resource(
            id,
            ResourceSpec::Unit(UnitSpec {
                name: unit,
                enabled: Some(false),
                running: Some(false),
            }),
        ));
    }
    for wanted in section.resources.iter().rev() {
        let concern = concern(&wanted.spec);
        if concern.is_some_and(|concern| others.contains(&concern)) {
            continue;
        }
        if let Some(spec) = opposite(&wanted.spec, instance, data) {
            resources.push(Resource {
                id: wanted.id.clone(),
                spec,
                notify: wanted.notify.clone(),
            });
        }
    }
    let besides = |list: &str, wanted: &[Resource]| -> Vec<Resource> {
        let mut wanted = wanted.to_vec();
        for resource in &mut wanted {
            resource.id = format!("{list}: {}", resource.id);
        }
        wanted
    };
    resources.extend(besides("removal", &part.removal));
    if matches!(data, Data::Delete(_)) {
        resources.extend(besides("deletion", &part.deletion));
    }
    let stopped: BTreeSet<String> = resources
        .iter()
        .filter_map(|resource| match &resource.spec {
            ResourceSpec::Unit(unit) if unit.running == Some(false) => Some(unit.name.clone()),
            _ => None,
        })
        .collect();
    let mut handlers = section.handlers.clone();
    handlers.retain(|handler| match &handler.act {
        HandlerAct::Unit { unit, .. } => !stopped.contains(unit),
        HandlerAct::Command { .. } => true,
    });
    let known: BTreeSet<&String> = handlers.iter().map(|handler| &handler.id).collect();
    for resource in &mut resources {
        resource.notify.retain(|id| known.contains(id));
    }
    Some(Assembly {
        desired: DesiredState {
            sections: vec![Section {
                name: instance.to_owned(),
                resources,
                handlers,
            }],
            secrets: desired.secrets,
        },
        parts: vec![Part {
            url: None,
            login: None,
            notes: Vec::new(),
            ..part
        }],
        archives: std::collections::BTreeMap::new(),
        issued: Vec::new(),
    })
}

fn resource(id: String, spec: ResourceSpec) -> Resource {
    Resource {
        id,
        spec,
        notify: Vec::new(),
    }
}

/// The units whose files the service brought along.
fn units(section: &Section) -> impl Iterator<Item = String> {
    section
        .resources
        .iter()
        .filter_map(|resource| match &resource.spec {
            ResourceSpec::File(file) => {
                let name = file.path.strip_prefix(UNITS)?;
                (!name.contains('/')).then(|| name.to_owned())
            }
            _ => None,
        })
}

/// What a resource is about, so that two services that want the same thing are noticed.
fn concern(spec: &ResourceSpec) -> Option<(&'static str, String)> {
    Some(match spec {
        ResourceSpec::File(spec) => ("path", spec.path.clone()),
        ResourceSpec::Link(spec) => ("path", spec.path.clone()),
        ResourceSpec::Directory(spec) => ("path", spec.path.clone()),
        ResourceSpec::Archive(spec) => ("path", spec.path.clone()),
        ResourceSpec::Line(spec) => ("line", format!("{} {}", spec.path, spec.line)),
        ResourceSpec::Unit(spec) => ("unit", spec.name.clone()),
        ResourceSpec::User(spec) => ("user", spec.name.clone()),
        ResourceSpec::Group(spec) => ("group", spec.name.clone()),
        ResourceSpec::Firewall(spec) => ("firewall", spec.name.clone()),
        ResourceSpec::PostgresDatabase(spec) => ("postgres database", spec.name.clone()),
        ResourceSpec::PostgresRole(spec) => ("postgres role", spec.name.clone()),
        ResourceSpec::MariadbDatabase(spec) => ("mariadb database", spec.name.clone()),
        ResourceSpec::MariadbUser(spec) => ("mariadb user", spec.name.clone()),
        ResourceSpec::Absent(_)
        | ResourceSpec::Command(_)
        | ResourceSpec::Package(_)
        | ResourceSpec::Removal(_) => return None,
    })
}

/// What undoes a resource; nothing where it stays.
fn opposite(spec: &ResourceSpec, instance: &str, data: &Data) -> Option<ResourceSpec> {
    let removal = |spec| Some(ResourceSpec::Removal(spec));
    let is_kept = |path: &String| match data {
        Data::Keep(paths) => paths.iter().any(|kept| Path::new(path).starts_with(kept)),
        Data::KeepUnknown | Data::Delete(_) => false,
    };
    let tree = |path: &String| match data {
        _ if is_kept(path) => None,
        Data::Keep(paths) if is_own(path, instance) => removal(RemovalSpec::Tree {
            path: path.clone(),
            keep: paths.clone(),
        }),
        Data::Delete(paths) if is_own(path, instance) || paths.contains(path) => removal(RemovalSpec::Tree {
            path: path.clone(),
            keep: Vec::new(),
        }),
        // Nobody knows what is in it, or others may use it as well.
        Data::KeepUnknown | Data::Keep(_) | Data::Delete(_) => None,
    };
    let path =
        |path: &String| (!is_kept(path)).then(|| ResourceSpec::Absent(AbsentSpec { path: path.clone() }));
    let goes = matches!(data, Data::Delete(_));
    match spec {
        ResourceSpec::File(spec) => path(&spec.path),
        ResourceSpec::Link(spec) => path(&spec.path),
        ResourceSpec::Directory(spec) => tree(&spec.path),
        ResourceSpec::Archive(spec) => tree(&spec.path),
        ResourceSpec::Line(spec) => removal(RemovalSpec::Line {
            path: spec.path.clone(),
            line: spec.line.clone(),
        }),
        ResourceSpec::Firewall(spec) => removal(RemovalSpec::Firewall {
            name: spec.name.clone(),
        }),
        ResourceSpec::Unit(spec) if spec.running == Some(true) || spec.enabled == Some(true) => {
            Some(ResourceSpec::Unit(UnitSpec {
                name: spec.name.clone(),
                enabled: Some(false),
                running: Some(false),
            }))
        }
        ResourceSpec::User(spec) if goes => removal(RemovalSpec::User {
            name: spec.name.clone(),
        }),
        ResourceSpec::Group(spec) if goes => removal(RemovalSpec::Group {
            name: spec.name.clone(),
        }),
        ResourceSpec::PostgresDatabase(spec) if goes => removal(RemovalSpec::PostgresDatabase {
            name: spec.name.clone(),
        }),
        ResourceSpec::PostgresRole(spec) if goes => removal(RemovalSpec::PostgresRole {
            name: spec.name.clone(),
        }),
        ResourceSpec::MariadbDatabase(spec) if goes => removal(RemovalSpec::MariadbDatabase {
            name: spec.name.clone(),
        }),
        ResourceSpec::MariadbUser(spec) if goes => removal(RemovalSpec::MariadbUser {
            name: spec.name.clone(),
        }),
        _ => None,
    }
}

/// Whether a path lies in something that carries the service's own name.
fn is_own(path: &str, instance: &str) -> bool {
    Path::new(path)
        .components()
        .any(|component| component.as_os_str() == instance)
}
