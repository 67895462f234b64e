//! The whole way as a volunteer types it: from `init` to a wiki that is used, and what must not be seen on the way.

use std::path::Path;

use allmende_tests::{Client, Finished, HostAccess, Page, Witness, World};
use serde_json::Value;

#[test]
fn a_volunteer_sets_up_a_wiki_on_debian_12() {
    Journey::begin("12").travel();
}

#[test]
fn a_volunteer_sets_up_a_wiki_on_debian_13() {
    Journey::begin("13").travel();
}

const DOMAIN: &str = "wiki.kita-sonne.test";

struct Journey {
    world: World,
    host: HostAccess,
    release: &'static str,
    /// Everything that a command said which must not say secrets.
    said: String,
}

impl Journey {
    fn begin(release: &'static str) -> Self {
        let (world, hosts) = World::with_hosts(1, release);
        let host = hosts.into_iter().next().expect("one host was asked for");
        Self {
            world,
            host,
            release,
            said: String::new(),
        }
    }

    fn travel(mut self) {
        self.an_organisation_gets_a_host();
        self.templates_are_explained();
        let password = self.a_service_is_added();
        self.the_plan_shows_what_would_happen();
        self.an_apply_without_an_answer_changes_nothing();
        self.the_apply_sets_it_up(&password);
        self.a_second_apply_changes_nothing();
        let authority = self.world.authority();
        self.people_use_the_wiki(&password, &authority);
        self.an_edit_shows_as_a_small_difference();
        self.every_reading_command_speaks_json();
        self.the_secrets_are_where_they_belong(&password);
        self.a_neighbour_moves_in_and_sees_nothing(&password, &authority);
    }

    /// Runs a command and remembers what it said.
    #[track_caller]
    fn run(&mut self, arguments: &[&str], code: i32) -> Finished {
        let finished = self.world.run(arguments).expect(code);
        self.said.push_str(&finished.said());
        finished
    }

    fn an_organisation_gets_a_host(&mut self) {
        self.run(&["status"], 0).saying("allmende org add");
        let title = "KiTa Sonne e.V.";
        self.run(
            &["org", "add", "kita-sonne", "--name", title, "--sector", "kita"],
            0,
        )
        .saying("Added KiTa Sonne e.V. (kita-sonne).");
        let identity = self.host.identity.display().to_string();
        let (address, fingerprint) = (self.host.address.clone(), self.host.fingerprint.clone());
        let mut add = vec![
            "host",
            "add",
            "web1",
            "--org",
            "kita-sonne",
            "--address",
            &address,
        ];
        add.extend(["--identity", &identity]);
        // Nobody to ask: it says what it needs, with the fingerprint to compare.
        self.run(&add, 1).saying(&format!("--fingerprint {fingerprint}"));
        add.extend(["--fingerprint", &fingerprint]);
        self.run(&add, 0).saying("web1 is in Allmende's care");
        self.run(&["host", "list"], 0).saying(&address);
        self.run(&["host", "show", "web1"], 0).saying(&fingerprint);
        self.run(&["host", "facts", "web1"], 0).saying(self.release);
        // From now on the key only starts the agent: nothing of Allmende's on the host opens a shell.
        let keys = self.host.run("cat /root/.ssh/authorized_keys").expect(0);
        let ours: Vec<&str> = keys
            .stdout
            .lines()
            .filter(|line| line.contains("command="))
            .collect();
        assert!(
            matches!(ours.as_slice(), [line] if line.starts_with("restrict,command=")),
            "{}",
            keys.stdout
        );
    }

    fn templates_are_explained(&mut self) {
        self.run(&["template", "list"], 0).saying("dokuwiki");
        self.run(&["template", "show", "dokuwiki"], 0)
            .saying("You have to give")
            .saying("wiki.example.org");
        self.run(&["template", "lint"], 0).saying("no mistakes found");
    }

    fn a_service_is_added(&mut self) -> String {
        let domain = format!("domain={DOMAIN}");
        let mut add = vec!["service", "add", "wiki", "--org", "kita-sonne", "--host", "web1"];
        add.extend(["--template", "dokuwiki", "--set", &domain]);
        add.extend(["--set", "admin_email=anna@kita-sonne.test"]);
        let advice = self.run(&add, 0);
        let advised = advice
            .stdout
            .trim()
            .rsplit_once("allmende ")
            .map(|(_, rest)| rest.to_owned())
            .expect("it says what to do next");
        // What it advises works as it stands there.
        let advised: Vec<&str> = advised.split_whitespace().collect();
        self.run(&advised, 3);
        self.run(&["service", "show", "wiki"], 0).saying("not yet");
        // Not remembered among what was said: printing it is what this command is for.
        let password = self
            .world
            .run(&["service", "secret", "wiki", "admin_password"])
            .expect(0);
        let password = password.stdout.trim().to_owned();
        assert_eq!(password.chars().count(), 24);
        password
    }

    fn the_plan_shows_what_would_happen(&mut self) {
        self.run(&["plan", "wiki"], 3)
            .saying("kita-sonne/wiki on web1")
            .saying("+ user kita-sonne_wiki")
            .saying("Web server")
            .saying("+ firewall web (80/tcp, 443/tcp)")
            .saying("afterwards: reload nginx.service");
        self.run(&["plan", "wiki", "--verbose"], 3)
            .saying("+define('DOKU_CONF', '/srv/kita-sonne_wiki/conf/');")
            .saying("mode: 0640");
        let plan = self.run(&["plan", "wiki", "--json"], 3).json();
        let resources = plan["hosts"][0]["report"]["resources"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        assert!(resources.len() > 50, "{}", resources.len());
        assert_eq!(plan["problems"], Value::Array(Vec::new()));
        let user = self.host.run("getent passwd kita-sonne_wiki");
        assert_eq!(user.code, Some(2), "a plan changed something: {}", user.said());
    }

    fn an_apply_without_an_answer_changes_nothing(&mut self) {
        self.run(&["apply", "wiki"], 1)
            .saying("Add --yes if you are sure");
        self.run(&["apply", "wiki", "--dry-run"], 0).saying("to create");
        let user = self.host.run("getent passwd kita-sonne_wiki");
        assert_eq!(user.code, Some(2), "an apply that nobody agreed to did something");
    }

    fn the_apply_sets_it_up(&mut self, password: &str) {
        let witness = Witness::of(&self.host);
        let apply = self.run(&["apply", "wiki", "--yes"], 0);
        let seen = witness.tell();
        apply
            .saying("+ web1: user kita-sonne_wiki")
            .saying(&format!("https://{DOMAIN}/"))
            .saying("allmende service secret kita-sonne/wiki admin_password");
        let key = self.key("kita-sonne_wiki");
        for secret in key.iter().map(String::as_str).chain([password]) {
            for line in seen.on_host.iter().chain(&seen.here) {
                assert!(!line.contains(secret), "a process shows a secret: {line}");
            }
        }
        let seen_apply = seen.here.iter().any(|line| line.contains("apply wiki --yes"));
        assert!(seen_apply, "the witness did not see the apply");
    }

    /// The lines of the TLS key: what must be found nowhere else. The last one is left out, for it is part of the public key
    /// alone, which stands in the certificate as well.
    fn key(&self, instance: &str) -> Vec<String> {
        let path = format!("/etc/allmende/{instance}/tls.key");
        let key = self
            .host
            .run(&format!("cat {path}"))
            .expect(0)
            .saying("PRIVATE KEY")
            .stdout;
        let body = key.lines().filter(|line| !line.starts_with("-----"));
        let mut lines: Vec<String> = body.map(str::to_owned).collect();
        lines.pop();
        assert!(!lines.is_empty(), "{path} holds no key");
        lines
    }

    fn a_second_apply_changes_nothing(&mut self) {
        self.run(&["plan", "wiki"], 0)
            .saying("Nothing to change.")
            .saying("as they should be");
        self.run(&["apply", "wiki", "--yes"], 0)
            .saying("nothing to change");
        self.run(&["apply", "wiki"], 0).saying("Nothing to change.");
        self.run(&["status"], 0).saying("set up");
        self.run(&["service", "show", "wiki"], 0)
            .saying("upload_limit_mb = 64 (default)");
    }

    fn people_use_the_wiki(&mut self, password: &str, authority: &Path) {
        let anna = Client::new(DOMAIN, &self.host.address, authority);
        let welcome = anna.get(&format!("http://{DOMAIN}/"));
        assert_eq!(
            (welcome.code.as_str(), welcome.url.as_str()),
            ("200", format!("https://{DOMAIN}/").as_str())
        );
        let stranger = log_in(&anna, "not-the-password-of-anybody");
        assert!(
            stranger.body.contains("id=\"dw__login\""),
            "a wrong password was accepted"
        );
        let front = log_in(&anna, password);
        assert!(!front.body.contains("id=\"dw__login\""), "{}", front.body);
        let text = "Elternabend am 3. März, 19 Uhr: „Brot & Salz“ <gemeinsam>";
        write_page(&anna, "protokoll", text);
        anna.get("/protokoll").showing("Brot &amp; Salz");
        // What is on a page stays among members.
        let somebody = Client::new(DOMAIN, &self.host.address, authority).get("/protokoll");
        assert!(!somebody.body.contains("Salz"), "a stranger can read the wiki");
        // The page is a file of the service's own, and of nobody else.
        self.host
            .run("stat -c '%U:%G' /srv/kita-sonne_wiki/data/pages/protokoll.txt")
            .expect(0)
            .saying("kita-sonne_wiki:kita-sonne_wiki");
    }

    fn an_edit_shows_as_a_small_difference(&mut self) {
        self.run(&["service", "edit", "wiki", "--set", "upload_limit_mb=128"], 0)
            .saying("upload_limit_mb: its default → 128");
        self.run(&["plan", "wiki"], 3)
            .saying("~ file /etc/allmende/kita-sonne_wiki/php.d/90-service.ini")
            .saying("128M")
            .saying("afterwards: restart kita-sonne_wiki-php.service");
        // A renewed certificate is a difference that is not shown.
        self.run(
            &["service", "edit", "wiki", "--set", "domain=neu.kita-sonne.test"],
            0,
        );
        self.run(&["plan", "wiki", "--verbose"], 3)
            .saying("~ file /etc/allmende/kita-sonne_wiki/tls.key")
            .saying("not shown because it holds secrets");
        self.run(&["plan", "wiki", "--json"], 3);
        self.run(
            &["service", "edit", "wiki", "--set", &format!("domain={DOMAIN}")],
            0,
        );
        self.run(&["apply", "wiki", "--yes"], 0)
            .saying("restart kita-sonne_wiki-php.service");
        self.run(&["plan", "wiki"], 0);
    }

    fn every_reading_command_speaks_json(&mut self) {
        let commands: [&[&str]; 16] = [
            &["org", "list"],
            &["org", "show", "kita-sonne"],
            &["host", "list"],
            &["host", "show", "web1"],
            &["host", "facts", "web1"],
            &["service", "list"],
            &["service", "show", "wiki"],
            &["template", "list"],
            &["template", "show", "dokuwiki"],
            &["template", "lint"],
            &["job", "list"],
            &["job", "show", "1"],
            &["authority", "show"],
            &["audit", "list"],
            &["audit", "verify"],
            &["status"],
        ];
        for command in commands {
            self.run(command, 0);
            let command: Vec<&str> = command.iter().copied().chain(["--json"]).collect();
            let value = self.run(&command, 0).json();
            assert!(value.is_array() || value.is_object(), "{command:?}: {value}");
        }
        for command in [&["plan", "wiki", "--json"][..], &["lab", "list", "--json"]] {
            self.run(command, 0).json();
        }
    }

    fn the_secrets_are_where_they_belong(&mut self, password: &str) {
        let jobs = self.run(&["job", "list", "--limit", "1000", "--json"], 0).json();
        let jobs: Vec<String> = jobs
            .as_array()
            .into_iter()
            .flatten()
            .map(|job| job["id"].to_string())
            .collect();
        assert!(jobs.len() >= 6, "{jobs:?}");
        let told: String = jobs
            .iter()
            .map(|job| self.run(&["job", "show", job], 0).stdout)
            .collect();
        assert!(told.contains("+ web1: user kita-sonne_wiki"), "{told}");
        for job in &jobs {
            self.run(&["job", "show", job, "--json"], 0);
        }
        let key = self.key("kita-sonne_wiki");
        for secret in key
            .iter()
            .map(String::as_str)
            .chain([password, "PRIVATE KEY-----"])
        {
            assert!(!self.said.contains(secret), "a command said {secret}");
            let files = self.world.files_with(secret);
            assert!(files.is_empty(), "{secret} stands in {files:?}");
        }
        let files = self.world.files_with(DOMAIN);
        assert!(!files.is_empty(), "what is in the database is not found in it");
        // On the host the password is kept as a hash alone, and the key in its own file alone.
        let places = "/etc /home /opt /root /run /srv /tmp /usr/local /var";
        let grep = format!("grep -rslF -f - --devices=skip --binary-files=text {places}");
        let found = |secret: &str| {
            let mut command = self.host.command(&grep);
            let found = Finished::fed(&mut command, &format!("{secret}\n"));
            // Sockets and files that went away in between make it 2.
            assert!(found.code.is_some_and(|code| code <= 2), "{}", found.said());
            found.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(found(password), Vec::<String>::new());
        for line in &key {
            assert_eq!(found(line), ["/etc/allmende/kita-sonne_wiki/tls.key"]);
        }
    }

    fn a_neighbour_moves_in_and_sees_nothing(&mut self, password: &str, authority: &Path) {
        let title = "Förderverein Süd";
        let sector = "association";
        self.run(
            &["org", "add", "verein-sued", "--name", title, "--sector", sector],
            0,
        );
        let domain = "wiki.verein-sued.test";
        let set = format!("domain={domain}");
        let mut add = vec!["service", "add", "wiki", "--org", "verein-sued", "--host", "web1"];
        add.extend(["--template", "dokuwiki", "--set", &set]);
        self.run(&add, 1).saying("allmende host edit web1 --shared");
        self.run(&["host", "edit", "web1", "--shared"], 0);
        // From here on "wiki" is the name of two services, also in what the program advises.
        self.run(&add, 0).saying("allmende plan verein-sued/wiki");
        self.run(&["plan", "wiki"], 1)
            .saying("kita-sonne/wiki, verein-sued/wiki");
        self.run(&["apply", "verein-sued/wiki", "--yes"], 0);
        self.run(&["plan", "--all"], 0).saying("Nothing to change.");
        let secret = ["service", "secret", "verein-sued/wiki", "admin_password"];
        let other = self.world.run(&secret).expect(0).stdout.trim().to_owned();
        assert_ne!(password, other);

        let neighbour = Client::new(domain, &self.host.address, authority);
        let front = log_in(&neighbour, password);
        assert!(
            front.body.contains("id=\"dw__login\""),
            "one password opens both wikis"
        );
        let front = log_in(&neighbour, &other);
        assert!(!front.body.contains("id=\"dw__login\""), "{}", front.body);
        write_page(&neighbour, "kasse", "Kontostand 17,03 Euro");
        neighbour.get("/kasse").showing("17,03");
        let there = Client::new(DOMAIN, &self.host.address, authority);
        let _ = log_in(&there, password);
        there.get("/protokoll").showing("Brot");
        assert!(!there.get("/kasse").body.contains("17,03"));

        for (reader, owner) in [
            ("kita-sonne_wiki", "verein-sued_wiki"),
            ("verein-sued_wiki", "kita-sonne_wiki"),
        ] {
            let find = format!(
                "find / \\( -path /proc -o -path /sys \\) -prune -o \\( -user {owner} -o -group {owner} \\)"
            );
            let there = self.host.run(&format!("{find} -print 2>/dev/null")).stdout;
            assert!(there.lines().count() > 20, "{owner} owns nothing: {there}");
            let readable = self.host.run(&format!(
                "runuser -u {reader} -- {find} \\( -readable -o -writable \\) -print 2>/dev/null"
            ));
            assert_eq!(readable.stdout, "", "{reader} can read what belongs to {owner}");
            let key = format!("runuser -u {reader} -- cat /etc/allmende/{owner}/tls.key");
            let key = self.host.run(&key);
            assert!(
                key.code != Some(0) && key.stdout.is_empty(),
                "{reader} can read {owner}'s key"
            );
            let socket = format!("runuser -u {reader} -- test -w /run/{owner}-php/php.sock");
            assert_eq!(
                self.host.run(&socket).code,
                Some(1),
                "{reader} can talk to {owner}'s PHP"
            );
        }
        for line in self.key("verein-sued_wiki") {
            assert!(!self.said.contains(&line) && self.world.files_with(&line).is_empty());
        }
        assert!(!self.said.contains(&other) && self.world.files_with(&other).is_empty());
        self.run(&["audit", "verify"], 0).saying("none was changed");
    }
}

/// Logs in by the form on the front page and gives the page that follows.
#[track_caller]
fn log_in(client: &Client, password: &str) -> Page {
    client
        .get("/start?do=login")
        .form("dw__login")
        .with("u", "admin")
        .with("p", password)
        .send(client)
}

#[track_caller]
fn write_page(client: &Client, name: &str, text: &str) {
    let saved = client
        .get(&format!("/{name}?do=edit"))
        .form("dw__editform")
        .with("wikitext", text)
        .with("summary", "ein Versuch")
        .with("do[save]", "1")
        .send(client);
    assert_eq!(saved.code, "200", "{}", saved.body);
}
