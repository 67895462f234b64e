//! What may change of a service that is set up.

use super::error::CatalogueError;
use super::template::{Manifest, Step};
use crate::model::Parameters;
use crate::model::Text;

/// Refuses a change of a fixed parameter, and one of the parameter `version` that the template's `[upgrade]` does not allow.
pub fn check(manifest: &Manifest, from: &Parameters, to: &Parameters) -> Result<(), CatalogueError> {
    for (name, parameter) in &manifest.params {
        if let (Some(reason), Some(from), Some(to)) = (&parameter.fixed, from.get(name), to.get(name))
            && from != to
        {
            return Err(refusal(
                format!("{name} bleibt {from}: {}", reason.de),
                format!("{name} stays {from}: {}", reason.en),
            ));
        }
    }
    version(manifest, from, to)
}

fn version(manifest: &Manifest, from: &Parameters, to: &Parameters) -> Result<(), CatalogueError> {
    let (Some(upgrade), Some(from), Some(to)) = (manifest.upgrade, from.get("version"), to.get("version"))
    else {
        return Ok(());
    };
    let Step::Major = upgrade.step;
    let (old, new) = (components(from), components(to));
    if new < old {
        return Err(refusal(
            format!(
                "{from} ist eingerichtet, {to} wäre ein Rückschritt. Ein Rückschritt ist nur mit einem Backup von damals möglich."
            ),
            format!(
                "{from} is set up, {to} would be a step back. Going back is only possible with a backup from then."
            ),
        ));
    }
    let position = |version: &[u64]| {
        manifest
            .releases
            .iter()
            .position(|release| version.starts_with(&components(&release.version)))
    };
    match (position(&old), position(&new)) {
        (Some(old), Some(new)) if new > old + 1 => {
            let next = &manifest.releases[old + 1].version;
            Err(refusal(
                format!(
                    "{from} ist eingerichtet. Von dort geht es nur eine Hauptversion weiter: erst auf {next}, dann auf {to}."
                ),
                format!(
                    "{from} is set up. From there it goes on by one major version only: first to {next}, then to {to}."
                ),
            ))
        }
        _ => Ok(()),
    }
}

fn refusal(de: String, en: String) -> CatalogueError {
    CatalogueError::Requirement(Text { de, en })
}

fn components(version: &str) -> Vec<u64> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        toml::from_str(
            r#"
            format = 1
            name = "x"
            title = { de = "x", en = "x" }
            summary = { de = "x", en = "x" }
            releases = [{ version = "32" }, { version = "33" }, { version = "34" }]
            upgrade = { step = "major" }
            "#,
        )
        .expect("parses")
    }

    fn allowed(from: &str, to: &str) -> bool {
        let version = |version: &str| Parameters::from([("version".to_owned(), version.to_owned())]);
        check(&manifest(), &version(from), &version(to)).is_ok()
    }

    #[test]
    fn one_major_at_a_time_and_never_back() {
        assert!(allowed("34.0.1", "34.0.1"));
        assert!(allowed("34.0.1", "34.0.10"));
        assert!(allowed("32.0.1", "33.0.0"));
        assert!(!allowed("32.0.1", "34.0.1"));
        assert!(!allowed("34.0.10", "34.0.2"));
        assert!(!allowed("34.0.1", "33.0.9"));
    }

    #[test]
    fn what_is_fixed_stays_and_says_why() {
        let manifest: Manifest = toml::from_str(
            "format = 1\nname = 'x'\ntitle = { de = '', en = '' }\nsummary = { de = '', en = '' }\n\
             [params.place]\ntype = 'path'\nhelp = { de = '', en = '' }\nfixed = { de = 'es geht nicht', en = 'it does not work' }\n",
        )
        .expect("a manifest");
        let place = |path: &str| Parameters::from([("place".to_owned(), path.to_owned())]);
        assert!(check(&manifest, &place("/a"), &place("/a")).is_ok());
        assert!(check(&manifest, &Parameters::new(), &place("/a")).is_ok());
        let refused = check(&manifest, &place("/a"), &place("/b")).expect_err("refused");
        assert!(
            refused.to_string().contains("place stays /a: it does not work"),
            "{refused}"
        );
    }
}
