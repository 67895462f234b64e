//! A host that an administrator brings from Debian 12 to 13: one apply afterwards, and everything is there and answers.

use allmende_tests::{Client, HostAccess, World};

const SERVICES: [(&str, &str); 2] = [("wiki", "dokuwiki"), ("web", "wordpress")];

#[test]
fn a_host_comes_along_from_debian_12_to_13_with_all_its_data() {
    let nextcloud = std::env::var_os("ALLMENDE_TEST_NEXTCLOUD").map(std::path::PathBuf::from);
    if nextcloud.is_none() {
        eprintln!(
            "NOT RUN: PostgreSQL's upgrade needs ALLMENDE_TEST_NEXTCLOUD, a folder with Nextcloud's archives"
        );
    }
    let (world, hosts) = World::with_hosts(1, "12");
    let host = &hosts[0];
    world.care_for("web1", host);
    for (name, template) in SERVICES {
        add(&world, name, template, &[]);
    }
    if let Some(folder) = &nextcloud {
        let archive = format!("archive={}", folder.join("nextcloud-34.0.1.tar.gz").display());
        add(&world, "cloud", "nextcloud", &["version=34.0.1", &archive]);
    }
    world.run(&["apply", "--all", "--yes"]).expect(0);
    host.run("echo Nudeln | install -o kita-sonne_wiki -g kita-sonne_wiki -m 640 /dev/stdin /srv/kita-sonne_wiki/data/pages/essen.txt")
        .expect(0);
    host.run(&sql(
        "UPDATE wp_options SET option_value = 'Sonnenblick' WHERE option_name = 'blogname'",
    ))
    .expect(0);
    if nextcloud.is_some() {
        host.run("occ-kita-sonne_cloud config:app:set core kept --value=here")
            .expect(0);
    }

    upgrade(host);
    world.run(&["lab", "stop", &host.name]).expect(0);
    world.run(&["lab", "start", &host.name]).expect(0);

    world.run(&["plan", "--all"]).expect(3).saying("php-fpm8.4");
    world.run(&["apply", "--all", "--yes"]).expect(0);
    world
        .run(&["plan", "--all"])
        .expect(0)
        .saying("Nothing to change");

    let authority = world.authority();
    let page = |name: &str, path: &str| {
        Client::new(&format!("{name}.kita-sonne.test"), &host.address, &authority).get(path)
    };
    assert_eq!(page("wiki", "/start?do=login").code, "200");
    page("web", "/").showing("Sonnenblick");
    host.run("cat /srv/kita-sonne_wiki/data/pages/essen.txt")
        .expect(0)
        .saying("Nudeln");
    host.run("mariadb --version").expect(0).saying("11.8");
    host.run("! pgrep -x php-fpm8.2 && ! dpkg-query -W -f '${db:Status-Abbrev}\\n' apache2 php8.2-fpm 2>/dev/null | grep ^ii")
        .expect(0);
    if nextcloud.is_some() {
        page("cloud", "/status.php").showing("\"installed\":true");
        host.run("occ-kita-sonne_cloud config:app:get core kept")
            .expect(0)
            .saying("here");
        // The old cluster is kept, but nobody uses it.
        host.run("pg_lsclusters --no-header | awk '{ print $1, $3, $4 }' | sort")
            .expect(0)
            .saying("15 5433 down\n17 5432 online");
    }
}

fn add(world: &World, name: &str, template: &str, further: &[&str]) {
    let domain = format!("domain={name}.kita-sonne.test");
    let mut arguments = vec!["service", "add", name, "--org", "kita-sonne", "--host", "web1"];
    arguments.extend(["--template", template, "--set", &domain]);
    for set in further {
        arguments.extend(["--set", set]);
    }
    world.run(&arguments).expect(0);
}

fn sql(statement: &str) -> String {
    format!("mariadb kita-sonne_web -e \"{statement}\"")
}

/// What Debian's release notes say, without anybody at the keyboard.
fn upgrade(host: &HostAccess) {
    host.run(
        "set -e; sed -i s/bookworm/trixie/g /etc/apt/sources.list.d/*.sources
         export DEBIAN_FRONTEND=noninteractive; apt-get -q update >/dev/null
         apt-get -qy -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold full-upgrade </dev/null >/root/upgrade.log 2>&1",
    )
    .expect(0);
}
