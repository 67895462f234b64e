//! Where a site's certificate comes from, and that the site goes on while that changes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use allmende_tests::{Client, Finished, HostAccess, World};

const DOMAIN: &str = "www.kita-sonne.test";
const NEW_DOMAIN: &str = "neu.kita-sonne.test";
const DIRECTORY: &str = "https://localhost:14000/dir";

#[test]
fn a_certificate_changes_hands_on_debian_12() {
    Site::begin("12").travel();
}

#[test]
fn a_certificate_changes_hands_on_debian_13() {
    Site::begin("13").travel();
}

struct Site {
    world: World,
    host: HostAccess,
    /// The controller's own root.
    authority: PathBuf,
}

impl Site {
    fn begin(release: &str) -> Self {
        let (world, hosts) = World::with_hosts(1, release);
        let host = hosts.into_iter().next().expect("one host was asked for");
        world.care_for("web1", &host);
        let folder = world.data_dir().join("website");
        std::fs::create_dir(&folder).expect("made");
        std::fs::write(folder.join("index.html"), "<h1>KiTa Sonne</h1>").expect("written");
        let (source, domain) = (format!("source={}", folder.display()), format!("domain={DOMAIN}"));
        let mut add = vec!["service", "add", "site", "--org", "kita-sonne", "--host", "web1"];
        add.extend(["--template", "static-site", "--set", &source, "--set", &domain]);
        world.run(&add).expect(0);
        world.run(&["apply", "site", "--yes"]).expect(0);
        let authority = world.authority();
        Self {
            world,
            host,
            authority,
        }
    }

    fn travel(self) {
        self.trusted_by(&self.authority);
        let visitor = Visitor::begin(&self.host);
        self.the_exported_root_is_the_one_that_signs();
        self.a_failing_acme_server_changes_nothing();
        let root = self.acme_takes_over();
        self.a_renewal_reaches_visitors(&root);
        self.files_that_do_not_fit_change_nothing();
        self.files_take_over();
        self.it_goes_home_again();
        visitor.was_always_served();
        self.a_domain_moves();
    }

    fn the_exported_root_is_the_one_that_signs(&self) {
        let shown = self.world.run(&["authority", "show", "--json"]).expect(0).json();
        let told = shown["fingerprint"].as_str().unwrap_or_default().to_owned();
        self.world.run(&["authority", "show"]).expect(0).saying(&told);
        let mut openssl = Command::new("openssl");
        openssl.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]);
        Finished::of(openssl.arg(&self.authority))
            .expect(0)
            .saying(&format!("Fingerprint={told}"));
    }

    fn a_failing_acme_server_changes_nothing(&self) {
        let before = self.serial();
        self.set(&["tls=acme", &format!("acme_directory={DIRECTORY}")]);
        // Nobody there.
        self.world
            .run(&["apply", "site", "--yes"])
            .expect(1)
            .saying(&format!("there is no certificate for {DOMAIN}"))
            .saying("Connection refused")
            .saying("port 80 must be open");
        // Somebody there, but the DNS does not know the domain.
        self.acme_server_starts();
        self.world
            .run(&["apply", "site", "--yes"])
            .expect(1)
            .saying(&format!("there is no certificate for {DOMAIN}"))
            .saying("no such host")
            .saying(&format!("in the DNS {DOMAIN} must point to this server"));
        assert_eq!(self.serial(), before);
        self.host.run("nginx -t && systemctl restart nginx").expect(0);
        self.trusted_by(&self.authority);
    }

    /// Pebble, the ACME server for tests, on the host itself, where it finds port 80 and the domain.
    fn acme_server_starts(&self) {
        let config = format!(
            r#"{{"pebble": {{"listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000",
            "certificate": "{0}/cert.pem", "privateKey": "{0}/key.pem", "httpPort": 80, "tlsPort": 443}}}}"#,
            "/etc/pebble-test"
        );
        self.host
            .run(&format!(
                "set -e; apt-get -qq update; apt-get -qq -y install pebble >/dev/null; mkdir /etc/pebble-test; \
                 cd /etc/pebble-test; echo '{config}' >config.json; \
                 openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 \
                   -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null; \
                 cp cert.pem /usr/local/share/ca-certificates/pebble-test.crt; update-ca-certificates >/dev/null; \
                 systemd-run --quiet --unit=pebble-test -E PEBBLE_VA_NOSLEEP=1 -E PEBBLE_WFE_NONCEREJECT=0 \
                   pebble -config /etc/pebble-test/config.json; \
                 for try in $(seq 50); do curl -sf {DIRECTORY} >/dev/null && exit 0; sleep 0.2; done; exit 1"
            ))
            .expect(0);
    }

    fn acme_takes_over(&self) -> PathBuf {
        // Pebble looks into /etc/hosts every five seconds.
        self.host
            .run(&format!(
                "echo '127.0.0.1 {DOMAIN} {NEW_DOMAIN}' >>/etc/hosts; sleep 6"
            ))
            .expect(0);
        self.set(&["acme_email=technik@kita-sonne.test"]);
        self.world.run(&["apply", "site", "--yes"]).expect(0);
        self.world.run(&["plan", "site"]).expect(0);
        let roots = self
            .host
            .run("curl -sf https://localhost:15000/roots/0")
            .expect(0)
            .stdout;
        let root = self.world.data_dir().join("acme-root.pem");
        std::fs::write(&root, roots).expect("written");
        self.trusted_by(&root);
        self.host.run("systemctl is-active certbot.timer").expect(0);
        // The key is root's alone: not the web server's, not the service's.
        for user in ["www-data", "kita-sonne_site"] {
            let key = "/etc/letsencrypt/live/kita-sonne_site/privkey.pem";
            self.host
                .run(&format!("runuser -u {user} -- cat {key}"))
                .expect(1)
                .saying("Permission denied");
        }
        root
    }

    fn a_renewal_reaches_visitors(&self, root: &Path) {
        let before = self.serial();
        self.host
            .run("certbot renew --force-renewal --no-random-sleep-on-renew")
            .expect(0);
        assert_ne!(self.serial(), before);
        self.trusted_by(root);
        self.world.run(&["plan", "site"]).expect(0);
    }

    fn a_domain_moves(&self) {
        self.set(&[&format!("domain={NEW_DOMAIN}")]);
        self.world.run(&["apply", "site", "--yes"]).expect(0);
        self.world.run(&["plan", "site"]).expect(0);
        let matches = format!(
            "sleep 1; openssl s_client -connect 127.0.0.1:443 -servername {NEW_DOMAIN} </dev/null 2>/dev/null | \
             openssl x509 -noout -checkhost {NEW_DOMAIN}"
        );
        self.host.run(&matches).expect(0).saying("does match");
    }

    fn files_that_do_not_fit_change_nothing(&self) {
        let before = self.serial();
        self.host
            .run(&format!(
                "set -e; mkdir /etc/ssl/site; cd /etc/ssl/site; \
                 openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 \
                   -subj /CN={DOMAIN} -addext subjectAltName=DNS:{DOMAIN} 2>/dev/null; \
                 openssl req -x509 -newkey rsa:2048 -nodes -keyout other.pem -out other-cert.pem -days 2 \
                   -subj /CN=other.test -addext subjectAltName=DNS:other.test 2>/dev/null"
            ))
            .expect(0);
        for (certificate, key, complaint) in [
            ("nothing.pem", "key.pem", "nothing.pem is not there"),
            ("cert.pem", "other.pem", "other.pem is not the private key"),
            ("other-cert.pem", "other.pem", "is no certificate for"),
            ("key.pem", "key.pem", "holds no certificate"),
        ] {
            let certificate = format!("certificate_file=/etc/ssl/site/{certificate}");
            self.set(&[
                "tls=files",
                &certificate,
                &format!("key_file=/etc/ssl/site/{key}"),
            ]);
            self.world
                .run(&["apply", "site", "--yes"])
                .expect(1)
                .saying(complaint)
                .saying("the site stays as it is");
        }
        assert_eq!(self.serial(), before);
    }

    fn files_take_over(&self) {
        let (certificate, key) = ("/etc/ssl/site/cert.pem", "/etc/ssl/site/key.pem");
        self.set(&[
            &format!("certificate_file={certificate}"),
            &format!("key_file={key}"),
        ]);
        self.world.run(&["apply", "site", "--yes"]).expect(0);
        self.world.run(&["plan", "site"]).expect(0);
        let own = self.world.data_dir().join("own.pem");
        let text = self.host.run(&format!("cat {certificate}")).expect(0).stdout;
        std::fs::write(&own, text).expect("written");
        self.trusted_by(&own);
        // certbot has nothing left to renew.
        self.host
            .run("find /etc/letsencrypt/live /etc/letsencrypt/archive /etc/letsencrypt/renewal -name 'kita-sonne*'")
            .expect(0)
            .not_saying("kita-sonne_site\n")
            .not_saying("kita-sonne_site.conf");
        self.host.run("nginx -t").expect(0);
    }

    fn it_goes_home_again(&self) {
        self.set(&["tls=internal"]);
        self.world.run(&["apply", "site", "--yes"]).expect(0);
        self.world.run(&["plan", "site"]).expect(0);
        self.trusted_by(&self.authority);
        // And back, where certbot starts anew.
        self.set(&["tls=acme"]);
        self.world.run(&["apply", "site", "--yes"]).expect(0);
        self.trusted_by(&self.world.data_dir().join("acme-root.pem"));
    }

    fn set(&self, values: &[&str]) {
        let mut edit = vec!["service", "edit", "site"];
        for value in values {
            edit.extend(["--set", value]);
        }
        self.world.run(&edit).expect(0);
    }

    /// A visitor who trusts this root, and no other, sees the site. nginx takes a moment from a reload to its new workers.
    fn trusted_by(&self, root: &Path) {
        let trusted = || {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--output", "/dev/null", "--cacert"])
                .arg(root)
                .args(["--resolve", &format!("{DOMAIN}:443:{}", self.host.address)])
                .arg(format!("https://{DOMAIN}/"));
            Finished::of(&mut curl).code == Some(0)
        };
        for _ in 0..20 {
            if trusted() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Client::new(DOMAIN, &self.host.address, root)
            .get("/")
            .showing("KiTa Sonne");
    }

    /// The serial number of the certificate that visitors are shown.
    fn serial(&self) -> String {
        let show = format!(
            "openssl s_client -connect 127.0.0.1:443 -servername {DOMAIN} </dev/null 2>/dev/null | openssl x509 -noout -serial"
        );
        self.host.run(&show).expect(0).saying("serial=").stdout
    }
}

/// Somebody who asks for the site again and again and does not look at certificates.
struct Visitor {
    done: Arc<AtomicBool>,
    asking: JoinHandle<Vec<String>>,
}

impl Visitor {
    fn begin(host: &HostAccess) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let (address, leaving) = (host.address.clone(), Arc::clone(&done));
        let asking = std::thread::spawn(move || {
            let mut complaints = Vec::new();
            while !leaving.load(Ordering::Relaxed) {
                let mut curl = Command::new("curl");
                curl.args([
                    "--silent",
                    "--show-error",
                    "--insecure",
                    "--fail",
                    "--max-time",
                    "10",
                ])
                .args(["--resolve", &format!("{DOMAIN}:443:{address}")])
                // As browsers do: a connection that nginx closes before it answers, while it reloads, is tried anew.
                .args(["--retry", "3", "--retry-all-errors", "--retry-delay", "1"])
                .arg(format!("https://{DOMAIN}/"));
                let answer = Finished::of(&mut curl);
                if answer.code != Some(0) || !answer.stdout.contains("KiTa Sonne") {
                    complaints.push(answer.said());
                }
                std::thread::sleep(Duration::from_millis(200));
            }
            complaints
        });
        Self { done, asking }
    }

    fn was_always_served(self) {
        self.done.store(true, Ordering::Relaxed);
        let complaints = self.asking.join().expect("the visitor ends well");
        assert_eq!(complaints, Vec::<String>::new());
    }
}
