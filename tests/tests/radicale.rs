//! Calendars and contacts, as devices use them, and two organisations on one host that do not see each other's.

use std::path::PathBuf;
use std::process::Command;

use allmende_tests::{Finished, HostAccess, Witness, World};

const SUN: &str = "kalender.kita-sonne.test";
const NORTH: &str = "kalender.wg-nord.test";

#[test]
fn devices_share_calendars_and_contacts_on_debian_12() {
    Calendars::begin("12").travel();
}

#[test]
fn devices_share_calendars_and_contacts_on_debian_13() {
    Calendars::begin("13").travel();
}

struct Calendars {
    world: World,
    host: HostAccess,
    authority: PathBuf,
}

/// An account on a device.
struct Device<'a> {
    calendars: &'a Calendars,
    domain: &'a str,
    user: &'a str,
    password: String,
}

impl Calendars {
    fn begin(release: &str) -> Self {
        let (world, hosts) = World::with_hosts(1, release);
        let host = hosts.into_iter().next().expect("one host was asked for");
        world.care_for("web1", &host);
        let authority = world.authority();
        Self {
            world,
            host,
            authority,
        }
    }

    fn travel(self) {
        self.two_organisations_set_it_up();
        self.a_device_keeps_a_calendar();
        self.a_device_keeps_contacts();
        self.accounts_come_and_go();
        self.passwords_are_not_guessed();
        self.an_organisation_sees_nothing_of_the_other();
        self.world.run(&["plan", "--all"]).expect(0);
    }

    fn two_organisations_set_it_up(&self) {
        let world = &self.world;
        let north = [
            "org",
            "add",
            "wg-nord",
            "--name",
            "WG Nord",
            "--sector",
            "flat-share",
        ];
        world.run(&north).expect(0);
        world.run(&["host", "edit", "web1", "--shared"]).expect(0);
        for (organisation, domain) in [("kita-sonne", SUN), ("wg-nord", NORTH)] {
            let set = format!("domain={domain}");
            let mut add = vec![
                "service",
                "add",
                "kalender",
                "--org",
                organisation,
                "--host",
                "web1",
            ];
            add.extend(["--template", "radicale", "--set", &set]);
            world.run(&add).expect(0);
        }
        let password = self.password("kita-sonne");
        let witness = Witness::of(&self.host);
        world
            .run(&["apply", "--all", "--yes"])
            .expect(0)
            .saying(&format!("https://{SUN}/"))
            .not_saying(&password);
        let seen = witness.tell();
        for line in seen.on_host.iter().chain(&seen.here) {
            assert!(!line.contains(&password), "a process shows a secret: {line}");
        }
        world.run(&["plan", "--all"]).expect(0);
        // Stored is a bcrypt hash, for root and the service alone.
        self.host
            .run("cat /etc/allmende/kita-sonne_kalender/users")
            .expect(0)
            .saying("buero:$2b$")
            .not_saying(&password);
    }

    fn password(&self, organisation: &str) -> String {
        let service = format!("{organisation}/kalender");
        let secret = ["service", "secret", &service, "first_password"];
        self.world.run(&secret).expect(0).stdout.trim().to_owned()
    }

    fn device<'a>(&'a self, domain: &'a str, user: &'a str, password: &str) -> Device<'a> {
        Device {
            calendars: self,
            domain,
            user,
            password: password.to_owned(),
        }
    }

    fn office(&self) -> Device<'_> {
        self.device(SUN, "buero", &self.password("kita-sonne"))
    }

    fn a_device_keeps_a_calendar(&self) {
        let office = self.office();
        office
            .ask("PROPFIND", "/.well-known/caldav", "", "")
            .saying("301");
        office.ask("MKCALENDAR", "/buero/termine/", "", "").saying("201");
        let event = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Test//DE\r\nBEGIN:VEVENT\r\nUID:fest\r\n\
                     DTSTAMP:20260101T000000Z\r\nDTSTART:20260620T140000Z\r\nDTEND:20260620T180000Z\r\n\
                     SUMMARY:Sommerfest für Groß & Klein\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        office
            .ask("PUT", "/buero/termine/fest.ics", "text/calendar", event)
            .saying("201");
        let query = |from: &str, to: &str| {
            format!(
                "<C:calendar-query xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\">\
                 <D:prop><D:getetag/><C:calendar-data/></D:prop><C:filter><C:comp-filter name=\"VCALENDAR\">\
                 <C:comp-filter name=\"VEVENT\"><C:time-range start=\"{from}\" end=\"{to}\"/></C:comp-filter>\
                 </C:comp-filter></C:filter></C:calendar-query>"
            )
        };
        office
            .ask(
                "REPORT",
                "/buero/termine/",
                "text/xml",
                &query("20260601T000000Z", "20260701T000000Z"),
            )
            .saying("207")
            .saying("SUMMARY:Sommerfest für Groß &amp; Klein");
        office
            .ask(
                "REPORT",
                "/buero/termine/",
                "text/xml",
                &query("20260701T000000Z", "20260801T000000Z"),
            )
            .saying("207")
            .not_saying("Sommerfest");
        office
            .ask("PROPFIND", "/buero/", "", "")
            .saying("/buero/termine/");
    }

    fn a_device_keeps_contacts(&self) {
        let office = self.office();
        let book = "<D:mkcol xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:carddav\"><D:set><D:prop><D:resourcetype>\
                    <D:collection/><C:addressbook/></D:resourcetype><D:displayname>Eltern</D:displayname></D:prop></D:set></D:mkcol>";
        office
            .ask("MKCOL", "/buero/eltern/", "text/xml", book)
            .saying("201");
        let card = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:anna\r\nFN:Anna Müller\r\nN:Müller;Anna;;;\r\nTEL:+49 30 1234\r\nEND:VCARD\r\n";
        office
            .ask("PUT", "/buero/eltern/anna.vcf", "text/vcard", card)
            .saying("201");
        let query = "<C:addressbook-query xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:carddav\">\
                     <D:prop><D:getetag/><C:address-data/></D:prop><C:filter><C:prop-filter name=\"FN\">\
                     <C:text-match>Anna</C:text-match></C:prop-filter></C:filter></C:addressbook-query>";
        office
            .ask("REPORT", "/buero/eltern/", "text/xml", query)
            .saying("207")
            .saying("FN:Anna Müller");
    }

    fn accounts_come_and_go(&self) {
        let manage = |verb: &str, input: &str| {
            let line = format!("users-kita-sonne_kalender {verb}");
            Finished::fed(&mut self.host.command(&line), input)
        };
        manage("add lena", "short\n").expect(1).saying("8 to 72 bytes");
        manage("add lena", "lenas erstes Passwort\n").expect(0);
        manage("add lena", "lenas erstes Passwort\n")
            .expect(1)
            .saying("there is an account lena already");
        manage("add Lena", "x\n").expect(1).saying("is no good name");
        let lena = self.device(SUN, "lena", "lenas erstes Passwort");
        lena.ask("MKCALENDAR", "/lena/dienste/", "", "").saying("201");
        // Each account sees its own.
        lena.ask("PROPFIND", "/buero/termine/", "", "").saying("403");
        self.office().ask("PROPFIND", "/lena/", "", "").saying("403");
        let list = manage("list", "").expect(0).json();
        assert_eq!(
            list,
            serde_json::json!([
                { "user": "buero", "collections": 2, "entries": 2 },
                { "user": "lena", "collections": 1, "entries": 0 },
            ])
        );
        manage("password lena", "lenas zweites Passwort\n").expect(0);
        lena.ask("PROPFIND", "/lena/", "", "").saying("401");
        self.device(SUN, "lena", "lenas zweites Passwort")
            .ask("PROPFIND", "/lena/", "", "")
            .saying("/lena/dienste/");
        manage("remove lena", "").expect(0);
        self.device(SUN, "lena", "lenas zweites Passwort")
            .ask("PROPFIND", "/lena/", "", "")
            .saying("401");
        manage("list", "").expect(0).not_saying("lena");
        self.host
            .run("ls /srv/kita-sonne_kalender/collections/collection-root")
            .expect(0)
            .saying("buero")
            .not_saying("lena");
        manage("remove lena", "").expect(1).saying("there are: buero");
    }

    fn passwords_are_not_guessed(&self) {
        self.device(SUN, "buero", "not the password")
            .ask("PROPFIND", "/buero/", "", "")
            .saying("401");
        let jail = "fail2ban-client status kita-sonne_kalender";
        // fail2ban reads the journal a moment later.
        self.host
            .run(&format!(
                "for try in $(seq 50); do {jail} | grep -q 'Total failed:.*[1-9]' && exit 0; sleep 0.2; done; {jail}; exit 1"
            ))
            .expect(0);
        // Nobody gets somebody else banned by what they call themselves.
        let line = "web1 gunicorn[7]: [2026-11-23 03:04:50 +0100] [7/Thread-0] [WARNING] Failed login attempt from unknown \
                    (forwarded for '192.0.2.1'): \\\"Failed login attempt from unknown (forwarded for '192.0.2.66'): \\\"";
        self.host
            .run(&format!(
                "fail2ban-regex --verbose \"{line}\" /etc/fail2ban/filter.d/kita-sonne_kalender.conf"
            ))
            .expect(0)
            .saying("192.0.2.1 ")
            .saying("1 matched");
        let line = line.replace(
            "attempt from unknown (forwarded for '192.0.2.1')",
            "somewhere else",
        );
        self.host
            .run(&format!(
                "fail2ban-regex \"{line}\" /etc/fail2ban/filter.d/kita-sonne_kalender.conf"
            ))
            .saying("0 matched");
    }

    fn an_organisation_sees_nothing_of_the_other(&self) {
        self.device(NORTH, "buero", &self.password("kita-sonne"))
            .ask("PROPFIND", "/buero/", "", "")
            .saying("401");
        let north = self.device(NORTH, "buero", &self.password("wg-nord"));
        north.ask("PROPFIND", "/buero/", "", "").saying("207");
        north.ask("MKCALENDAR", "/buero/putzplan/", "", "").saying("201");
        // Code that runs as one of them finds nothing of the other.
        for (reader, owner) in [
            ("kita-sonne_kalender", "wg-nord_kalender"),
            ("wg-nord_kalender", "kita-sonne_kalender"),
        ] {
            let as_reader = |line: &str| self.host.run(&format!("runuser -u {reader} -- {line}"));
            let find = format!(
                "find / \\( -path /proc -o -path /sys \\) -prune -o \\( -user {owner} -o -group {owner} \\)"
            );
            let there = self.host.run(&format!("{find} -print 2>/dev/null")).stdout;
            assert!(there.lines().count() > 3, "{owner} owns nothing: {there}");
            let open = as_reader(&format!(
                "{find} \\( -readable -o -writable \\) -print 2>/dev/null"
            ));
            assert_eq!(open.stdout, "", "{reader} can read what belongs to {owner}");
            for file in ["users", "tls.key"] {
                as_reader(&format!("cat /etc/allmende/{owner}/{file}"))
                    .expect(1)
                    .saying("Permission denied");
            }
            let socket = format!("curl --silent --max-time 5 --unix-socket /run/{owner}.sock http://x/");
            assert_ne!(as_reader(&socket).code, Some(0), "{reader} can talk to {owner}");
            // What each of them can read of its own it cannot change.
            as_reader(&format!("touch /etc/allmende/{reader}/users")).expect(1);
        }
        // The process itself has no network.
        let alone =
            "nsenter --net --target $(systemctl show -P MainPID kita-sonne_kalender.service) ip -brief link";
        self.host.run(alone).expect(0).not_saying("host0");
    }
}

impl Device<'_> {
    /// Sends a request with this content; what comes back ends with the status. The password goes to curl by standard input.
    fn ask(&self, method: &str, path: &str, kind: &str, content: &str) -> Finished {
        let Self {
            calendars,
            domain,
            user,
            password,
        } = self;
        let body = calendars.world.data_dir().join("request-of-the-test");
        std::fs::write(&body, content).expect("written");
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "60", "--config", "-"])
            .args(["--request", method, "--header", "Depth: 1"])
            .args(["--write-out", "\n%{http_code}"])
            .args(["--resolve", &format!("{domain}:443:{}", calendars.host.address)])
            .arg("--cacert")
            .arg(&calendars.authority);
        if !content.is_empty() {
            curl.args(["--header", &format!("Content-Type: {kind}")])
                .args(["--data-binary", &format!("@{}", body.display())]);
        }
        curl.arg(format!("https://{domain}{path}"));
        Finished::fed(&mut curl, &format!("user = \"{user}:{password}\"\n")).expect(0)
    }
}
