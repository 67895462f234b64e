//! WordPress as people use it: they log in, write, show pictures; strangers and neighbours on the same host get nowhere.

use std::path::{Path, PathBuf};

use allmende_tests::{Client, Finished, HostAccess, Page, Rehearsal, Witness, World};
use serde_json::Value;

#[test]
fn a_site_is_set_up_used_and_kept_apart_on_debian_12() {
    Site::begin("12").live();
}

#[test]
fn a_site_is_set_up_used_and_kept_apart_on_debian_13() {
    Site::begin("13").live();
}

const OURS: &str = "kita-sonne_web";
const THEIRS: &str = "wg-nord_web";
const DOMAIN: &str = "www.kita-sonne.test";
const NEIGHBOUR: &str = "www.wg-nord.test";

struct Site {
    world: World,
    host: HostAccess,
}

impl Site {
    fn begin(release: &str) -> Self {
        let (world, hosts) = World::with_hosts(1, release);
        let host = hosts.into_iter().next().expect("one host was asked for");
        world.care_for("web1", &host);
        Self { world, host }
    }

    fn live(self) {
        let password = self.is_set_up();
        let authority = self.authority();
        let us = Client::new(DOMAIN, &self.host.address, &authority);
        self.people_use_it(&us, &password);
        self.helps_do_what_they_say(&authority);
        self.strangers_find_closed_doors(&us);
        self.jobs_are_done();
        self.a_neighbour_moves_in(&password);
        self.code_that_runs_here_finds_nothing_of_the_neighbour(&us);
        self.secrets_are_where_they_belong(&password);
        Rehearsal::of(&self.world, "kita-sonne/web", &self.host).perform();
        self.world.run(&["plan", "--all"]).expect(0);
    }

    fn is_set_up(&self) -> String {
        self.add("kita-sonne", DOMAIN);
        let password = self.secret("kita-sonne/web", "admin_password");
        let witness = Witness::of(&self.host);
        self.world
            .run(&["apply", "web", "--yes"])
            .expect(0)
            .saying("+ web1: mariadb database kita-sonne_web")
            .saying(&format!("https://{DOMAIN}/"));
        let seen = witness.tell();
        for line in seen.on_host.iter().chain(&seen.here) {
            assert!(!line.contains(&password), "a process shows a secret: {line}");
        }
        self.world.run(&["plan", "web"]).expect(0);
        self.world
            .run(&["apply", "web", "--yes"])
            .expect(0)
            .saying("nothing to change");
        self.host
            .run("dpkg-query -W -f '${db:Status-Abbrev}' apache2 'libapache2-mod-php*'")
            .not_saying("ii");
        password
    }

    fn add(&self, organisation: &str, domain: &str) {
        let set = format!("domain={domain}");
        let mut add = vec!["service", "add", "web", "--org", organisation];
        add.extend(["--host", "web1", "--template", "wordpress", "--set", &set]);
        self.world.run(&add).expect(0);
    }

    fn secret(&self, service: &str, name: &str) -> String {
        let secret = self.world.run(&["service", "secret", service, name]).expect(0);
        secret.stdout.trim().to_owned()
    }

    fn authority(&self) -> PathBuf {
        let path = self.world.data_dir().join("authority-of-the-test.pem");
        let root = self.world.run(&["authority", "export"]).expect(0).stdout;
        std::fs::write(&path, root).expect("writes the certificate");
        path
    }

    fn people_use_it(&self, us: &Client, password: &str) {
        us.get("/").showing("lang=\"de-DE\"").showing("KiTa Sonne e.V.");
        us.get("/wp-login.php").showing("Anmelden");
        let stranger = log_in(us, "verwaltung", "not-the-password-of-anybody");
        stranger.showing("id=\"loginform\"");
        log_in(us, "verwaltung", password).showing("id=\"wpadminbar\"");
        let nonce = us.get("/wp-admin/admin-ajax.php?action=rest-nonce").body;
        let post = us.post(
            &format!("/wp-json/wp/v2/posts?_wpnonce={}", nonce.trim()),
            &[
                ("title", "Sommerfest"),
                ("content", "Am 3. Juli: „Brot & Salz“ für alle"),
                ("status", "publish"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let link = json(&post)["link"].as_str().unwrap_or_default().to_owned();
        assert!(link.starts_with(&format!("https://{DOMAIN}/2")), "{}", post.body);
        let visitor = Client::new(DOMAIN, &self.host.address, &self.authority());
        visitor.get(&link).showing("Brot &#038; Salz");

        let picture = self.world.data_dir().join("sonne.png");
        std::fs::write(&picture, PICTURE).expect("writes a picture");
        let media = format!("/wp-json/wp/v2/media?_wpnonce={}", nonce.trim());
        let uploaded = us.upload(&media, "file", &picture);
        let source = json(&uploaded)["source_url"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(source.ends_with("/sonne.png"), "{}", uploaded.body);
        let shown = visitor.get(&source);
        assert!(shown.code == "200" && shown.body.contains("PNG"), "{shown:?}");
        self.host
            .run(&format!(
                "stat -c %U:%G $(find /srv/{OURS}/wp-content/uploads -name sonne.png)"
            ))
            .expect(0)
            .saying(&format!("{OURS}:{OURS}"));
        // What is no picture is refused, and code is edited nowhere.
        let program = self.world.data_dir().join("picture.php");
        std::fs::write(&program, "<?php echo 6 * 7;").expect("writes a program");
        assert_eq!(us.upload(&media, "file", &program).code, "500");
        assert_ne!(us.get("/wp-admin/plugin-editor.php").code, "200");
    }

    fn helps_do_what_they_say(&self, authority: &Path) {
        let action = |rest: &[&str]| self.world.action("web", rest);
        let account = ["--set", "login=anna", "--set", "email=anna@kita-sonne.test"];
        let add: Vec<&str> = ["user-add", "--json"].into_iter().chain(account).collect();
        let first = action(&add).expect(0).password();
        action(&add).expect(1).saying("existiert bereits");
        let short = self.world.data_dir().join("short-password");
        std::fs::write(&short, "short").expect("writes a password");
        let short = format!("password={}", short.display());
        let berta = ["--set", "login=berta", "--set", "email=berta@kita-sonne.test"];
        let with_short = ["user-add", "--secret-file", &short].into_iter().chain(berta);
        action(&with_short.collect::<Vec<_>>())
            .expect(1)
            .saying("at least 12");
        let users = action(&["users", "--json"]).expect(0).json();
        let users = users["output"].as_array().expect("a list");
        let told: Vec<_> = users
            .iter()
            .map(|user| (user["login"].as_str(), user["role"].as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (Some("anna"), Some("editor")),
                (Some("verwaltung"), Some("administrator"))
            ]
        );
        let anna = Client::new(DOMAIN, &self.host.address, authority);
        log_in(&anna, "anna", &first).showing("id=\"wpadminbar\"");
        let reset = action(&["password", "--set", "login=anna", "--json"]).expect(0);
        action(&["password", "--set", "login=nobody"])
            .expect(1)
            .saying("there is no account nobody");
        anna.get("/wp-admin/").showing("id=\"loginform\"");
        log_in(&anna, "anna", &reset.password()).showing("id=\"wpadminbar\"");
    }

    fn strangers_find_closed_doors(&self, us: &Client) {
        let plant = format!(
            "cd /srv/{OURS}/wp-content && for place in uploads plugins; do \
             echo '<?php echo 6 * 7;' | runuser -u {OURS} -- tee $place/planted.php; done"
        );
        self.host.run(&plant).expect(0);
        for path in [
            "/xmlrpc.php",
            "/wp-config.php",
            "/wp-cron.php",
            "/wp-admin/install.php",
            "/wp-admin/setup-config.php",
            "/wp-includes/version.php",
            "/wp-content/uploads/planted.php",
            "/wp-content/plugins/planted.php",
            "/wp-content/plugins/planted.php/x.png",
            "/readme.html",
            "/.htaccess",
        ] {
            assert_eq!(us.get(path).code, "404", "{path}");
        }
        self.host
            .run(&format!("rm /srv/{OURS}/wp-content/*/planted.php"))
            .expect(0);
        let guess = [("log", "verwaltung"), ("pwd", "guess")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        let guesses = (0..40).map(|_| us.post("/wp-login.php", &guess).code);
        assert!(
            guesses.into_iter().any(|code| code == "429"),
            "passwords can be guessed without end"
        );
    }

    fn jobs_are_done(&self) {
        let unit = format!("{OURS}-cron.service");
        self.host
            .run(&format!(
                "systemctl start {unit} && systemctl show -p Result {unit}"
            ))
            .expect(0)
            .saying("Result=success");
        self.host
            .run(&format!("test -e /srv/{OURS}/state/cron"))
            .expect(0);
        // A database of an older WordPress is brought up to date by them.
        let version = |sql: &str| {
            let line = format!("mariadb --skip-column-names {OURS} -e \"{sql}\"");
            self.host.run(&line).expect(0).stdout.trim().to_owned()
        };
        let ask = "SELECT option_value FROM wp_options WHERE option_name = 'db_version'";
        let present = version(ask);
        version("UPDATE wp_options SET option_value = '50000' WHERE option_name = 'db_version'");
        self.host.run(&format!("systemctl start {unit}")).expect(0);
        assert_eq!(version(ask), present);
        // Without its database it fails, and does not take the site for one that has to be set up.
        self.host.run("systemctl stop mariadb").expect(0);
        self.host.run(&format!("systemctl start {unit}")).expect(1);
        self.world
            .run(&["plan", "web"])
            .expect(3)
            .saying("unknown, because MariaDB does not answer");
        self.host.run("systemctl start mariadb").expect(0);
        self.world.run(&["plan", "web"]).expect(0);
    }

    fn a_neighbour_moves_in(&self, password: &str) {
        let add = [
            "org",
            "add",
            "wg-nord",
            "--name",
            "WG Nord",
            "--sector",
            "flat-share",
        ];
        self.world.run(&add).expect(0);
        self.world.run(&["host", "edit", "web1", "--shared"]).expect(0);
        self.add("wg-nord", NEIGHBOUR);
        self.world.run(&["apply", "wg-nord/web", "--yes"]).expect(0);
        let them = Client::new(NEIGHBOUR, &self.host.address, &self.authority());
        them.get("/").showing("WG Nord");
        log_in(&them, "verwaltung", password).showing("id=\"loginform\"");
        self.host
            .run(&format!(
                "runuser -u {THEIRS} -- sh -c 'echo private > /srv/{THEIRS}/wp-content/uploads/rent.txt'"
            ))
            .expect(0);
        them.get("/wp-content/uploads/rent.txt").showing("private");
    }

    fn code_that_runs_here_finds_nothing_of_the_neighbour(&self, us: &Client) {
        for (reader, owner) in [(OURS, THEIRS), (THEIRS, OURS)] {
            let find = format!(
                "find / \\( -path /proc -o -path /sys \\) -prune -o \\( -user {owner} -o -group {owner} \\)"
            );
            let readable = self.host.run(&format!(
                "runuser -u {reader} -- {find} \\( -readable -o -writable \\) -print 2>/dev/null"
            ));
            assert_eq!(readable.stdout, "", "{reader} can read what belongs to {owner}");
            let sql = |user: &str, sql: &str| {
                self.host
                    .run(&format!("runuser -u {reader} -- mariadb -u {user} -e '{sql}'"))
            };
            sql(reader, "SHOW DATABASES")
                .expect(0)
                .saying(reader)
                .not_saying(owner);
            sql(owner, "SELECT 1").expect(1).saying("Access denied");
            sql("root", "SELECT 1").expect(1).saying("Access denied");
            let table = format!("SELECT user_pass FROM `{owner}`.wp_users");
            sql(reader, &table).expect(1).saying("denied");
        }
        // The same from inside the web server's processes, and by a link that the web server would follow.
        let plugins = format!("/srv/{OURS}/wp-content/mu-plugins");
        let write = format!("runuser -u {OURS} -- sh -c 'mkdir {plugins} && cat > {plugins}/try.php'");
        Finished::fed(&mut self.host.command(&write), BREAK_IN).expect(0);
        let found = json(&us.get("/?break-in=1"));
        let found = found.as_object().expect("the code ran");
        assert_eq!(found.len(), 7, "{found:?}");
        assert_eq!(found["own"], Value::Bool(true), "{found:?}");
        for (what, value) in found.iter().filter(|(what, _)| *what != "own") {
            assert_eq!(value, &Value::Bool(false), "{what}: {found:?}");
        }
        let uploads = format!("/srv/{OURS}/wp-content/uploads");
        let link = format!(
            "runuser -u {OURS} -- ln -s /srv/{THEIRS}/wp-content/uploads/rent.txt {uploads}/link.txt; \
             runuser -u {OURS} -- ln -s /srv/{THEIRS}/wp-content/uploads {uploads}/folder"
        );
        self.host.run(&link).expect(0);
        for path in ["link.txt", "folder/rent.txt"] {
            let page = us.get(&format!("/wp-content/uploads/{path}"));
            assert!(page.code != "200" && !page.body.contains("private"), "{page:?}");
        }
        self.host
            .run(&format!("rm -r {plugins} {uploads}/link.txt {uploads}/folder"))
            .expect(0);
    }

    fn secrets_are_where_they_belong(&self, password: &str) {
        let found = |secret: &str| {
            let places = "/etc /home /opt /root /run /srv /tmp /usr/local /var";
            let grep = format!("grep -rslF -f - --devices=skip --binary-files=text {places}");
            let found = Finished::fed(&mut self.host.command(&grep), &format!("{secret}\n"));
            assert!(found.code.is_some_and(|code| code <= 2), "{}", found.said());
            found.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(found(password), Vec::<String>::new());
        let keys = self.secret("kita-sonne/web", "keys");
        assert_eq!(found(&keys), ["/etc/wordpress/config-kita-sonneXweb.php"]);
        for secret in [password, &keys] {
            let files = self.world.files_with(secret);
            assert!(files.is_empty(), "a secret stands in {files:?}");
        }
    }
}

/// What somebody who got code into our site would try.
const BREAK_IN: &str = r#"<?php
if (isset($_GET['break-in'])) {
    error_reporting(0);
    mysqli_report(MYSQLI_REPORT_OFF);
    $them = 'wg-nord_web';
    echo json_encode([
        'own' => is_string(file_get_contents('/etc/wordpress/config-kita-sonneXweb.php')),
        'config' => file_get_contents('/etc/wordpress/config-wg-nordXweb.php'),
        'files' => (bool) scandir("/srv/$them/wp-content"),
        'key' => file_get_contents("/etc/allmende/$them/tls.key"),
        'database' => (bool) mysqli_connect('localhost', $them, '', $them, 0, '/run/mysqld/mysqld.sock'),
        'php' => (bool) stream_socket_client("unix:///run/$them-php/php.sock"),
        'cache' => (bool) preg_grep("/$them/", array_keys(opcache_get_status()['scripts'])),
    ]);
    exit;
}
"#;

/// A picture of one point.
const PICTURE: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00,
    0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x02, 0x00, 0x00, 0x00, 0x90, 0x77, 0x53, 0xde, 0x00,
    0x00, 0x00, 0x0c, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0xf8, 0x7f, 0x80, 0x01, 0x00, 0x04, 0x81,
    0x01, 0xc0, 0x77, 0xd9, 0x03, 0x1d, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60,
    0x82,
];

/// Logs in by the form and gives the page that follows.
#[track_caller]
fn log_in(client: &Client, user: &str, password: &str) -> Page {
    client
        .get("/wp-login.php")
        .form("loginform")
        .with("log", user)
        .with("pwd", password)
        .send(client)
}

#[track_caller]
fn json(page: &Page) -> Value {
    serde_json::from_str(&page.body)
        .unwrap_or_else(|error| panic!("{} ({}): {error}\n{}", page.url, page.code, page.body))
}
