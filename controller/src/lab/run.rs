//! What the lab's commands have in common: finding, booting and ending hosts, keeping the record true.

use super::*;

impl Lab {
    /// Takes the lock and finds a host.
    pub(super) fn locked(&self, command: &str, name: &str) -> Result<(Lock, Registry, u32), LabError> {
        let unknown = |known: String| LabError::UnknownHost {
            name: name.to_string(),
            known,
        };
        if !self.names.record().exists() {
            return Err(unknown("none, make some with `lab up`".into()));
        }
        let lock = Lock::take(&self.names.lock(), command)?;
        let registry = Registry::load(&self.names.record())?;
        let Some(registry) = registry else {
            return Err(unknown("none, make some with `lab up`".into()));
        };
        let number = registry
            .hosts
            .keys()
            .copied()
            .find(|number| host_name(*number) == name);
        match number {
            Some(number) => Ok((lock, registry, number)),
            None => Err(unknown(
                registry
                    .hosts
                    .keys()
                    .map(|n| host_name(*n))
                    .collect::<Vec<_>>()
                    .join(", "),
            )),
        }
    }

    /// Makes the network, having recorded it first.
    pub(super) async fn network(&self, registry: Option<Registry>) -> Result<Registry, LabError> {
        let record = |subnet| match &registry {
            Some(_) => Ok(()),
            None => Registry::new(subnet).save(&self.names.record()),
        };
        let subnet = network::up(&self.names, registry.as_ref().map(|r| r.subnet), record).await?;
        Ok(registry.unwrap_or_else(|| Registry::new(subnet)))
    }

    /// The numbers of the hosts that run.
    pub(super) fn running(&self) -> BTreeSet<u32> {
        let all = processes::find(&self.names.hosts());
        all.iter()
            .filter(|process| process.part != Part::Keeper)
            .filter_map(|process| number_of(&process.host))
            .collect()
    }

    /// Sends a signal to one part of a host; gives back the processes that got it.
    pub(super) fn signal(&self, number: u32, part: Part, signal: Signal) -> Vec<i32> {
        let folder = self.names.host(number);
        let all = processes::find(&self.names.hosts());
        let meant: Vec<_> = all
            .into_iter()
            .filter(|process| process.part == part && process.host == folder)
            .collect();
        meant.iter().for_each(|process| process.signal(signal));
        meant.iter().map(|process| process.pid).collect()
    }

    /// Ends hosts without asking them.
    pub(super) async fn end(&self, wanted: impl Fn(&Path) -> bool) -> Result<(), LabError> {
        let left = processes::end(&self.names.hosts(), wanted).await;
        if left.is_empty() {
            return Ok(());
        }
        let pids: Vec<String> = left.iter().map(|pid| format!("process {pid}")).collect();
        Err(LabError::Remains(pids.join(", ")))
    }

    /// The numbers of all hosts that have a folder, recorded or not.
    pub(super) fn folders(&self) -> Vec<u32> {
        let entries = fs::read_dir(self.names.hosts()).into_iter().flatten();
        entries
            .filter_map(|entry| number_of(&entry.ok()?.path()))
            .collect()
    }

    /// Records that a host is to be made anew, from the newest image of its release.
    pub(super) async fn renew_base(
        &self,
        registry: &mut Registry,
        number: u32,
        progress: Progress<'_>,
    ) -> Result<(), LabError> {
        let Some(record) = registry.hosts.get_mut(&number) else {
            return Ok(());
        };
        let release = Release::parse(&record.release).ok_or_else(|| LabError::Registry {
            path: self.names.record(),
            reason: format!("it names the unknown Debian release {:?}", record.release),
        })?;
        record.base = base::provide(release, progress).await?;
        registry.save(&self.names.record())
    }

    /// Boots hosts side by side, as many at once as the machine has room for, and waits until they are up.
    pub(super) async fn boot(
        &self,
        registry: &mut Registry,
        numbers: &[u32],
        progress: Progress<'_>,
    ) -> Result<(), LabError> {
        if numbers.is_empty() {
            return Ok(());
        }
        for number in numbers {
            if let Some(record) = registry.hosts.get_mut(number) {
                record.started = Some(now());
            }
        }
        registry.save(&self.names.record())?;
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let room = Arc::new(Semaphore::new(cores * 2));
        let shared = Arc::new(registry.clone());
        let mut boots = JoinSet::new();
        progress(&format!(
            "Starting {}",
            numbers
                .iter()
                .map(|n| host_name(*n))
                .collect::<Vec<_>>()
                .join(", ")
        ));
        for number in numbers.iter().copied() {
            let (room, registry, names) = (room.clone(), shared.clone(), self.names.clone());
            boots.spawn(async move {
                let _place = room.acquire().await;
                let took = boot_one(&names, number, &registry).await;
                (number, took)
            });
        }
        let mut first_error = None;
        while let Some(done) = boots.join_next().await {
            match done {
                Ok((number, Ok(took))) => {
                    progress(&format!(
                        "{} is up after {:.1} seconds",
                        host_name(number),
                        took.as_secs_f64()
                    ));
                    if let Some(record) = registry.hosts.get_mut(&number) {
                        record.made = true;
                    }
                    registry.save(&self.names.record())?;
                }
                Ok((_, Err(error))) => first_error = first_error.or(Some(error)),
                Err(error) => {
                    first_error = first_error.or(Some(LabError::Refused(format!(
                        "starting a host broke off: {error}"
                    ))))
                }
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Removes the files of the lab itself, the record and the lock last, and its folder if nothing else is in it.
    pub(super) async fn remove_own_files(&self) -> Result<(), LabError> {
        let names = &self.names;
        host::remove_tree(&names.directory.join("logs")).await?;
        let key = names.key();
        let record = names.record();
        let new_key = names.directory.join("new_key");
        let files = [
            new_key.with_extension("pub"),
            new_key,
            key.with_extension("pub"),
            key,
            record.with_extension("json.new"),
            record,
            names.lock(),
        ];
        for file in files {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(LabError::file("removing", &file)(error));
                }
                _ => {}
            }
        }
        // Not empty when somebody else keeps something there: that is theirs.
        let _ = fs::remove_dir(&names.directory);
        Ok(())
    }
}

async fn boot_one(names: &Names, number: u32, registry: &Registry) -> Result<Duration, LabError> {
    let Some(record) = registry.hosts.get(&number) else {
        return Ok(Duration::ZERO);
    };
    let begin = Instant::now();
    host::prepare(names, number, registry).await?;
    let mut keeper = keeper::start(names, number)?;
    host::wait_until_up(names, number, record, Some(&mut keeper), PATIENCE).await?;
    Ok(begin.elapsed())
}

fn number_of(folder: &Path) -> Option<u32> {
    folder
        .file_name()?
        .to_str()?
        .strip_prefix("practice")?
        .parse()
        .ok()
}

/// Refuses what cannot work before anything is changed.
pub(super) fn check(options: &UpOptions) -> Result<(), LabError> {
    if options.hosts == 0 || options.hosts > MOST_HOSTS {
        return Err(LabError::Refused(format!(
            "a lab has 1 to {MOST_HOSTS} hosts, not {}",
            options.hosts
        )));
    }
    if options
        .disk_mb
        .is_some_and(|megabytes| !(16..=1_000_000).contains(&megabytes))
    {
        return Err(LabError::Refused(
            "a practice host's disk has at least 16 MB and at most 1000000 MB".into(),
        ));
    }
    if let Some(key) = &options.authorized_key {
        let key = key.trim();
        let kind = key.split_whitespace().next().unwrap_or_default();
        let known = ["ssh-", "ecdsa-", "sk-"]
            .iter()
            .any(|start| kind.starts_with(start));
        if key.lines().count() != 1 || !known || key.split_whitespace().count() < 2 {
            return Err(LabError::Refused(
                "the key is not one line in OpenSSH's notation, such as the content of id_ed25519.pub".into(),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused_before_anything_is_changed() {
        let good = UpOptions::default();
        assert!(check(&good).is_ok());
        assert!(
            check(&UpOptions {
                hosts: 0,
                ..good.clone()
            })
            .is_err()
        );
        assert!(
            check(&UpOptions {
                hosts: 201,
                ..good.clone()
            })
            .is_err()
        );
        assert!(
            check(&UpOptions {
                disk_mb: Some(1),
                ..good.clone()
            })
            .is_err()
        );
        for key in ["", "ssh-ed25519", "x y", "ssh-ed25519 AAAA\nssh-ed25519 BBBB"] {
            assert!(
                check(&UpOptions {
                    authorized_key: Some(key.into()),
                    ..good.clone()
                })
                .is_err(),
                "{key:?}"
            );
        }
        assert!(
            check(&UpOptions {
                authorized_key: Some("ssh-ed25519 AAAA me\n".into()),
                ..good
            })
            .is_ok()
        );
    }

    #[test]
    fn a_lab_knows_its_folder_by_whatever_path() {
        let folder = tempfile::tempdir().unwrap();
        let direct = Lab::open(folder.path().join("lab")).unwrap();
        fs::create_dir(folder.path().join("lab")).unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("link")).unwrap();
        let linked = Lab::open(folder.path().join("link/lab")).unwrap();
        assert_eq!(direct.names, linked.names);
        assert!(Lab::open("/a,b/lab".into()).is_err());
    }

    #[tokio::test]
    async fn a_folder_without_a_lab_has_no_hosts() {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::open(folder.path().join("lab")).unwrap();
        assert!(lab.list().await.unwrap().is_empty());
        assert!(matches!(
            lab.kill("practice1").await,
            Err(LabError::UnknownHost { .. })
        ));
        assert!(!folder.path().join("lab").exists());
    }
}
