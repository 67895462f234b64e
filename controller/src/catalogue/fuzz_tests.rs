//! Templates, parameters and facts may hold anything: no panic, and no more memory than they deserve.

use allmende_agent::protocol::Facts;
use proptest::prelude::*;

use super::*;
use crate::fuzz::{corpus, peak_of, spoiled};

/// All templates of the program, and what the corpus keeps.
fn manifests() -> Vec<Vec<u8>> {
    let mut all = corpus("service.toml");
    for folder in EMBEDDED.dirs() {
        let source = folder.get_file(folder.path().join("service.toml"));
        all.extend(source.map(|file| file.contents().to_vec()));
    }
    all
}

/// What working with a template of this size may hold: its values many times over, for each resource has its own.
fn limit(bytes: usize) -> usize {
    16 * 1024 * 1024 + 1024 * bytes
}

/// A quarter of the cases that others get, for each takes longer.
fn few() -> ProptestConfig {
    let mut config = ProptestConfig::default();
    config.cases = config.cases.div_ceil(4);
    config
}

proptest! {
    #![proptest_config(few())]
    #[test]
    fn a_template_with_its_parameters_and_facts_may_hold_anything(
        text in spoiled(manifests()),
        value in ".{0,40}",
        fact in ".{0,40}",
        number: u64,
    ) {
        let text = String::from_utf8_lossy(&text).into_owned();
        let peak = peak_of(|| work_with(&text, &value, &fact, number));
        prop_assert!(peak <= limit(text.len()), "{peak} bytes for {}", text.len());
    }
}

fn work_with(text: &str, value: &str, fact: &str, number: u64) {
    let named = toml::from_str::<toml::Table>(text).ok();
    let name = named.and_then(|table| Some(table.get("name")?.as_str()?.to_owned()));
    let Ok(manifest) = parse(&name.unwrap_or_default(), text) else {
        return;
    };
    let template = ServiceTemplate {
        manifest,
        files: BTreeMap::new(),
        folder: None,
    };
    let catalogue = Catalogue {
        broken: BTreeMap::new(),
        templates: BTreeMap::new(),
        renderer: Renderer::new(),
    };
    let facts = Facts {
        os: fact.to_owned(),
        release: fact.to_owned(),
        memory_mb: number,
        ..Facts::default()
    };
    let surroundings = Surroundings {
        service: "cloud",
        instance: "kita-sonne_cloud",
        organisation: None,
        host: "web1",
        address: fact,
        ssh_port: 22,
        facts: &facts,
        ca_certificate: "",
    };
    let params = &template.manifest.params;
    // Once with what was given, once with what the template itself shows as examples.
    let odd: Parameters = params
        .keys()
        .map(|name| (name.clone(), value.to_owned()))
        .collect();
    let fitting: Parameters = params
        .iter()
        .filter_map(|(name, parameter)| Some((name.clone(), parameter.example.clone()?)))
        .collect();
    let secrets = params
        .iter()
        .filter(|(_, parameter)| parameter.is_secret())
        .map(|(name, _)| (name.clone(), Secret::new(value.to_owned())))
        .collect();
    for given in [odd, fitting] {
        let _ = template.check_given(&given);
        if let Ok(bindings) = catalogue.bind(&template, &given, &secrets, &surroundings) {
            let _ = catalogue.desired(&template, &bindings);
        }
    }
    let _ = lint(&catalogue, &template);
}
