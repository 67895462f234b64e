//! Outgoing mail through a provider: it arrives with the right sender, waits while the provider is away, and a wrong password
//! is said.

use std::path::Path;
use std::time::{Duration, Instant};

use allmende_tests::{Finished, HostAccess, Witness, World};
use serde_json::{Value, json};

#[test]
fn mail_goes_out_waits_and_arrives_on_debian_12() {
    Post::begin("12").travel();
}

#[test]
fn mail_goes_out_waits_and_arrives_on_debian_13() {
    Post::begin("13").travel();
}

const PROVIDER: &str = "smtp.provider.test";
const PASSWORD: &str = "what-the-provider-wants";

struct Post {
    world: World,
    host: HostAccess,
    provider: HostAccess,
}

impl Post {
    fn begin(release: &str) -> Self {
        let (world, hosts) = World::with_hosts(2, release);
        let [host, provider] = <[HostAccess; 2]>::try_from(hosts).expect("two hosts were asked for");
        world.care_for("web1", &host);
        Self {
            world,
            host,
            provider,
        }
    }

    fn travel(self) {
        self.a_provider_opens();
        self.the_service_is_set_up();
        self.mail_of_services_arrives();
        self.mail_to_root_reaches_a_person();
        self.a_test_mail_goes();
        self.mail_waits_while_the_provider_is_away();
        self.a_wrong_password_is_said();
        self.nobody_outside_gets_in();
        self.a_second_one_is_refused();
        self.it_goes();
    }

    fn a_provider_opens(&self) {
        let install = "DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet python3-aiosmtpd openssl";
        self.provider.run(install).expect(0);
        let certificate = format!(
            "cd /root && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={PROVIDER} \
             -addext subjectAltName=DNS:{PROVIDER} -keyout key.pem -out certificate.pem && cat certificate.pem"
        );
        let certificate = self.provider.run(&certificate).expect(0).stdout;
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/smtp_provider.py");
        let program = std::fs::read_to_string(program).expect("reads the provider");
        let put = |host: &HostAccess, path: &str, content: &str| {
            Finished::fed(&mut host.command(&format!("cat > {path}")), content).expect(0);
        };
        put(&self.provider, "/root/provider.py", &program);
        put(&self.provider, "/root/password", PASSWORD);
        self.start_provider();
        put(
            &self.host,
            "/usr/local/share/ca-certificates/provider.crt",
            &certificate,
        );
        let known = format!(
            "apt-get install --yes --quiet ca-certificates >/dev/null; update-ca-certificates && \
             echo {} {PROVIDER} >> /etc/hosts",
            self.provider.address
        );
        self.host.run(&known).expect(0);
    }

    fn start_provider(&self) {
        let start = "rm -f /root/mails; touch /root/mails; systemd-run --unit provider --collect \
                     python3 /root/provider.py /root/certificate.pem /root/key.pem /root/password /root/mails";
        self.provider.run(start).expect(0);
        wait("the provider listens", || {
            self.provider
                .run("ss -Hltn 'sport = :587'")
                .stdout
                .contains("587")
        });
    }

    fn the_service_is_set_up(&self) {
        let file = self.world.data_dir().join("password-of-the-test");
        std::fs::write(&file, PASSWORD).expect("writes the password");
        let secret = format!("password={}", file.display());
        let provider = format!("provider={PROVIDER}");
        let mut add = vec!["service", "add", "mail", "--org", "kita-sonne", "--host", "web1"];
        add.extend(["--template", "mail-relay", "--set", &provider]);
        add.extend(["--set", "user=technik@kita-sonne.test"]);
        add.extend(["--set", "sender=technik@kita-sonne.test"]);
        add.extend(["--set", "recipient=anna@kita-sonne.test"]);
        add.extend(["--secret-file", &secret]);
        self.world.run(&add).expect(0);
        std::fs::remove_file(&file).expect("removes the password");
        let witness = Witness::of(&self.host);
        self.world.run(&["apply", "mail", "--yes"]).expect(0);
        let seen = witness.tell();
        for line in seen.on_host.iter().chain(&seen.here) {
            assert!(!line.contains(PASSWORD), "a process shows the password: {line}");
        }
        self.world
            .run(&["apply", "mail", "--yes"])
            .expect(0)
            .saying("nothing to change");
        self.host
            .run("stat -c '%U:%G %a' /etc/allmende/kita-sonne_mail/password")
            .expect(0)
            .saying("root:root 600");
    }

    fn send(&self, user: &str, to: &str, subject: &str) {
        let line = format!("runuser -u {user} -- /usr/sbin/sendmail -i {to}");
        let mail =
            format!("From: Das Wiki <{user}@anywhere.test>\nTo: {to}\nSubject: {subject}\n\nGuten Tag!\n");
        Finished::fed(&mut self.host.command(&line), &mail).expect(0);
    }

    /// The mail with this subject, as soon as the provider has it.
    fn arrived(&self, subject: &str) -> Value {
        let mut found = Value::Null;
        wait(&format!("{subject} arrives"), || {
            let mails = self.provider.run("cat /root/mails").expect(0).stdout;
            let mails = mails.lines().map(|line| {
                serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            });
            found = mails
                .rev()
                .find(|mail| {
                    mail["content"]
                        .as_str()
                        .is_some_and(|text| text.contains(subject))
                })
                .unwrap_or_default();
            !found.is_null()
        });
        found
    }

    fn mail_of_services_arrives(&self) {
        self.host
            .run("useradd --system kita-sonne_wiki; useradd --system wg-nord_cloud")
            .expect(0);
        for user in ["kita-sonne_wiki", "wg-nord_cloud"] {
            let subject = format!("Elternabend-{user}");
            self.send(user, "eltern@anderswo.test", &subject);
            let mail = self.arrived(&subject);
            assert_eq!(mail["login"], json!("technik@kita-sonne.test"));
            assert_eq!(mail["tls"], json!(true));
            assert_eq!(mail["from"], json!("technik@kita-sonne.test"));
            assert_eq!(mail["to"], json!(["eltern@anderswo.test"]));
            let content = mail["content"].as_str().unwrap_or_default();
            assert!(
                content.contains("From: Das Wiki <technik@kita-sonne.test>"),
                "{content}"
            );
        }
        self.queue(0).saying("no mail is waiting");
    }

    fn mail_to_root_reaches_a_person(&self) {
        self.send("root", "root", "Platte-voll");
        let mail = self.arrived("Platte-voll");
        assert_eq!(mail["to"], json!(["anna@kita-sonne.test"]));
    }

    fn a_test_mail_goes(&self) {
        let to = ["test", "--set", "to=eltern@anderswo.test"];
        self.world.action("mail", &to).expect(0);
        assert_eq!(
            self.arrived("Probemail / test mail")["to"],
            json!(["eltern@anderswo.test"])
        );
    }

    /// What the check says about the queue.
    fn queue(&self, code: i32) -> Finished {
        self.host.run("/etc/allmende/kita-sonne_mail/queue").expect(code)
    }

    fn mail_waits_while_the_provider_is_away(&self) {
        self.provider.run("systemctl stop provider").expect(0);
        self.send("kita-sonne_wiki", "eltern@anderswo.test", "Warten");
        wait("the mail waits", || {
            self.host.run("postqueue -j").stdout.contains("\"deferred\"")
        });
        self.queue(1)
            .saying("1 waiting, the oldest for 0 minutes")
            .saying("refused");
        self.start_provider();
        self.world
            .action("mail", &["queue"])
            .expect(0)
            .saying("eltern@anderswo.test");
        self.world.action("mail", &["retry"]).expect(0);
        self.arrived("Warten");
        wait("the queue is empty", || {
            self.host
                .run("/etc/allmende/kita-sonne_mail/queue")
                .code
                .is_some_and(|code| code == 0)
        });
    }

    fn a_wrong_password_is_said(&self) {
        self.provider
            .run("echo another-password > /root/password")
            .expect(0);
        self.send("kita-sonne_wiki", "eltern@anderswo.test", "Falsch");
        wait("the mail waits", || {
            self.host.run("postqueue -j").stdout.contains("\"deferred\"")
        });
        self.queue(2).saying("authentication failed").not_saying(PASSWORD);
        let secret = self.world.data_dir().join("password-of-the-test");
        std::fs::write(&secret, "another-password").expect("writes the password");
        let set = format!("password={}", secret.display());
        self.world
            .run(&["service", "edit", "mail", "--secret-file", &set])
            .expect(0);
        std::fs::remove_file(&secret).expect("removes the password");
        self.world
            .run(&["apply", "mail", "--yes"])
            .expect(0)
            .saying("restart postfix.service");
        self.host.run("postqueue -f").expect(0);
        self.arrived("Falsch");
        for secret in [PASSWORD, "another-password"] {
            assert!(self.world.files_with(secret).is_empty());
            let grep = format!("runuser -u kita-sonne_wiki -- grep -rsl {secret} /etc /var/log /var/spool");
            assert_eq!(self.host.run(&grep).stdout, "");
        }
    }

    fn nobody_outside_gets_in(&self) {
        let listening = self.host.run("ss -Hltn 'sport = :25'").expect(0).stdout;
        assert!(listening.contains("127.0.0.1:25"), "{listening}");
        assert!(
            !listening.contains("0.0.0.0:25") && !listening.contains("*:25"),
            "{listening}"
        );
    }

    /// What waits stays as long as nobody says that data shall go.
    fn it_goes(&self) {
        self.provider.run("systemctl stop provider").expect(0);
        self.send("kita-sonne_wiki", "eltern@anderswo.test", "Zu-spät");
        wait("the mail waits", || {
            self.host.run("postqueue -j").stdout.contains("\"deferred\"")
        });
        let waiting = "find /var/spool/postfix/deferred -type f | wc -l";
        let remove = ["service", "remove", "mail", "--yes"];
        self.world.run(&remove).expect(0);
        assert_eq!(self.host.run(waiting).stdout.trim(), "1");
        self.the_service_is_set_up();
        let all = [&remove[..], &["--delete-data"]].concat();
        self.world.run(&all).expect(0).saying("nothing of its data stays");
        assert_eq!(self.host.run(waiting).stdout.trim(), "0");
        self.host.run("systemctl is-active postfix").expect(3);
    }

    fn a_second_one_is_refused(&self) {
        let mut add = vec!["service", "add", "more", "--org", "kita-sonne", "--host", "web1"];
        add.extend(["--template", "mail-relay", "--set", "provider=smtp.other.test"]);
        add.extend(["--set", "user=a", "--set", "sender=a@kita-sonne.test"]);
        self.world
            .run(&add)
            .expect(1)
            .saying("a host has only one mail-relay")
            .saying("kita-sonne/mail");
    }
}

/// Waits until something holds, for half a minute.
#[track_caller]
fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "not within 30 seconds: {what}"
        );
        std::thread::sleep(Duration::from_millis(300));
    }
}
