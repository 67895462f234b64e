//! Whole templates: what binding and rendering refuse, and what they produce.

use std::collections::BTreeMap;
use std::fs;

use allmende_agent::protocol::Facts;
use allmende_agent::resources::ResourceSpec;
use tempfile::TempDir;

use super::*;
use crate::model::{Organisation, Sector};

/// A catalogue with one template `x` whose `service.toml` ends with this text.
pub(super) fn catalogue(rest: &str) -> Result<(TempDir, Catalogue), CatalogueError> {
    let folder = TempDir::new().expect("a temporary folder");
    let template = folder.path().join("x");
    fs::create_dir_all(template.join("files")).expect("made");
    let head = r#"
        format = 1
        name = "x"
        title = { de = "X", en = "X" }
        summary = { de = "Ein Dienst.", en = "A service." }
        [params.domain]
        type = "domain"
        example = "cloud.example.org"
        help = { de = "Adresse", en = "Address" }
        [params.password]
        type = "secret"
        help = { de = "Passwort", en = "Password" }
    "#;
    fs::write(template.join("service.toml"), format!("{head}\n{rest}")).expect("written");
    fs::write(
        template.join("files/site.conf.j2"),
        "server_name {{ domain }};\n{%- if host.container %}\n# container\n{%- endif %}\n",
    )
    .expect("written");
    let catalogue = Catalogue::load(&[folder.path().to_owned()])?;
    catalogue.get("x")?;
    Ok((folder, catalogue))
}

/// The variables of the template `x`, on a host that runs Debian 12.
pub(super) fn bound(catalogue: &Catalogue, given: &[(&str, &str)]) -> Result<Bindings, CatalogueError> {
    let given: Parameters = given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let secrets = BTreeMap::from([("password".to_owned(), Secret::new("s3cret-s3cret".to_owned()))]);
    let facts = Facts {
        os: "debian".to_owned(),
        release: "12".to_owned(),
        ..Facts::default()
    };
    let organisation = Organisation {
        name: "kita-sonne".parse().expect("a name"),
        title: "KiTa Sonne e.V.".to_owned(),
        sector: Sector::Kita,
        place: None,
        contacts: Vec::new(),
    };
    let surroundings = Surroundings {
        service: "cloud",
        instance: "kita-sonne_cloud",
        organisation: Some(&organisation),
        host: "web1",
        address: "192.0.2.1",
        ssh_port: 22,
        facts: &facts,
        ca_certificate: "",
    };
    catalogue.bind(catalogue.get("x")?, &given, &secrets, &surroundings)
}

fn build(rest: &str, given: &[(&str, &str)]) -> Result<Wanted, CatalogueError> {
    let (_folder, catalogue) = catalogue(rest)?;
    let bindings = bound(&catalogue, given)?;
    catalogue.desired(catalogue.get("x")?, &bindings)
}

/// The sections of a template `x` whose `service.toml` ends with this text.
pub(super) fn care(rest: &str) -> Result<Care, CatalogueError> {
    let (_folder, catalogue) = catalogue(rest)?;
    let bindings = bound(&catalogue, &GIVEN)?;
    catalogue.care(catalogue.get("x")?, &bindings)
}

pub(super) const GIVEN: [(&str, &str); 1] = [("domain", "cloud.kita.test")];

fn refused(rest: &str) -> String {
    build(rest, &GIVEN).expect_err(rest).to_string()
}

#[test]
fn conditions_lists_and_files_become_resources() {
    let wanted = build(
        r#"
        [vars]
        packages = ["php-fpm", "php-{{ kind }}"]
        kind = "{{ 'xml' if host.release == '12' else 'dom' }}"
        [headings]
        web = { de = "Webserver", en = "Web server" }
        [[resources]]
        kind = "package"
        names = "{{ packages }}"
        [[resources]]
        id = "dir-{{ item }}"
        kind = "directory"
        for_each = "['data', 'log']"
        path = "/srv/{{ service.instance }}/{{ item }}"
        [[resources]]
        kind = "line"
        when = "host.container"
        path = "/etc/x"
        line = "x"
        [[resources]]
        kind = "file"
        heading = "web"
        path = "/etc/nginx/{{ service.instance }}"
        template = "site.conf.j2"
        notify = ["nginx"]
        [[handlers]]
        id = "nginx"
        unit = "nginx.service"
        action = "reload"
        "#,
        &GIVEN,
    )
    .expect("builds");
    let ids: Vec<&str> = wanted
        .resources
        .iter()
        .map(|resource| resource.id.as_str())
        .collect();
    assert_eq!(
        ids,
        [
            "package php-fpm php-xml",
            "dir-data",
            "dir-log",
            "file /etc/nginx/kita-sonne_cloud"
        ]
    );
    let WantedSpec::Ready(ResourceSpec::File(file)) = &wanted.resources[3].spec else {
        panic!("not a file");
    };
    assert_eq!(file.content, "server_name cloud.kita.test;\n");
}

#[test]
fn a_circle_of_variables_is_named() {
    let error = refused("[vars]\na = \"{{ b }}\"\nb = \"{{ c }}\"\nc = \"x{{ a }}\"");
    assert!(error.contains("a circle: a → b → c → a"), "{error}");
}

#[test]
fn an_unknown_field_is_named_with_its_place() {
    let error = refused(
        "[[resources]]\nid = \"f\"\nkind = \"file\"\npath = \"/x\"\ncontent = \"\"\nmodus = \"0644\"",
    );
    assert!(error.contains("resources, f: unknown field `modus`"), "{error}");
    let error = refused("[parms.x]\ntype = \"text\"");
    assert!(error.contains("unknown field `parms`"), "{error}");
    let error = refused("[[resources]]\nkind = \"fiel\"\npath = \"/x\"");
    assert!(error.contains("unknown variant `fiel`"), "{error}");
    let error = refused("[[handlers]]\nid = \"x\"\nunit = \"x.service\"\naction = \"reload\"\nwhen = \"1\"");
    assert!(error.contains("unknown field \"when\""), "{error}");
}

#[test]
fn an_undefined_variable_is_named_with_its_place() {
    let error = refused("[[resources]]\nid = \"d\"\nkind = \"directory\"\npath = \"/srv/{{ domian }}\"");
    assert!(
        error.contains("resources, d, path: undefined variable domian"),
        "{error}"
    );
}

#[test]
fn a_notification_needs_its_handler_and_an_id_is_unique() {
    let error = refused("[[resources]]\nkind = \"directory\"\npath = \"/x\"\nnotify = [\"ngnix\"]");
    assert!(error.contains("no such handler"), "{error}");
    let twice = "[[resources]]\nkind = \"directory\"\npath = \"/x\"\n";
    assert!(refused(&twice.repeat(2)).contains("second resource with the id"));
}

#[test]
fn a_value_never_changes_the_structure_around_it() {
    let rest = r#"
        [params.title]
        type = "text"
        example = "x"
        help = { de = "Titel", en = "Title" }
        [[resources]]
        kind = "file"
        path = "/x"
        content = "{{ title }}"
    "#;
    let evil = "\", owner = \"x\" }\\n[[resources]] {{ password }} {% raw %}";
    let wanted = build(rest, &[GIVEN[0], ("title", evil)]).expect("builds");
    assert_eq!(wanted.resources.len(), 1);
    let WantedSpec::Ready(ResourceSpec::File(file)) = &wanted.resources[0].spec else {
        panic!("not a file");
    };
    assert_eq!(file.content, evil);
}

#[test]
fn wrong_and_missing_values_are_told_together() {
    let error = build("", &[("domain", "Not A Domain"), ("colour", "red")])
        .expect_err("refused")
        .to_string();
    assert!(error.contains("2 values are wrong"), "{error}");
    assert!(error.contains("no parameter \"colour\""), "{error}");
    assert!(error.contains("expected a domain"), "{error}");
    let error = build("", &[]).expect_err("refused").to_string();
    assert!(error.contains("--set domain=cloud.example.org"), "{error}");
}

#[test]
fn a_requirement_speaks_to_people() {
    let rest = r#"
        [[requirements]]
        that = "host.release == '13'"
        message = { de = "Braucht Debian 13.", en = "Needs Debian 13, {{ host.name }} runs {{ host.release }}." }
    "#;
    assert_eq!(refused(rest), "Needs Debian 13, web1 runs 12.");
}

#[test]
fn a_version_without_release_is_refused_once_with_the_list() {
    let rest = r#"
        releases = 0
    "#;
    assert!(catalogue(rest).is_err());
    let rest = r#"
        [params.version]
        type = "version"
        default = "34.0.1"
        help = { de = "Version", en = "Version" }
        [[releases]]
        version = "33"
        [[releases]]
        version = "34"
        php = "8.2"
        [vars]
        php = "{{ release.php }}"
    "#;
    build(rest, &GIVEN).expect("the default is supported");
    let error = build(rest, &[GIVEN[0], ("version", "3.4")])
        .expect_err("refused")
        .to_string();
    assert_eq!(error, "version: 3.4 is not supported; supported are 33, 34");
}

#[test]
fn a_release_may_be_the_one_that_the_hosts_system_ships() {
    let release = |system: &str| {
        let rest =
            format!("[[releases]]\nversion = \"1.22\"\nhost = \"{system}\"\nend_of_life = \"2028-06-30\"\n");
        let (_folder, catalogue) = catalogue(&rest).expect("loads");
        bound(&catalogue, &GIVEN).expect("binds").release
    };
    let release_there = release("debian 12").expect("it is the host's system");
    assert_eq!(release_there.version, "1.22");
    assert_eq!(release_there.end_of_life, Some(jiff::civil::date(2028, 6, 30)));
    assert!(release("debian 13").is_none());
    // A system that no release names is the template's to refuse.
    let rest = r#"
        [[releases]]
        version = "1.26"
        host = "debian 13"
        [[requirements]]
        that = "release is defined"
        message = { de = "Nicht auf {{ host.os }} {{ host.release }}.", en = "Not on {{ host.os }} {{ host.release }}." }
        [[checks]]
        id = "end-of-life"
        kind = "date"
        when = "release is defined"
        title = { de = "{{ release.version }}", en = "{{ release.version }}" }
        advice = { de = "Neuer", en = "Newer" }
        every = "1d"
        date = "{{ release.end_of_life }}"
    "#;
    assert_eq!(refused(rest), "Not on debian 12.");
    assert_eq!(care(rest).expect("is watched all the same").checks.len(), 0);
}

#[test]
fn releases_go_by_the_hosts_system_all_of_them_or_by_a_parameter() {
    let finding = |rest: &str| {
        let (_folder, catalogue) = catalogue(rest).expect("loads");
        let findings = lint(&catalogue, catalogue.get("x").expect("is there"));
        findings
            .into_iter()
            .map(|finding| finding.0)
            .find(|finding| finding.starts_with("releases"))
    };
    let of = |fields: &str| format!("[[releases]]\nversion = \"1\"\n{fields}\n");
    let system = of("host = \"debian 12\"");
    assert_eq!(finding(&system), None);
    let mixed = finding(&(system + &of(""))).expect("a finding");
    assert!(
        mixed.contains("releases, 1: others have the field host"),
        "{mixed}"
    );
    let neither = finding(&of("")).expect("a finding");
    assert!(
        neither.contains("a parameter version, or each of them"),
        "{neither}"
    );
}

#[test]
fn templates_that_require_each_other_are_a_circle() {
    let (_folder, catalogue) = catalogue("").expect("loads");
    assert!(catalogue.with_requirements("x").is_ok());
    let folder = TempDir::new().expect("a temporary folder");
    for (name, required) in [("a", "b"), ("b", "a")] {
        let template = folder.path().join(name);
        fs::create_dir_all(&template).expect("made");
        let text = format!(
            "format = 1\nname = \"{name}\"\ntitle = {{ de = \"A\", en = \"A\" }}\nsummary = {{ de = \"A\", en = \"A\" }}\nrequires = [\"{required}\"]"
        );
        fs::write(template.join("service.toml"), text).expect("written");
    }
    let catalogue = Catalogue::load(&[folder.path().to_owned()]).expect("loads");
    let error = catalogue
        .with_requirements("a")
        .map(drop)
        .expect_err("refused")
        .to_string();
    assert!(error.contains("a circle: a → b → a"), "{error}");
}

#[test]
fn a_broken_template_stands_in_nobodys_way_but_its_own_and_that_of_what_includes_it() {
    let folder = TempDir::new().expect("a folder");
    for name in ["postgres", "mine"] {
        let template = folder.path().join(name);
        fs::create_dir(&template).expect("a folder");
        fs::write(template.join("service.toml"), "format = 1\nnam = 2\n").expect("written");
    }
    let catalogue = Catalogue::load(&[folder.path().to_owned()]).expect("loads");
    assert!(catalogue.get("dokuwiki").is_ok());
    // Neither the program's own postgres instead of the broken one, nor a cloud without its database.
    for name in ["mine", "postgres", "nextcloud"] {
        let error = catalogue.get(name).map(drop).expect_err(name).to_string();
        assert!(error.contains("nam") || error.contains("postgres"), "{error}");
    }
    let broken: Vec<&str> = catalogue.broken().map(|(name, _)| name).collect();
    assert_eq!(broken, ["mine", "nextcloud", "postgres"]);
}

#[test]
fn the_programs_own_templates_have_no_findings() {
    let catalogue = Catalogue::load(&[]).expect("loads");
    for template in catalogue.all() {
        assert_eq!(lint(&catalogue, template), [], "{}", template.manifest.name);
    }
}
