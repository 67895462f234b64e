//! Checks from outside, as somebody who looks after a site meets them.

use allmende_tests::{HostAccess, World};

const DOMAIN: &str = "www.kita-sonne.test";

#[test]
fn a_site_is_asked_from_outside_and_its_faults_are_told_apart() {
    let (world, hosts) = World::with_hosts(1, "13");
    let host = hosts.into_iter().next().expect("one host was asked for");
    world.care_for("web1", &host);
    let folder = world.data_dir().join("website");
    std::fs::create_dir(&folder).expect("made");
    std::fs::write(folder.join("index.html"), "<h1>KiTa Sonne</h1>").expect("written");
    let (source, domain) = (format!("source={}", folder.display()), format!("domain={DOMAIN}"));
    let mut add = vec!["service", "add", "site", "--org", "kita-sonne", "--host", "web1"];
    add.extend(["--template", "static-site", "--set", &source, "--set", &domain]);
    world.run(&add).expect(0);
    world
        .run(&["check", "run", "site"])
        .expect(1)
        .saying("A service has some once it was applied");
    world.run(&["apply", "site", "--yes"]).expect(0);
    all_is_well(&world);
    checks_by_hand(&world);
    faults(&world, &host);
    world
        .run(&["service", "remove", "site", "--forget", "--yes"])
        .expect(0);
    world.run(&["check", "run", "site"]).expect(1);
}

fn all_is_well(world: &World) {
    let asked = world.run(&["check", "run"]).expect(0);
    asked.saying(&format!("The certificate for {DOMAIN} is good"));
    let said = world.run(&["check", "run", "site", "--json"]).expect(0).json();
    let page = said["checks"]
        .as_array()
        .and_then(|checks| checks.iter().find(|check| check["key"] == "kita-sonne/site:page"))
        .expect("the page is asked");
    assert_eq!(page["answer"]["status"], "ok", "{page}");
    assert_eq!(page["answer"]["figure"]["unit"], "ms", "{page}");
    assert!(
        page["answer"]["sentence"]["de"]
            .as_str()
            .is_some_and(|text| text.contains("antwortet"))
    );
}

fn checks_by_hand(world: &World) {
    let page = format!("https://{DOMAIN}/");
    let add = |id: &str, further: &[&str]| {
        let mut arguments = vec!["check", "add", "site", id];
        arguments.extend(further);
        world.run(&arguments)
    };
    add(
        "words",
        &[
            "--http",
            &page,
            "--contains",
            "Sonne",
            "--header",
            "x-content-type-options=nosniff",
        ],
    )
    .expect(0);
    let plain = format!("http://{DOMAIN}/");
    add("sent-on", &["--http", &plain, "--redirect", &page]).expect(0);
    add("words", &["--tcp", "80"])
        .expect(1)
        .saying("there is a check");
    add("page", &["--tcp", "80"]).expect(1).saying("there is a check");
    add("key", &["--http", "https://anna:geheim@x.test/"])
        .expect(1)
        .saying("a user or a password");
    assert!(world.files_with("geheim").is_empty(), "a password was remembered");
    world.run(&["check", "run", "site"]).expect(0);
    world
        .run(&["check", "edit", "site:words", "--contains", "Mond"])
        .expect(0);
    world
        .run(&["check", "run", "site:words"])
        .expect(3)
        .saying("does not say \"Mond\"")
        .saying("Next:");
    world
        .run(&["check", "edit", "site:words", "--unset", "contains"])
        .expect(0);
    world.run(&["check", "run", "site:words"]).expect(0);
    world.run(&["check", "remove", "site:sent-on"]).expect(0);
    world.run(&["check", "remove", "site:sent-on"]).expect(1);
    world.run(&["check", "remove", "kita-sonne/site:page"]).expect(1);
    world.run(&["check", "add", "web1", "door", "--ssh"]).expect(0);
    world
        .run(&["check", "run", "web1"])
        .expect(0)
        .saying("shows the key that is known");
}

fn faults(world: &World, host: &HostAccess) {
    let page = |words: &str| {
        world.run(&["check", "run", "site:page"]).expect(3).saying(words);
    };
    host.run("systemctl stop nginx").expect(0);
    page("nothing runs on that port");
    host.run("systemctl start nginx").expect(0);
    host.run("mv /srv/kita-sonne_site/site/index.html /root/")
        .expect(0);
    page("does not exist (404)");
    host.run("mv /root/index.html /srv/kita-sonne_site/site/")
        .expect(0);
    world.run(&["check", "run", "site:page"]).expect(0);
    // Somebody else's certificate.
    let certificate = "/etc/allmende/kita-sonne_site/tls";
    host.run(&format!(
        "cp -a {certificate}.crt {certificate}.key /root/ && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
         -subj /CN={DOMAIN} -addext subjectAltName=DNS:{DOMAIN} -days 90 -keyout {certificate}.key -out {certificate}.crt \
         && systemctl reload nginx"
    ))
    .expect(0);
    world
        .run(&["check", "run", "site:certificate"])
        .expect(3)
        .saying("does not come from Allmende's own authority");
    host.run(&format!(
        "cp -a /root/tls.crt {certificate}.crt && cp -a /root/tls.key {certificate}.key && systemctl reload nginx"
    ))
    .expect(0);
}
