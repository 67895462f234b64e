//! Day-to-day helps of services, and what templates say about checks, backup and restore, followed to the letter.

use std::path::PathBuf;

use allmende_tests::{Client, HostAccess, Page, Rehearsal, Witness, World};

fn add(world: &World, name: &str, template: &str, settings: &[&str]) {
    let mut add = vec![
        "service",
        "add",
        name,
        "--org",
        "kita-sonne",
        "--host",
        "web1",
        "--template",
        template,
    ];
    for setting in settings {
        add.extend(["--set", setting]);
    }
    world.run(&add).expect(0);
}

#[test]
fn people_help_themselves_with_a_wiki_and_its_sections_hold() {
    let (world, hosts) = World::with_hosts(1, "12");
    let host = &hosts[0];
    world.care_for("web1", host);
    add(&world, "wiki", "dokuwiki", &["domain=wiki.kita-sonne.test"]);
    before_it_is_set_up(&world);
    world.run(&["apply", "wiki", "--yes"]).expect(0);
    accounts_come_and_go(&world, host);
    what_makes_no_sense_is_refused(&world);
    Rehearsal::of_host(&world, "web1", host).ask_all();
    Rehearsal::of(&world, "wiki", host).perform();
    // What came back is the wiki with its accounts.
    world
        .run(&["action", "wiki", "user-list"])
        .expect(0)
        .saying("ben@kita-sonne.test");
}

fn before_it_is_set_up(world: &World) {
    world
        .run(&["action", "wiki"])
        .expect(0)
        .saying("user-add")
        .saying("contact")
        .saying("destructive");
    let list = world.run(&["action", "wiki", "--json"]).expect(0).json();
    assert!(list.as_array().is_some_and(|list| list.len() >= 4), "{list}");
    world
        .run(&["action", "wiki", "user-list"])
        .expect(1)
        .saying("allmende apply kita-sonne/wiki");
}

const ANNA: [&str; 6] = [
    "--set",
    "user=anna",
    "--set",
    "name=Anna 'Ä' Beispiel",
    "--set",
    "email=anna@kita-sonne.test",
];

fn accounts_come_and_go(world: &World, host: &HostAccess) {
    let action = |rest: &[&str]| world.action("wiki", rest);
    let add: Vec<&str> = ["user-add"].into_iter().chain(ANNA).collect();
    let dry: Vec<&str> = add.iter().copied().chain(["--dry-run"]).collect();
    action(&dry)
        .expect(0)
        .saying("gets the account anna for Anna 'Ä' Beispiel");
    action(&["user-list"])
        .expect(0)
        .saying("admin")
        .not_saying("anna");

    let witness = Witness::of(host);
    let added = action(&add).expect(0).saying("shown once");
    let seen = witness.tell();
    let password = added
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("password: "))
        .expect("the password is shown")
        .to_owned();
    assert_eq!(password.chars().count(), 16);
    for line in seen.on_host.iter().chain(&seen.here) {
        assert!(!line.contains(&password), "a process shows the password: {line}");
    }
    action(&["user-list"])
        .expect(0)
        .saying("Anna 'Ä' Beispiel")
        .saying("anna@kita-sonne.test");
    assert!(
        opens(host, "anna", &password),
        "the shown password does not open the wiki"
    );
    action(&add).expect(1).saying("There is an account anna already.");

    // A new password, for programs; the old one is void.
    let reset = action(&["user-password", "--set", "user=anna", "--json"]).expect(0);
    let new = reset.password();
    assert!(!opens(host, "anna", &password) && opens(host, "anna", &new));
    // One that the person chose comes from a file, and is not repeated.
    let file = world.data_dir().join("chosen");
    std::fs::write(&file, "correct horse battery\n").expect("writes");
    let chosen = format!("password={}", file.display());
    action(&["user-password", "--set", "user=anna", "--secret-file", &chosen])
        .expect(0)
        .not_saying("correct horse");
    std::fs::remove_file(&file).expect("removes");
    assert!(opens(host, "anna", "correct horse battery"));

    // Nothing is taken away without an answer.
    let remove = ["user-remove", "--set", "user=anna"];
    action(&remove).expect(1).saying("--yes").saying("its pages stay");
    action(&["user-list"]).expect(0).saying("anna");
    action(&["user-remove", "--set", "user=anna", "--yes"]).expect(0);
    let users = action(&["user-list", "--json"]).expect(0).json();
    let names: Vec<_> = users["output"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|user| user["user"].clone())
        .collect();
    assert_eq!(names, ["admin"]);
    let ben = [
        "user-add",
        "--set",
        "user=ben",
        "--set",
        "name=Ben",
        "--set",
        "email=ben@kita-sonne.test",
    ];
    action(&ben).expect(0);

    // It is known who did what, and no secret with it, nor what was only looked at.
    world.run(&["audit", "list"]).expect(0).saying("service.action");
    world
        .run(&["job", "list"])
        .expect(0)
        .saying("user-password on wiki");
    for secret in [password.as_str(), &new, "correct horse battery"] {
        assert_eq!(world.files_with(secret), Vec::<PathBuf>::new(), "{secret}");
    }
}

fn what_makes_no_sense_is_refused(world: &World) {
    for (words, told) in [
        (
            &["user-bake"][..],
            "dokuwiki has no action \"user-bake\"; it has: ",
        ),
        (&["user-password"], "user is missing"),
        (
            &["user-password", "--set", "user=Anna; id"],
            "user: expected a to z",
        ),
        (
            &["user-password", "--set", "user=nobody"],
            "There is no account nobody.",
        ),
        (
            &["user-password", "--set", "user=ben", "--set", "password=hunter2"],
            "--secret-file password=FILE",
        ),
    ] {
        world.action("wiki", words).expect(1).saying(told);
    }
    assert_eq!(world.files_with("hunter2"), Vec::<PathBuf>::new());
}

/// Whether this account gets into the wiki.
fn opens(host: &HostAccess, user: &str, password: &str) -> bool {
    let authority = tempfile::NamedTempFile::new().expect("a file");
    let chain = host
        .run("cat /etc/allmende/kita-sonne_wiki/tls.crt")
        .expect(0)
        .stdout;
    let begin = chain.rfind("-----BEGIN CERTIFICATE-----").expect("a certificate");
    std::fs::write(authority.path(), chain.get(begin..).unwrap_or_default()).expect("writes");
    let client = Client::new("wiki.kita-sonne.test", &host.address, authority.path());
    let page: Page = client
        .get("/start?do=login")
        .form("dw__login")
        .with("u", user)
        .with("p", password)
        .send(&client);
    !page.body.contains("id=\"dw__login\"")
}

#[test]
fn people_help_themselves_with_a_cloud_and_its_sections_hold() {
    let Some(folder) = std::env::var_os("ALLMENDE_TEST_NEXTCLOUD").map(PathBuf::from) else {
        eprintln!("NOT RUN: the tests of Nextcloud need ALLMENDE_TEST_NEXTCLOUD, a folder with its archives");
        return;
    };
    let (world, hosts) = World::with_hosts(1, "12");
    let host = &hosts[0];
    world.care_for("web1", host);
    let archive = format!("archive={}", folder.join("nextcloud-34.0.1.tar.gz").display());
    add(
        &world,
        "cloud",
        "nextcloud",
        &["domain=cloud.kita-sonne.test", "version=34.0.1", &archive],
    );
    world.run(&["apply", "cloud", "--yes"]).expect(0);
    let action = |rest: &[&str]| world.action("cloud", rest).expect(0);
    action(&["user-list"]).saying("admin");
    let anna = [
        "user-add",
        "--set",
        "user=anna",
        "--set",
        "name=Anna B",
        "--set",
        "email=anna@kita-sonne.test",
        "--set",
        "group=Team",
        "--json",
    ];
    let password = action(&anna).password();
    assert_eq!(dav(host, "anna", &password), "207");
    action(&["user-list"])
        .saying("anna@kita-sonne.test")
        .saying("Team");
    action(&["user-group", "--set", "user=anna", "--set", "group=admin"]);
    action(&["user-quota", "--set", "user=anna", "--set", "gigabytes=5"]);
    action(&["user-show", "--set", "user=anna"])
        .saying("5 GB")
        .saying("admin");
    let new = action(&["user-password", "--set", "user=anna", "--json"]).password();
    assert_eq!(dav(host, "anna", &new), "207");
    assert_eq!(dav(host, "anna", &password), "401");
    action(&["unblock-address", "--set", "address=192.0.2.10"]);
    action(&["user-disable", "--set", "user=anna", "--yes"]);
    assert_ne!(dav(host, "anna", &new), "207");
    action(&["user-enable", "--set", "user=anna"]);
    assert_eq!(dav(host, "anna", &new), "207");
    let off = world.action("cloud", &["user-second-factor-off", "--set", "user=anna"]);
    assert!(
        off.code == Some(0) || off.said().contains("totp"),
        "{}",
        off.said()
    );

    // The first round of background jobs began with the apply; without an internet connection some of them wait for theirs.
    host.run("for _ in $(seq 100); do occ-kita-sonne_cloud config:app:get core lastcron && exit 0; sleep 3; done; exit 1")
        .expect(0);
    // There is no way out from a practice host, and the archive of the tests lacks some large files.
    Rehearsal::of(&world, "cloud", host)
        .knowing("setup", "fault")
        .perform();
    assert_eq!(dav(host, "anna", &new), "207");
}

/// The code with which the files of an account answer.
fn dav(host: &HostAccess, user: &str, password: &str) -> String {
    let mut curl = std::process::Command::new("curl");
    curl.args([
        "-sS",
        "--insecure",
        "--noproxy",
        "*",
        "--max-time",
        "120",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
    ])
    .args([
        "-X",
        "PROPFIND",
        "-H",
        "Depth: 0",
        "--user",
        &format!("{user}:{password}"),
    ])
    .args([
        "--resolve",
        &format!("cloud.kita-sonne.test:443:{}", host.address),
    ])
    .arg(format!(
        "https://cloud.kita-sonne.test/remote.php/dav/files/{user}/"
    ));
    allmende_tests::Finished::of(&mut curl).expect(0).stdout
}
