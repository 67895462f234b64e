//! A service goes from its host, with its data or without; the others on the host do not notice.

use std::process::Command;
use std::time::Duration;

use allmende_tests::{Finished, HostAccess, World};

/// Waits until a domain on the host answers with its page, or does not any more: nginx ends a reload before all of it is done.
fn is_served(host: &HostAccess, domain: &str, wanted: bool) {
    let resolve = format!("{domain}:443:{}", host.address);
    let page = format!("https://{domain}/start?do=login");
    let mut last = String::new();
    for _ in 0..40 {
        let mut command = Command::new("curl");
        command.args(["-sS", "--insecure", "--max-time", "20", "--resolve", &resolve]);
        command.args(["-o", "/dev/null", "-w", "%{http_code}", &page]);
        last = Finished::of(&mut command).stdout;
        if (last == "200") == wanted {
            return;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    panic!("{domain} answers with {last}");
}

fn add_wiki(world: &World, organisation: &str) {
    let domain = format!("domain=wiki.{organisation}.test");
    let arguments = [
        "service",
        "add",
        "wiki",
        "--org",
        organisation,
        "--host",
        "web1",
        "--template",
        "dokuwiki",
        "--set",
        &domain,
    ];
    world.run(&arguments).expect(0);
}

/// Everything on the host that carries the service's name.
const TRACES: &str = "find / -xdev \\( -path /proc -o -path /var/lib/allmende-agent \\) -prune -o -name '*kita-sonne_wiki*' -print; \
    grep -rl kita-sonne_wiki /etc --exclude='*-' || true";

#[test]
fn a_service_whose_first_apply_broke_off_goes_as_well() {
    let (world, hosts) = World::with_hosts(1, "13");
    let host = &hosts[0];
    world.care_for("web1", host);
    // Never tried: nothing is asked of the host.
    add_wiki(&world, "kita-sonne");
    world.run(&["lab", "stop", "practice1"]).expect(0);
    world
        .run(&["service", "remove", "wiki", "--yes"])
        .expect(0)
        .saying("nothing of it was ever brought onto web1");
    world.run(&["lab", "start", "practice1"]).expect(0);

    // Its program cannot start.
    add_wiki(&world, "kita-sonne");
    let broken = "/etc/systemd/system/kita-sonne_wiki-php.service.d";
    host.run(&format!(
        "mkdir {broken} && printf '[Service]\\nExecStartPre=false\\n' > {broken}/broken.conf"
    ))
    .expect(0);
    world
        .run(&["apply", "wiki", "--yes"])
        .expect(1)
        .saying("kita-sonne_wiki-php.service");
    host.run("id kita-sonne_wiki && test -e /etc/systemd/system/kita-sonne_wiki-php.service")
        .expect(0);
    world.run(&["status"]).expect(0).saying("half set up");
    world
        .run(&["service", "show", "wiki"])
        .expect(0)
        .saying("only half, an apply broke off");
    host.run(&format!("rm -r {broken}")).expect(0);
    world
        .run(&["service", "remove", "wiki", "--delete-data", "--dry-run"])
        .expect(0)
        .saying("kita-sonne_wiki-php.service would be stopped");
    world
        .run(&["service", "remove", "wiki", "--delete-data", "--yes"])
        .expect(0)
        .saying("nothing of its data stays");
    assert_eq!(host.run(TRACES).stdout, "");
    host.run("id kita-sonne_wiki").expect(1);
    host.run("systemctl list-units --all --no-legend 'kita-sonne_wiki*' | grep -q .")
        .expect(1);
}

#[test]
fn a_service_goes_and_leaves_what_it_was_told_to_leave() {
    let (world, hosts) = World::with_hosts(1, "13");
    let host = &hosts[0];
    world.care_for("web1", host);
    world.run(&["host", "edit", "web1", "--shared"]).expect(0);
    world
        .run(&[
            "org",
            "add",
            "wg-nord",
            "--name",
            "WG Nord",
            "--sector",
            "flat-share",
        ])
        .expect(0);
    add_wiki(&world, "kita-sonne");
    add_wiki(&world, "wg-nord");
    world.run(&["apply", "--all", "--yes"]).expect(0);
    is_served(host, "wiki.kita-sonne.test", true);
    host.run("install -o kita-sonne_wiki -g kita-sonne_wiki -m 0640 /dev/stdin /srv/kita-sonne_wiki/data/pages/essen.txt <<< 'Nudeln'")
        .expect(0);

    world
        .run(&["service", "remove", "kita-sonne/wiki", "--dry-run"])
        .expect(0)
        .saying("/etc/systemd/system/kita-sonne_wiki-php.service would be removed")
        .saying("/srv/kita-sonne_wiki but for /srv/kita-sonne_wiki/conf, /srv/kita-sonne_wiki/data would be removed")
        .saying("its data stay on web1");
    world.run(&["plan", "--all"]).expect(0);
    world
        .run(&["service", "remove", "kita-sonne/wiki"])
        .expect(1)
        .saying("there is no terminal to ask at");
    world
        .run(&["service", "remove", "kita-sonne/wiki", "--yes"])
        .expect(0)
        .saying("its data stay on web1");
    is_served(host, "wiki.kita-sonne.test", false);
    is_served(host, "wiki.wg-nord.test", true);
    world.run(&["plan", "--all"]).expect(0);
    world.run(&["service", "show", "kita-sonne/wiki"]).expect(1);
    host.run("systemctl list-units --all --no-legend 'kita-sonne_wiki*' | grep -q . && exit 1; ls /etc/nginx/sites-enabled")
        .expect(0);
    host.run("test -e /srv/kita-sonne_wiki/data/pages/essen.txt -a ! -e /etc/allmende/kita-sonne_wiki")
        .expect(0);

    // The same service finds its data again; and it moves to another address.
    add_wiki(&world, "kita-sonne");
    world.run(&["apply", "--all", "--yes"]).expect(0);
    host.run("cat /srv/kita-sonne_wiki/data/pages/essen.txt")
        .expect(0)
        .saying("Nudeln");
    world
        .run(&["service", "edit", "kita-sonne/wiki", "--set", "admin_user=anna"])
        .expect(1)
        .saying("admin_user stays admin: that account is there already");
    world
        .run(&[
            "service",
            "edit",
            "kita-sonne/wiki",
            "--set",
            "domain=seiten.kita-sonne.test",
        ])
        .expect(0);
    world.run(&["apply", "kita-sonne/wiki", "--yes"]).expect(0);
    is_served(host, "seiten.kita-sonne.test", true);
    is_served(host, "wiki.kita-sonne.test", false);

    world
        .run(&["service", "remove", "kita-sonne/wiki", "--delete-data", "--yes"])
        .expect(0)
        .saying("nothing of its data stays");
    assert_eq!(host.run(TRACES).stdout, "");
    host.run("id kita-sonne_wiki").expect(1);
    is_served(host, "wiki.wg-nord.test", true);
    world.run(&["plan", "--all"]).expect(0);

    // A host that is gone for good.
    world.run(&["lab", "stop", "practice1"]).expect(0);
    world
        .run(&["service", "remove", "wg-nord/wiki", "--yes"])
        .expect(1);
    world
        .run(&["service", "remove", "wg-nord/wiki", "--forget", "--yes"])
        .expect(0)
        .saying("stays as it is");
    world.run(&["audit", "verify"]).expect(0);
}
