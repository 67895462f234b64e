//! The proof that whatever can be chosen in a template makes a difference: to what its host gets, to what is asked of it, to its
//! backup or to its actions.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{RELEASES, bind, stand_ins, values, variations};
use crate::catalogue::{Catalogue, CatalogueError, Parameter, ParameterType, ServiceTemplate};
use crate::model::{Parameters, Secret};

/// Everything that comes of a template with these values.
fn outcome(
    catalogue: &Catalogue,
    template: &ServiceTemplate,
    given: &Parameters,
    secrets: &BTreeMap<String, Secret>,
    debian: (&str, &str),
) -> Result<String, CatalogueError> {
    let bindings = bind(catalogue, template, given, secrets, debian)?;
    let wanted = catalogue.desired(template, &bindings)?;
    let care = catalogue.care(template, &bindings)?;
    let mut outcome = format!("{wanted:?}{care:?}");
    for (name, action) in &template.manifest.actions {
        let given = values(&action.params).remove(0);
        let call = catalogue.call(template, &bindings, name, &given, &stand_ins(&action.params))?;
        let _ = write!(outcome, "{call:?}");
    }
    Ok(outcome)
}

/// Other values that a parameter may take.
fn others(template: &ServiceTemplate, parameter: &Parameter) -> Vec<String> {
    let one = |value: &str| vec![value.to_owned()];
    match parameter.kind {
        ParameterType::Domain => one("elsewhere.example.net"),
        ParameterType::Email => one("somebody@example.net"),
        ParameterType::Text | ParameterType::Name => [
            "something",
            "something else",
            "https://acme.example.net/directory",
        ]
        .map(str::to_owned)
        .to_vec(),
        ParameterType::Choice => parameter.choices.clone(),
        ParameterType::Integer => [parameter.min.unwrap_or(1), parameter.max.unwrap_or(77)]
            .map(|number| number.to_string())
            .to_vec(),
        ParameterType::Port => one("4711"),
        ParameterType::Boolean => vec!["true".to_owned(), "false".to_owned()],
        ParameterType::Version => {
            let releases = template.manifest.releases.iter();
            releases
                .map(|release| format!("{}.0.9", release.version))
                .collect()
        }
        ParameterType::Path => one("/srv/elsewhere"),
        ParameterType::Source => vec![
            "/srv/elsewhere.tar.gz".to_owned(),
            "https://example.net/x.tar.gz".to_owned(),
        ],
        ParameterType::Sha256 => one(&"ab".repeat(32)),
        ParameterType::Secret => Vec::new(),
    }
}

/// Whether another value of this parameter makes a difference to any of the variations that a template is tried with.
fn matters(catalogue: &Catalogue, template: &ServiceTemplate, name: &str, parameter: &Parameter) -> bool {
    let secrets = stand_ins(&template.manifest.params);
    let mut other_secrets = secrets.clone();
    if parameter.is_secret() {
        let other = "¤".repeat(parameter.generated_length());
        other_secrets.insert(name.to_owned(), Secret::new(other));
    }
    let others = others(template, parameter);
    variations(template).iter().any(|given| {
        let mut changed: Vec<Parameters> = others
            .iter()
            .map(|other| {
                let mut given = given.clone();
                given.insert(name.to_owned(), other.clone());
                given
            })
            .collect();
        if parameter.is_secret() {
            changed.push(given.clone());
        }
        RELEASES.iter().any(|debian| {
            let Ok(before) = outcome(catalogue, template, given, &secrets, *debian) else {
                return false;
            };
            changed.iter().any(|given| {
                outcome(catalogue, template, given, &other_secrets, *debian)
                    .is_ok_and(|after| after != before)
            })
        })
    })
}

#[test]
fn every_parameter_of_every_template_makes_a_difference() {
    let catalogue = Catalogue::load(&[]).expect("loads");
    let idle: Vec<String> = catalogue
        .all()
        .filter(|template| template.manifest.scope != crate::catalogue::Scope::Part)
        .flat_map(|template| {
            let params = template.manifest.params.iter();
            params
                .filter(|(name, parameter)| !matters(&catalogue, template, name, parameter))
                .map(|(name, _)| format!("{}: {name}", template.manifest.name))
        })
        .collect();
    assert_eq!(idle, Vec::<String>::new(), "nothing changes with these");
}

#[test]
fn a_parameter_that_only_a_comment_mentions_makes_none() {
    let catalogue = Catalogue::load(&[]).expect("loads");
    let mut template = catalogue.get("dokuwiki").expect("is there").clone();
    let mut parameter = template.manifest.params["domain"].clone();
    parameter.optional = true;
    template
        .manifest
        .params
        .insert("idle".to_owned(), parameter.clone());
    assert!(!matters(&catalogue, &template, "idle", &parameter));
    assert!(matters(&catalogue, &template, "domain", &parameter));
}

#[test]
fn every_parameter_of_every_action_makes_a_difference() {
    let catalogue = Catalogue::load(&[]).expect("loads");
    let mut idle = Vec::new();
    for template in catalogue.all() {
        let secrets = stand_ins(&template.manifest.params);
        let tried: Vec<_> = variations(template)
            .iter()
            .flat_map(|given| RELEASES.map(|debian| bind(&catalogue, template, given, &secrets, debian)))
            .filter_map(Result::ok)
            .collect();
        for (action, definition) in &template.manifest.actions {
            for (name, parameter) in &definition.params {
                let call = |given: &Parameters, secrets: &BTreeMap<String, Secret>| {
                    tried
                        .iter()
                        .map(|bindings| {
                            catalogue
                                .call(template, bindings, action, given, secrets)
                                .map(|call| format!("{call:?}"))
                                .unwrap_or_default()
                        })
                        .collect::<String>()
                };
                let secrets = stand_ins(&definition.params);
                let matters = values(&definition.params).iter().any(|given| {
                    let before = call(given, &secrets);
                    if parameter.is_secret() {
                        let mut other = secrets.clone();
                        let text = "¤".repeat(parameter.generated_length());
                        other.insert(name.clone(), Secret::new(text));
                        return call(given, &other) != before;
                    }
                    others(template, parameter).into_iter().any(|other| {
                        let mut given = given.clone();
                        given.insert(name.clone(), other);
                        call(&given, &secrets) != before
                    })
                });
                if !matters {
                    idle.push(format!("{}: {action}: {name}", template.manifest.name));
                }
            }
        }
    }
    assert_eq!(idle, Vec::<String>::new(), "nothing changes with these");
}
