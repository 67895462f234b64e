//! What a service's template says about checks, backup, restore and verification, done by hand with plain tools: the proof
//! that following it to the letter works.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::program::Finished;
use crate::world::{HostAccess, World};

/// A service whose sections are followed by hand, on the host where it lives.
pub struct Rehearsal<'a> {
    world: &'a World,
    host: &'a HostAccess,
    /// The host's name, as Allmende knows it.
    host_name: String,
    /// Whose checks are asked: `kita-sonne/wiki`, `web1`.
    subject: String,
    /// What `service show --json` says.
    service: Value,
    /// Where copies are kept on the host.
    folder: String,
    /// Checks that answer badly for a reason that has nothing to do with the service, each with words of its answer.
    known: Vec<(&'static str, &'static str)>,
}

/// What a backup wrote down, to be compared with what is there after a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Numbers, by query.
    counts: BTreeMap<String, u64>,
    /// Hashes of files, by path.
    files: BTreeMap<String, String>,
}

/// Files whose hashes are compared, for each path.
const SAMPLE: usize = 200;

impl<'a> Rehearsal<'a> {
    /// Reads the sections of a service that is set up on this host.
    #[track_caller]
    pub fn of(world: &'a World, service: &str, host: &'a HostAccess) -> Self {
        let service = world
            .run(&["service", "show", service, "--json"])
            .expect(0)
            .json();
        assert_eq!(service["problem"], Value::Null);
        let folder = format!("/var/tmp/rehearsal-{}", text(&service["instance"]));
        let subject = format!("{}/{}", text(&service["organisation"]), text(&service["name"]));
        Self {
            world,
            host,
            host_name: text(&service["host"]),
            subject,
            service,
            folder,
            known: Vec::new(),
        }
    }

    /// Reads what belongs to the host itself: its checks can be asked.
    #[track_caller]
    pub fn of_host(world: &'a World, name: &str, host: &'a HostAccess) -> Self {
        let service = world.run(&["host", "show", name, "--json"]).expect(0).json();
        assert_eq!(service["problem"], Value::Null);
        let folder = "/var/tmp/rehearsal".to_owned();
        Self {
            world,
            host,
            host_name: name.to_owned(),
            subject: name.to_owned(),
            service,
            folder,
            known: Vec::new(),
        }
    }

    /// Expects this check to answer badly here, with these words.
    #[must_use]
    pub fn knowing(mut self, check: &'static str, words: &'static str) -> Self {
        self.known.push((check, words));
        self
    }

    /// All of it: asks every check, backs up, loses the data, sees that verification notices, restores, verifies, and asks
    /// every check again.
    #[track_caller]
    pub fn perform(&self) {
        assert_ne!(
            list(&self.service["checks"]),
            Vec::<Value>::new(),
            "it has no checks"
        );
        self.ask_all();
        let proof = self.back_up();
        self.ask_all();
        self.lose_everything();
        assert!(
            self.deviations(&proof) != Vec::<String>::new(),
            "verification does not notice a loss"
        );
        self.put_back();
        // Before anything runs that may write to it again.
        assert_eq!(self.deviations(&proof), Vec::<String>::new());
        self.run_all(&self.service["restore"]["after"]);
        self.ask_all();
    }

    /// Asks every check, from outside and on the host; each has to answer well.
    #[track_caller]
    pub fn ask_all(&self) {
        let asked = [
            (&["check", "run", &self.subject, "--json"][..], "checks", "key"),
            (
                &["host", "health", &self.host_name, "--json"][..],
                "answers",
                "check",
            ),
        ];
        let mut answered = 0;
        let mut bad = Vec::new();
        for (command, list_of, name) in asked {
            let said = self.world.run(command).json();
            for one in list(&said[list_of]) {
                let key = text(&one[name]);
                let Some(id) = key.strip_prefix(&format!("{}:", self.subject)) else {
                    continue;
                };
                // Checks that are asked elsewhere have no answer here. A practice host's load is that of this machine, which
                // is busy with tests.
                if one["answer"].is_null() || id == "load" {
                    continue;
                }
                answered += 1;
                let sentence = text(&one["answer"]["sentence"]["en"]);
                let known = self.known.iter().find(|(check, _)| *check == id);
                if known.is_some_and(|(_, words)| sentence.contains(words)) {
                    continue;
                }
                if one["answer"]["status"] != "ok" {
                    bad.push(format!("{id}: {sentence}"));
                }
            }
        }
        assert_eq!(bad, Vec::<String>::new(), "checks that answered badly");
        assert!(answered > 0, "nothing of {} was asked", self.subject);
    }

    /// Brings the service to rest, copies what belongs in a backup, wakes it again, and says what a restored copy has to have.
    #[track_caller]
    pub fn back_up(&self) -> Proof {
        let backup = &self.service["backup"];
        self.host
            .run(&format!("rm -rf {0} && install -d -m 0700 {0}", self.folder))
            .expect(0);
        self.run_all(&backup["quiesce"]);
        for dump in list(&backup["dumps"]) {
            let file = self.dump_file(&dump);
            let program = match text(&dump["kind"]).as_str() {
                "postgres" => format!(
                    "runuser -u postgres -- pg_dump -Fc {}",
                    quoted(&text(&dump["database"]))
                ),
                "mariadb" => format!(
                    "mariadb-dump --single-transaction --routines --triggers --databases {}",
                    quoted(&text(&dump["database"]))
                ),
                _ => format!("runuser -u {} -- {}", text(&dump["user"]), argv(&dump["argv"])),
            };
            self.host.run(&format!("cd / && {program} > {file}")).expect(0);
            let size = self.host.run(&format!("stat -c %s {file}")).expect(0).stdout;
            let size: u64 = size.trim().parse().expect("a size");
            let least = dump["minimum_bytes"].as_u64().expect("a number");
            assert!(size >= least, "the dump {} has {size} bytes only", dump["id"]);
        }
        let mut tar = "tar --create --numeric-owner --acls --file=".to_owned() + &self.folder + "/files.tar";
        tar.push_str(" --directory=/ --anchored --wildcards --no-wildcards-match-slash");
        for excluded in list(&backup["exclude"]) {
            tar.push_str(&format!(
                " --exclude={}",
                quoted(text(&excluded).trim_start_matches('/'))
            ));
        }
        for path in list(&backup["paths"]) {
            tar.push_str(&format!(" {}", quoted(text(&path).trim_start_matches('/'))));
        }
        self.host.run(&tar).expect(0);
        let proof = self.proof();
        self.run_all(&backup["resume"]);
        for files in list(&self.service["verify"]["files"]) {
            let there = proof
                .files
                .keys()
                .filter(|path| path.starts_with(&text(&files["path"])))
                .count();
            assert!(
                there > 0,
                "{} holds no files that could prove anything",
                files["path"]
            );
        }
        proof
    }

    /// Removes everything that a backup holds.
    #[track_caller]
    pub fn lose_everything(&self) {
        let backup = &self.service["backup"];
        for path in list(&backup["paths"]) {
            self.host
                .run(&format!("rm -rf {}", quoted(&text(&path))))
                .expect(0);
        }
        for dump in list(&backup["dumps"]) {
            let database = text(&dump["database"]);
            match text(&dump["kind"]).as_str() {
                "postgres" => {
                    let sql =
                        "DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION pg_database_owner";
                    self.psql(&database, sql).expect(0);
                }
                // Its dump brings the database along, with the way its texts are sorted.
                "mariadb" => {
                    let sql = format!("DROP DATABASE `{database}`");
                    self.host.run(&format!("mariadb -e {}", quoted(&sql))).expect(0);
                }
                _ => {}
            }
        }
    }

    /// Puts everything back in the order that the format promises, up to the steps that wake the service.
    #[track_caller]
    pub fn put_back(&self) {
        self.run_all(&self.service["restore"]["before"]);
        self.host
            .run(&format!(
                "tar --extract --numeric-owner --acls --same-permissions --same-owner --file={}/files.tar --directory=/",
                self.folder
            ))
            .expect(0);
        for dump in list(&self.service["backup"]["dumps"]) {
            let file = self.dump_file(&dump);
            let database = quoted(&text(&dump["database"]));
            let program = match text(&dump["kind"]).as_str() {
                "postgres" => format!("runuser -u postgres -- pg_restore --exit-on-error -d {database}"),
                "mariadb" => "mariadb".to_owned(),
                _ => format!("runuser -u {} -- {}", text(&dump["user"]), argv(&dump["load"])),
            };
            self.host.run(&format!("cd / && {program} < {file}")).expect(0);
        }
    }

    /// How what is there now deviates from what a backup wrote down.
    pub fn deviations(&self, proof: &Proof) -> Vec<String> {
        let now = self.proof();
        let counts = proof
            .counts
            .iter()
            .filter(|(query, count)| now.counts.get(*query) != Some(count));
        let counts =
            counts.map(|(query, count)| format!("{query}: {count}, now {:?}", now.counts.get(query)));
        let files = proof
            .files
            .iter()
            .filter(|(path, hash)| now.files.get(*path) != Some(hash));
        counts
            .chain(files.map(|(path, hash)| format!("{path}: {hash}, now {:?}", now.files.get(path))))
            .collect()
    }

    /// What proves that a copy is whole, as it is now.
    fn proof(&self) -> Proof {
        let verify = &self.service["verify"];
        let counts = list(&verify["counts"]).into_iter().filter_map(|count| {
            let query = text(&count["query"]);
            let dumps = list(&self.service["backup"]["dumps"]);
            let dump = dumps.iter().find(|dump| dump["id"] == count["dump"])?;
            let database = text(&dump["database"]);
            let said = match text(&dump["kind"]).as_str() {
                "postgres" => self.psql(&database, &query),
                _ => self
                    .host
                    .run(&format!("mariadb -N {} -e {}", quoted(&database), quoted(&query))),
            };
            Some((query, said.stdout.trim().parse().ok()?))
        });
        let files = list(&verify["files"]).into_iter().flat_map(|files| {
            let excluded = list(&self.service["backup"]["exclude"]);
            let excluded = excluded.iter().map(|path| {
                let path = quoted(&text(path));
                format!(" -not -path {path} -not -path {path}'/*'")
            });
            let find = format!(
                "find {} -type f{} -print0 2>/dev/null | sort -z | head -z -n {SAMPLE} | xargs -0 -r sha256sum",
                quoted(&text(&files["path"])),
                excluded.collect::<String>()
            );
            let said = self.host.run(&find).stdout;
            let lines = said.lines().filter_map(|line| line.split_once("  "));
            lines.map(|(hash, path)| (path.to_owned(), hash.to_owned())).collect::<Vec<_>>()
        });
        Proof {
            counts: counts.collect(),
            files: files.collect(),
        }
    }

    fn dump_file(&self, dump: &Value) -> String {
        format!("{}/{}.dump", self.folder, text(&dump["id"]))
    }

    fn psql(&self, database: &str, sql: &str) -> Finished {
        let (database, sql) = (quoted(database), quoted(sql));
        self.host.run(&format!(
            "cd / && runuser -u postgres -- psql -qAt -v ON_ERROR_STOP=1 -d {database} -c {sql}"
        ))
    }

    #[track_caller]
    fn run_all(&self, steps: &Value) {
        for step in list(steps) {
            self.run(&step).expect(0);
        }
    }

    /// Runs a step as its user, in a clean environment, as the agent does.
    fn run(&self, step: &Value) -> Finished {
        let user = text(&step["user"]);
        let mut line = format!(
            "cd / && timeout {} runuser -u {user} -- env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 USER={user} LOGNAME={user} HOME=$(getent passwd {user} | cut -d: -f6)",
            step["timeout"]
        );
        for (name, value) in step["env"].as_object().into_iter().flatten() {
            line.push_str(&format!(" {name}={}", quoted(&text(value))));
        }
        line.push_str(&format!(" {}", argv(&step["argv"])));
        Finished::fed(
            &mut self.host.command(&line),
            step["stdin"].as_str().unwrap_or_default(),
        )
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn argv(value: &Value) -> String {
    let words = list(value)
        .iter()
        .map(|word| quoted(&text(word)))
        .collect::<Vec<_>>();
    words.join(" ")
}

/// For the shell that ssh brings along.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
