//! Somebody who got code into one service of a host, and looks for everything that belongs to the others.
//!
//! The programs in `intruder/` try to read, list, write, connect to and log in to whatever there is, and report what they got.
//! They run as the service's Unix user three ways: with nothing in the way, within the sandbox of its units, and inside its PHP.

use serde::{Deserialize, Serialize};

use crate::program::Finished;
use crate::world::HostAccess;

const PROGRAM: &str = include_str!("intruder/intruder.py");
const PHP: &str = include_str!("intruder/intruder.php");
const ASK_POOL: &str = include_str!("intruder/ask_pool.py");
/// Where the programs lie on the host, readable for everybody.
const FOLDER: &str = "/run/intruder";

/// Something that belongs to somebody else, or to the host, and could be had.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Finding {
    /// What could be done: "reads", "lists", "connects to" …
    pub how: String,
    /// With what: a path, a database, a unit.
    pub what: String,
    /// Whose it is: an instance, or the host.
    pub whose: String,
}

/// Text that only its owner's instance may come across.
#[derive(Debug, Clone, Serialize)]
pub struct Private {
    /// The instance that it belongs to.
    pub of: String,
    /// The text.
    pub text: String,
}

/// A path that stands for what can be found at it.
#[derive(Serialize)]
struct Target {
    path: String,
    kind: &'static str,
    whose: String,
}

#[derive(Serialize)]
struct Task<'a> {
    others: Vec<&'a str>,
    secrets: Vec<&'a Private>,
    public: &'a [String],
    paths: Vec<Target>,
}

/// A host with several services, before somebody breaks into one of them.
pub struct Neighbours<'a> {
    host: &'a HostAccess,
    instances: Vec<String>,
    private: Vec<Private>,
    public: Vec<String>,
}

impl<'a> Neighbours<'a> {
    /// The services of a host by the names of their instances, and what is private to them. Below the folders `public` lies
    /// what everybody may see.
    pub fn new(host: &'a HostAccess, instances: &[String], private: &[Private], public: &[String]) -> Self {
        host.run(&format!("mkdir -p -m 755 {FOLDER}")).expect(0);
        for (name, text) in [
            ("intruder.py", PROGRAM),
            ("intruder.php", PHP),
            ("ask_pool.py", ASK_POOL),
        ] {
            let write = format!("cat > {FOLDER}/{name} && chmod 644 {FOLDER}/{name}");
            Finished::fed(&mut host.command(&write), text).expect(0);
        }
        Self {
            host,
            instances: instances.to_vec(),
            private: private.to_vec(),
            public: public.to_vec(),
        }
    }

    /// What code of `instance` finds with nothing in its way but its Unix user.
    pub fn broken_into(&self, instance: &str) -> Vec<Finding> {
        self.findings(
            instance,
            &format!("runuser -u {instance} -- python3 {FOLDER}/intruder.py"),
        )
    }

    /// What it finds within the sandbox of one of its units, which has to run.
    pub fn broken_into_unit(&self, instance: &str, unit: &str) -> Vec<Finding> {
        let line = format!(
            "pid=$(systemctl show -P MainPID {unit}) && test \"$pid\" -gt 0 && nsenter --target $pid --mount --net --ipc \
             setpriv --reuid {instance} --regid {instance} --init-groups python3 {FOLDER}/intruder.py"
        );
        self.findings(instance, &line)
    }

    /// What it finds from within its PHP, which is asked as the web server would ask it.
    pub fn broken_into_pool(&self, instance: &str) -> Vec<Finding> {
        #[derive(Deserialize)]
        struct Answer {
            user: u32,
            own: bool,
            findings: Vec<Finding>,
        }
        let script = format!("/srv/{instance}/tmp/intruder.php");
        self.host
            .run(&format!(
                "install -o {instance} -g {instance} -m 640 {FOLDER}/intruder.php {script}"
            ))
            .expect(0);
        let line = format!("python3 {FOLDER}/ask_pool.py /run/{instance}-php/php.sock {script}; rm {script}");
        let said = self.fed(&line, &self.task(instance));
        let answer: Answer = serde_json::from_value(said.json()).expect("the pool's answer");
        let user = self.host.run(&format!("id -u {instance}")).expect(0);
        assert_eq!(
            user.stdout.trim(),
            answer.user.to_string(),
            "the pool of {instance}"
        );
        assert!(answer.own, "the pool of {instance} reads nothing at all");
        answer.findings
    }

    fn findings(&self, instance: &str, line: &str) -> Vec<Finding> {
        let said = self.fed(line, &self.task(instance));
        let mut findings: Vec<Finding> = serde_json::from_value(said.json()).expect("findings");
        findings.sort();
        findings.dedup();
        findings
    }

    fn fed(&self, line: &str, task: &Task<'_>) -> Finished {
        let task = serde_json::to_string(task).expect("JSON");
        Finished::fed(&mut self.host.command(&format!("cd / && {line}")), &task).expect(0)
    }

    fn task<'b>(&'b self, instance: &'b str) -> Task<'b> {
        Task {
            others: self.others(instance).collect(),
            secrets: self
                .private
                .iter()
                .filter(|private| private.of != instance)
                .collect(),
            public: &self.public,
            paths: self.targets(instance),
        }
    }

    fn others<'b>(&'b self, instance: &'b str) -> impl Iterator<Item = &'b str> {
        self.instances
            .iter()
            .map(String::as_str)
            .filter(move |other| *other != instance)
    }

    /// Everything on the host that belongs to the others or carries their name, as root finds it.
    fn targets(&self, instance: &str) -> Vec<Target> {
        let mut targets = Vec::new();
        for other in self.others(instance) {
            let config = other.replace('_', "X");
            let prune: String = self
                .public
                .iter()
                .map(|path| format!(" -o -path {path}"))
                .collect();
            let find = format!(
                "find / \\( -path /proc -o -path /sys -o -path /dev{prune} \\) -prune -o \\( -user {other} -o -group {other} \
                 -o -path '*{other}*' -o -path '*{config}*' \\) -printf '%y %p\\n'"
            );
            for line in self.host.run(&find).stdout.lines() {
                let kind = match line.chars().next() {
                    Some('f') => "file",
                    Some('d') => "folder",
                    Some('s') => "socket",
                    _ => continue,
                };
                targets.push(Target {
                    path: line[2..].to_owned(),
                    kind,
                    whose: other.to_owned(),
                });
            }
        }
        targets
    }
}
