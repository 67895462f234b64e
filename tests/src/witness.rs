//! A witness: what any user of a machine could see of its processes while something happens.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::world::HostAccess;

/// Something that a process said at start, and that nobody but the witness looks for: it proves that the witness sees.
const CANARY: &str = "canary-of-the-witness";

/// Arguments and environments of processes, collected until it is asked.
pub struct Witness {
    on_host: Child,
    reader: JoinHandle<BTreeSet<String>>,
    over: Arc<AtomicBool>,
    here: JoinHandle<BTreeSet<String>>,
}

impl Witness {
    /// Begins to look: at all processes of the host five times a second, at this test's own ones as often as possible.
    pub fn of(host: &HostAccess) -> Self {
        let line = format!(
            "sh -c 'WITNESS={CANARY} sleep 3600 & trap \"kill $!\" EXIT; while ps axeww -o args=; do sleep 0.2; done'"
        );
        let mut on_host = host
            .command(&line)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("ssh starts");
        let output = on_host.stdout.take().expect("its output is a pipe");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        // What is to be watched may be over in a moment, so it does not begin before the witness sees.
        let mut seen = BTreeSet::new();
        for line in &mut lines {
            let sees = is_canary(&line);
            seen.insert(line);
            if sees {
                break;
            }
        }
        let reader = std::thread::spawn(move || {
            seen.extend(lines);
            seen
        });
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let here = std::thread::spawn(move || {
            let mut seen = BTreeSet::new();
            while !until.load(Ordering::Relaxed) {
                look(&mut seen);
                std::thread::sleep(Duration::from_millis(20));
            }
            seen
        });
        Self {
            on_host,
            reader,
            over,
            here,
        }
    }

    /// Ends it and gives everything that was seen, on the host and here.
    pub fn tell(mut self) -> Seen {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.on_host.kill();
        let _ = self.on_host.wait();
        let on_host = self.reader.join().expect("the witness reads to the end");
        let here = self.here.join().expect("the witness looks to the end");
        assert!(
            on_host.iter().any(|line| is_canary(line)),
            "the witness on the host saw nothing: {on_host:?}"
        );
        assert!(
            here.iter()
                .any(|line| line.contains(" ssh ") || line.starts_with("ssh ")),
            "the witness here saw not even its own ssh: {here:?}"
        );
        Seen { on_host, here }
    }
}

fn is_canary(line: &str) -> bool {
    line.starts_with("sleep 3600") && line.contains(CANARY)
}

/// What was seen.
pub struct Seen {
    /// Lines of `ps` on the host.
    pub on_host: BTreeSet<String>,
    /// Command lines and environments of the processes that this test started.
    pub here: BTreeSet<String>,
}

/// Adds what the descendants of this process show.
fn look(seen: &mut BTreeSet<String>) {
    let mut parents = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name in brackets may hold anything, so the fields are counted from its end.
        let parent = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        parents.extend(parent.map(|parent| (pid, parent)));
    }
    let own = std::process::id();
    for pid in parents.keys() {
        let mut above = parents.get(pid);
        while above.is_some_and(|above| *above != own) {
            above = above.and_then(|above| parents.get(above));
        }
        if above.is_some() {
            for file in ["cmdline", "environ"] {
                let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
                seen.insert(String::from_utf8_lossy(&bytes).replace('\0', " "));
            }
        }
    }
}
