//! A site of plain files, as its maker and its visitors meet it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use allmende_tests::{Client, Finished, HostAccess, Rehearsal, World};

const DOMAIN: &str = "www.kita-sonne.test";

#[test]
fn a_folder_becomes_a_site_on_debian_12() {
    Site::begin("12").travel();
}

#[test]
fn a_folder_becomes_a_site_on_debian_13() {
    Site::begin("13").travel();
}

struct Site {
    world: World,
    host: HostAccess,
    folder: PathBuf,
    authority: PathBuf,
}

impl Site {
    fn begin(release: &str) -> Self {
        let (world, hosts) = World::with_hosts(1, release);
        let host = hosts.into_iter().next().expect("one host was asked for");
        world.care_for("web1", &host);
        let folder = world.data_dir().join("website");
        for (path, text) in [
            ("index.html", "<h1>KiTa Sonne</h1>"),
            ("404.html", "<h1>Hier ist nichts</h1>"),
            ("gruppen/index.html", "<h1>Unsere Gruppen</h1>"),
            ("bilder/sonne.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>"),
            ("leer/notiz.txt", "Grüße"),
            (".well-known/security.txt", "Contact: mailto:anna@kita-sonne.test"),
            (".env", "PASSWORD=hidden"),
        ] {
            write(&folder.join(path), text);
        }
        let authority = world.authority();
        Self {
            world,
            host,
            folder,
            authority,
        }
    }

    fn travel(self) {
        self.it_is_set_up();
        self.visitors_find_their_way();
        self.hidden_files_stay_hidden();
        self.a_new_version_is_noticed_and_replaces_the_old_one();
        self.an_archive_does_as_well();
        self.another_service_cannot_read_it();
        Rehearsal::of(&self.world, "site", &self.host).perform();
        self.visitor().get("/").showing("Aus dem Archiv");
    }

    fn it_is_set_up(&self) {
        let source = format!("source={}", self.folder.display());
        let domain = format!("domain={DOMAIN}");
        self.add("site", &[&source, &domain]);
        self.world
            .run(&["plan", "site"])
            .expect(3)
            .saying("+ archive /srv/kita-sonne_site/site");
        self.world
            .run(&["apply", "site", "--yes"])
            .expect(0)
            .saying(&format!("https://{DOMAIN}/"));
        self.world
            .run(&["plan", "site"])
            .expect(0)
            .saying("Nothing to change.");
    }

    fn visitors_find_their_way(&self) {
        let visitor = self.visitor();
        let welcome = visitor.get(&format!("http://{DOMAIN}/")).showing("KiTa Sonne");
        assert_eq!(welcome.url, format!("https://{DOMAIN}/"));
        let groups = visitor.get("/gruppen").showing("Unsere Gruppen");
        assert_eq!(groups.url, format!("https://{DOMAIN}/gruppen/"));
        // A folder without a page does not show what is in it.
        for missing in ["/leer/", "/nirgends"] {
            let page = visitor.get(missing).showing("Hier ist nichts");
            assert_eq!(page.code, "404", "{missing}");
        }
        visitor.get("/leer/notiz.txt").showing("Grüße");
        let headers = self.headers("/");
        assert!(headers.contains("cache-control: no-cache"), "{headers}");
        assert!(headers.contains("strict-transport-security:"), "{headers}");
        let headers = self.headers("/bilder/sonne.svg");
        assert!(headers.contains("cache-control: max-age=86400"), "{headers}");
        assert!(headers.contains("content-type: image/svg+xml"), "{headers}");
    }

    fn hidden_files_stay_hidden(&self) {
        let visitor = self.visitor();
        visitor.get("/.well-known/security.txt").showing("anna@");
        assert_eq!(visitor.get("/.env").code, "404");
        // Not even there: what somebody else puts into the place is not shown either.
        let here = "/srv/kita-sonne_site/site";
        self.host
            .run(&format!(
                "test ! -e {here}/.env && echo x > {here}/.hidden && chmod 644 {here}/.hidden"
            ))
            .expect(0);
        assert_eq!(visitor.get("/.hidden").code, "404");
        self.host.run(&format!("rm {here}/.hidden")).expect(0);
    }

    fn a_new_version_is_noticed_and_replaces_the_old_one(&self) {
        write(&self.folder.join("index.html"), "<h1>KiTa Sonne im Sommer</h1>");
        fs::remove_dir_all(self.folder.join("gruppen")).expect("removed");
        self.world
            .run(&["plan", "site"])
            .expect(3)
            .saying("~ archive /srv/kita-sonne_site/site");
        self.world.run(&["apply", "site", "--yes"]).expect(0);
        let visitor = self.visitor();
        visitor.get("/").showing("im Sommer");
        assert_eq!(visitor.get("/gruppen/").code, "404");
        self.world.run(&["plan", "site"]).expect(0);
    }

    fn an_archive_does_as_well(&self) {
        let folder = self.world.data_dir().join("packed/website-2");
        write(&folder.join("index.html"), "<h1>Aus dem Archiv</h1>");
        let archive = self.world.data_dir().join("website-2.tar.gz");
        let mut tar = Command::new("tar");
        tar.arg("-C")
            .arg(self.world.data_dir().join("packed"))
            .arg("-czf")
            .arg(&archive)
            .arg("website-2");
        Finished::of(&mut tar).expect(0);
        let source = format!("source={}", archive.display());
        let edit = ["service", "edit", "site", "--set", &source, "--set", "strip=1"];
        self.world.run(&edit).expect(0);
        self.world.run(&["apply", "site", "--yes"]).expect(0);
        self.visitor().get("/").showing("Aus dem Archiv");
        self.world.run(&["plan", "site"]).expect(0);
        let missing = format!("source={}/nothing", self.world.data_dir().display());
        self.world
            .run(&["service", "edit", "site", "--set", &missing])
            .expect(1)
            .saying("/nothing: No such file");
        self.world.run(&["plan", "site"]).expect(0);
    }

    fn another_service_cannot_read_it(&self) {
        let source = format!("source={}", self.folder.display());
        self.add("blog", &[&source, "domain=blog.kita-sonne.test"]);
        self.world.run(&["apply", "blog", "--yes"]).expect(0);
        let as_blog = |command: &str| self.host.run(&format!("runuser -u kita-sonne_blog -- {command}"));
        let ours = "/srv/kita-sonne_site/site/index.html";
        as_blog(&format!("cat {ours}"))
            .expect(1)
            .saying("Permission denied");
        as_blog(&format!("touch {ours}")).expect(1);
        self.host
            .run("test -s /etc/allmende/kita-sonne_site/tls.key")
            .expect(0);
        as_blog("cat /etc/allmende/kita-sonne_site/tls.key")
            .expect(1)
            .saying("Permission denied");
        // The web server reads and cannot write.
        self.host
            .run(&format!("runuser -u www-data -- cat {ours}"))
            .expect(0)
            .saying("Aus dem Archiv");
        self.host
            .run(&format!("runuser -u www-data -- touch {ours}"))
            .expect(1);
    }

    fn add(&self, name: &str, values: &[&str]) {
        let mut add = vec!["service", "add", name, "--org", "kita-sonne", "--host", "web1"];
        add.extend(["--template", "static-site"]);
        for value in values {
            add.extend(["--set", value]);
        }
        self.world.run(&add).expect(0);
    }

    fn visitor(&self) -> Client {
        Client::new(DOMAIN, &self.host.address, &self.authority)
    }

    fn headers(&self, path: &str) -> String {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--head", "--max-time", "30"])
            .args(["--resolve", &format!("{DOMAIN}:443:{}", self.host.address)])
            .arg("--cacert")
            .arg(&self.authority)
            .arg(format!("https://{DOMAIN}{path}"));
        Finished::of(&mut curl).expect(0).stdout.to_lowercase()
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    fs::write(path, text).expect("written");
}
