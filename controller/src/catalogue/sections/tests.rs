//! What the sections refuse, and what comes out of them.

use serde_json::{Value, json};

use crate::catalogue::tests::{GIVEN, bound, care, catalogue};
use crate::catalogue::{CatalogueError, lint};
use crate::model::{Parameters, Secret};

const CHECK: &str = r#"
    [[checks]]
    id = "page"
    kind = "http"
    title = { de = "Seite", en = "Page" }
    advice = { de = "Warten.", en = "Wait." }
    url = "https://{{ domain }}/"
"#;

const BACKUP: &str = r#"
    [backup]
    paths = ["/srv/{{ service.instance }}"]
    [[backup.dumps]]
    id = "database"
    kind = "postgres"
    database = "{{ service.instance }}"
"#;

fn rendered(rest: &str) -> Value {
    serde_json::to_value(care(rest).expect(rest)).expect("is JSON")
}

fn refused(rest: &str) -> String {
    care(rest).expect_err(rest).to_string()
}

#[test]
fn a_check_gets_its_values_and_its_defaults() {
    let care = rendered(CHECK);
    assert_eq!(
        care["checks"][0],
        json!({
            "id": "page",
            "kind": "http",
            "title": { "de": "Seite", "en": "Page" },
            "advice": { "de": "Warten.", "en": "Wait." },
            "every": 300,
            "attempts": 3,
            "recovery": 2,
            "url": "https://cloud.kita.test/",
            "status": [200],
        })
    );
}

#[test]
fn a_check_whose_condition_does_not_hold_is_left_out() {
    let care = rendered(&format!("{CHECK}\nwhen = \"host.release == '13'\""));
    assert_eq!(care["checks"], json!([]));
}

#[test]
fn what_is_unknown_or_missing_is_named_with_its_place() {
    for (line, told) in [
        ("colour = \"red\"", "checks, page: unknown field `colour`"),
        ("every = \"5 minutes\"", "is no length of time"),
        ("status = \"{{ domain }}\"", "checks, page: invalid type"),
        (
            "contains = \"{{ wrods }}\"",
            "checks, page, contains: undefined variable wrods",
        ),
    ] {
        let error = refused(&format!("{CHECK}\n{line}"));
        assert!(error.contains(told), "{error}");
    }
    let error = refused(&CHECK.replace("url =", "address ="));
    assert!(error.contains("unknown field `address`"), "{error}");
    let error = refused(&CHECK.replace("advice =", "# "));
    assert!(error.contains("missing field `advice`"), "{error}");
    let error = refused(&CHECK.replace("\"http\"", "\"htpp\""));
    assert!(error.contains("unknown variant `htpp`"), "{error}");
    let error = refused(&CHECK.repeat(2));
    assert!(error.contains("a second check with the id \"page\""), "{error}");
    let error = refused("[backup]\npaths = [\"/srv\"]\nschedule = \"sometimes\"");
    assert!(error.contains("expected one like \"daily 02:30\""), "{error}");
    let error = refused(&format!("{BACKUP}\ntable = \"x\""));
    assert!(error.contains("unknown field `table`"), "{error}");
}

#[test]
fn what_is_brought_to_rest_is_woken_again() {
    let quiesce = "[[backup.quiesce]]\nargv = [\"systemctl\", \"stop\", \"x\"]\n";
    let error = refused(&format!("{BACKUP}\n{quiesce}"));
    assert!(error.contains("give a [[backup.resume]]"), "{error}");
    let resume = quiesce.replace("quiesce", "resume").replace("stop", "start");
    let care = rendered(&format!("{BACKUP}\n{quiesce}\n{resume}"));
    assert_eq!(
        care["backup"]["quiesce"][0],
        json!({ "argv": ["systemctl", "stop", "x"], "user": "root", "timeout": 600 })
    );
}

#[test]
fn a_proof_is_about_what_is_kept() {
    let count = "[[verify.counts]]\ndump = \"data\"\nquery = \"SELECT 1\"";
    let error = refused(&format!("{BACKUP}\n{count}"));
    assert!(
        error.contains("\"data\" is none of the backup's dumps"),
        "{error}"
    );
    let file = "[[verify.files]]\npath = \"/srv/elsewhere\"";
    let error = refused(&format!("{BACKUP}\n{file}"));
    assert!(error.contains("lies below none of the backup's paths"), "{error}");
    let file = "[[verify.files]]\npath = \"/srv/{{ service.instance }}/data\"";
    let care = rendered(&format!("{BACKUP}\n{file}"));
    assert_eq!(care["verify"]["files"][0]["minimum"], 1);
}

const ACTION: &str = r#"
    [actions.add]
    title = { de = "Konto", en = "Account" }
    help = { de = "Legt ein Konto an.", en = "Adds an account." }
    role = "contact"
    risk = "change"
    preview = { de = "{{ person }} bekommt ein Konto.", en = "{{ person }} gets an account on {{ domain }}." }
    argv = ["add", "{{ person }}"]
    stdin = "{{ first_password }}"
    show = ["first_password"]
    [actions.add.params.person]
    type = "name"
    example = "anna"
    help = { de = "Name", en = "Name" }
    [actions.add.params.first_password]
    type = "secret"
    help = { de = "Passwort", en = "Password" }
"#;

fn called(rest: &str, given: &[(&str, &str)]) -> Result<crate::catalogue::ActionCall, CatalogueError> {
    let (_folder, catalogue) = catalogue(rest)?;
    let template = catalogue.get("x")?;
    let bindings = bound(&catalogue, &GIVEN)?;
    let given: Parameters = given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let secrets = [("first_password".to_owned(), Secret::new("t0p-secret".to_owned()))].into();
    catalogue.call(template, &bindings, "add", &given, &secrets)
}

#[test]
fn an_action_is_rendered_with_its_own_parameters_and_the_services() {
    let call = called(ACTION, &[("person", "anna")]).expect("renders");
    assert_eq!(call.step.argv, ["add", "anna"]);
    assert_eq!(call.step.stdin.as_deref(), Some("t0p-secret"));
    assert_eq!(call.step.timeout, 60);
    let preview = call.preview.expect("it has one");
    assert_eq!(preview.en, "anna gets an account on cloud.kita.test.");
}

#[test]
fn an_action_refuses_wrong_values() {
    for (given, told) in [
        (&[][..], "person is missing"),
        (&[("person", "Anna; reboot")], "person: expected a to z"),
        (
            &[("person", "anna"), ("colour", "red")],
            "add has no parameter \"colour\"",
        ),
    ] {
        let error = called(ACTION, given).expect_err(told).to_string();
        assert!(error.contains(told), "{error}");
    }
    let shadow = ACTION
        .replace("params.person", "params.domain")
        .replace("{{ person }}", "{{ domain }}");
    let error = called(&shadow, &[("domain", "a.b")])
        .expect_err("refused")
        .to_string();
    assert!(
        error.contains("is the name of another variable already"),
        "{error}"
    );
}

fn findings(rest: &str) -> String {
    let (_folder, catalogue) = catalogue(rest).expect(rest);
    let template = catalogue.get("x").expect("is there");
    lint(&catalogue, template)
        .iter()
        .map(|finding| format!("{}\n", finding.0))
        .collect()
}

#[test]
fn lint_finds_what_an_author_forgot() {
    let findings = |rest: &str, told: &str| {
        let findings = findings(rest);
        assert!(findings.contains(told), "{told}: {findings}");
    };
    findings(BACKUP, "verify: a backup needs something that proves");
    findings(
        &CHECK.replace("\"Warten.\"", "\" \""),
        "checks, page, advice, de: it is empty",
    );
    findings(
        &CHECK.replace("/\"", "/?key={{ password }}\""),
        "checks, page, url: a secret stands where others can read it",
    );
    findings(
        &ACTION.replace("\"{{ person }}\"]", "\"{{ first_password }}\"]"),
        "actions, add, argv, number 2: a secret stands where others can read it",
    );
    findings(
        &ACTION.replace("preview =", "# "),
        "actions, add, preview: an action that changes something tells what will happen",
    );
    findings(
        &ACTION.replace("show = [\"first", "show = [\"second"),
        "actions, add, show: there is no secret parameter \"second_password\"",
    );
    findings(
        &ACTION.replace("stdin = \"{{ first_password }}\"", ""),
        "actions, add: the parameter \"first_password\" is used nowhere",
    );
    findings(&ACTION.replace("actions.add", "actions.Add"), "actions, Add: ");
}

#[test]
fn lint_is_content_with_what_is_right() {
    let verify = "[[verify.files]]\npath = \"/srv/{{ service.instance }}\"\n";
    let findings = findings(&format!("{CHECK}{ACTION}{BACKUP}{verify}"));
    assert!(
        findings
            .lines()
            .all(|line| line.contains("is used nowhere") && !line.contains("actions")),
        "{findings}"
    );
}
