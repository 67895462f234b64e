//! Two organisations on one host with a service of every kind each: whoever breaks into one of them finds nothing of the others.

use std::path::PathBuf;

use allmende_tests::{Finding, HostAccess, Neighbours, Private, World};

#[test]
fn whoever_breaks_into_a_service_finds_nothing_of_its_neighbours_on_debian_13() {
    Street::begin("13").live();
}

#[test]
fn whoever_breaks_into_a_service_finds_nothing_of_its_neighbours_on_debian_12() {
    Street::begin("12").live();
}

const ORGANISATIONS: [&str; 2] = ["kita-sonne", "wg-nord"];

/// A kind of service, and where somebody who broke in would be and what they would look for.
struct Kind {
    template: &'static str,
    secrets: &'static [&'static str],
    /// A folder below the service's own that its user may write, where its people's things lie.
    data: &'static str,
    /// The ends of the names of its units that run all the time as its user.
    units: &'static [&'static str],
    has_pool: bool,
}

const KINDS: [Kind; 6] = [
    Kind {
        template: "dokuwiki",
        secrets: &["admin_password"],
        data: "data/pages",
        units: &["-php.service"],
        has_pool: true,
    },
    Kind {
        template: "wordpress",
        secrets: &["admin_password", "keys"],
        data: "wp-content/uploads",
        units: &["-php.service"],
        has_pool: true,
    },
    Kind {
        template: "static-site",
        secrets: &[],
        data: "site",
        units: &[],
        has_pool: false,
    },
    Kind {
        template: "radicale",
        secrets: &["first_password"],
        data: "collections",
        units: &[".service"],
        has_pool: false,
    },
    Kind {
        template: "mumble",
        secrets: &["server_password", "superuser_password"],
        data: "",
        units: &["-mumble.service"],
        has_pool: false,
    },
    Kind {
        template: "nextcloud",
        secrets: &["admin_password"],
        data: "data",
        units: &["-php.service", "-redis.service"],
        has_pool: true,
    },
];

struct Street {
    world: World,
    host: HostAccess,
    nextcloud: Option<PathBuf>,
}

impl Street {
    fn begin(release: &str) -> Self {
        let nextcloud = std::env::var_os("ALLMENDE_TEST_NEXTCLOUD").map(PathBuf::from);
        if nextcloud.is_none() {
            eprintln!(
                "NOT RUN: breaking into Nextcloud needs ALLMENDE_TEST_NEXTCLOUD, a folder with its archives"
            );
        }
        let (world, hosts) = World::with_hosts(1, release);
        let host = hosts.into_iter().next().expect("one host was asked for");
        world.care_for("web1", &host);
        let add = [
            "org",
            "add",
            "wg-nord",
            "--name",
            "WG Nord",
            "--sector",
            "flat-share",
        ];
        world.run(&add).expect(0);
        world.run(&["host", "edit", "web1", "--shared"]).expect(0);
        Self {
            world,
            host,
            nextcloud,
        }
    }

    fn live(self) {
        self.all_move_in();
        let instances: Vec<String> = self.services().map(|(_, instance)| instance).collect();
        let public = self.public();
        let private = self.private();
        let neighbours = Neighbours::new(&self.host, &instances, &private, &public);
        let mut complaints = Vec::new();
        for (kind, instance) in self.services() {
            let mut ways = vec![("its user", neighbours.broken_into(&instance))];
            for unit in kind.units {
                let found = neighbours.broken_into_unit(&instance, &format!("{instance}{unit}"));
                ways.push((unit, found));
            }
            if kind.has_pool {
                ways.push(("its PHP", neighbours.broken_into_pool(&instance)));
            }
            for (way, found) in ways {
                let found = found.into_iter().filter(|finding| !is_for_everybody(finding));
                complaints.extend(found.map(|Finding { how, what, whose }| {
                    format!("{instance} by {way} {how} {what} of {whose}")
                }));
            }
        }
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
        self.what_is_left_open_is_found(&neighbours);
        self.world.run(&["plan", "--all"]).expect(0);
    }

    /// Each kind of service with the name of its instance, for each organisation.
    fn services(&self) -> impl Iterator<Item = (&'static Kind, String)> {
        let kinds = KINDS
            .iter()
            .filter(|kind| kind.template != "nextcloud" || self.nextcloud.is_some());
        kinds.flat_map(|kind| {
            ORGANISATIONS.map(|organisation| (kind, format!("{organisation}_{}", kind.template)))
        })
    }

    fn all_move_in(&self) {
        let site = self.world.data_dir().join("site");
        std::fs::create_dir(&site).expect("makes a folder");
        std::fs::write(site.join("index.html"), "<h1>Hallo</h1>").expect("writes");
        for (kind, instance) in self.services() {
            let (organisation, name) = instance.split_once('_').expect("an instance's name");
            let domain = format!("domain={name}.{organisation}.test");
            let further = match (kind.template, &self.nextcloud) {
                ("static-site", _) => vec![format!("source={}", site.display())],
                ("mumble", _) if organisation == "wg-nord" => vec!["port=64739".to_owned()],
                ("nextcloud", Some(folder)) => vec![
                    "version=34.0.1".to_owned(),
                    format!("archive={}", folder.join("nextcloud-34.0.1.tar.gz").display()),
                ],
                _ => Vec::new(),
            };
            let mut add = vec!["service", "add", name, "--org", organisation, "--host", "web1"];
            add.extend(["--template", kind.template, "--set", &domain]);
            for set in &further {
                add.extend(["--set", set]);
            }
            self.world.run(&add).expect(0);
        }
        self.world.run(&["apply", "--all", "--yes"]).expect(0);
    }

    /// What is secret: Allmende's own secrets of each service, and something that its people keep in it.
    fn private(&self) -> Vec<Private> {
        let mut private = Vec::new();
        for (kind, instance) in self.services() {
            let text = format!("nobody else's business at {}", instance.replace('_', " "));
            let file = format!("/srv/{instance}/{}/private.txt", kind.data);
            let write = format!("install -o {instance} -g {instance} -m 640 /dev/stdin {file}");
            allmende_tests::Finished::fed(&mut self.host.command(&write), &text).expect(0);
            private.push(Private {
                of: instance.clone(),
                text,
            });
            for name in kind.secrets {
                let service = instance.replacen('_', "/", 1);
                let secret = self.world.run(&["service", "secret", &service, name]).expect(0);
                private.push(Private {
                    of: instance.clone(),
                    text: secret.stdout.trim().to_owned(),
                });
            }
        }
        private
    }

    /// Nextcloud's program, as it can be had from its makers.
    fn public(&self) -> Vec<String> {
        let releases = |(_, instance): (&Kind, String)| format!("/srv/{instance}/releases");
        self.services()
            .filter(|(kind, _)| kind.template == "nextcloud")
            .map(releases)
            .collect()
    }

    /// Doors that are opened on purpose: whoever looks must see them, or the rest of this test says nothing.
    fn what_is_left_open_is_found(&self, neighbours: &Neighbours<'_>) {
        let (us, them) = ("kita-sonne_wordpress", "wg-nord_wordpress");
        let open = format!(
            "set -e; chmod 755 /srv/{them} /srv/{them}/wp-content; chmod 644 /srv/{them}/wp-content/uploads/private.txt
             chmod 666 /run/{them}-php/php.sock; chmod 777 /srv/{them}/wp-content/uploads
             mariadb -e \"GRANT SELECT ON \\`{them}\\`.* TO '{us}'@'localhost'\""
        );
        self.host.run(&open).expect(0);
        let by_user = neighbours.broken_into(us);
        let by_pool = neighbours.broken_into_pool("kita-sonne_dokuwiki");
        let saw = |found: &[Finding], how: &str| {
            found
                .iter()
                .any(|finding| finding.how == how && finding.whose == them)
        };
        for how in [
            "reads",
            "reads a secret in",
            "lists",
            "writes",
            "connects to",
            "sees the database of MariaDB",
        ] {
            assert!(
                saw(&by_user, how),
                "{us} did not notice that it {how}: {by_user:?}"
            );
        }
        assert!(saw(&by_pool, "connects to"), "{by_pool:?}");
        self.world.run(&["plan", "wg-nord/wordpress"]).expect(3);
        let close = format!(
            "set -e; chmod 751 /srv/{them}; chmod 750 /srv/{them}/wp-content; chmod 640 /srv/{them}/wp-content/uploads/private.txt
             chmod 600 /run/{them}-php/php.sock; chmod 755 /srv/{them}/wp-content/uploads
             mariadb -e \"REVOKE SELECT ON \\`{them}\\`.* FROM '{us}'@'localhost'\""
        );
        self.host.run(&close).expect(0);
    }
}

/// What everybody on a host may know: which services there are, and at which ports. systemd and the kernel tell it anyway.
fn is_for_everybody(finding: &Finding) -> bool {
    let places = ["/etc/systemd/system/", "/etc/nftables.d/"];
    matches!(finding.how.as_str(), "reads" | "lists")
        && places.iter().any(|place| finding.what.starts_with(place))
}
