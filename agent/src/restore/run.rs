//! A restore in place, from the first refusal to the last thing that is removed, and the end of one that was interrupted.
//!
//! All is fetched beside its place while the service runs. Then it is stopped, exchanged by renames and started: what takes
//! long happens before anybody notices, and whatever fails before the exchange has changed nothing.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Instant;

use super::databases::Database;
use super::fetch::{Fetcher, LOADING, new_file};
use super::owners::Renumbering;
use super::refusals::{Needs, not_mounted};
use super::standing::{Phase, Standing, StandingCommand, StandingPath};
use super::swap::Swap;
use crate::error::{Attempt, Error};
use crate::host::Host;
use crate::process::Program;
use crate::protocol::{DumpSource, RestoreOrder, RestoreReport, RestoreState, Step, UndoOrder};

/// One restore on its way.
pub(super) struct Restore<'a> {
    pub(super) host: &'a mut Host,
    pub(super) fetcher: Fetcher<'a>,
    pub(super) order: &'a RestoreOrder,
    pub(super) standing: Standing,
    pub(super) report: RestoreReport,
}

impl Restore<'_> {
    /// Why it cannot work, if it is plain to see. Nothing is changed.
    pub(super) fn refuse(&mut self) -> Result<(), Error> {
        let layout = self.host.layout.clone();
        let mut needs = Needs::default();
        for (number, back) in self.order.paths.iter().enumerate() {
            not_mounted(&layout, &back.path)?;
            let bytes = if number == 0 { self.order.bytes } else { 0 };
            needs.add(&layout.at(&back.path), bytes);
        }
        for dump in &self.order.dumps {
            let folder = match &dump.to {
                DumpSource::Postgres { .. } => layout.at("/var/lib/postgresql"),
                DumpSource::Mariadb { .. } => layout.at("/var/lib/mysql"),
                DumpSource::Command { .. } => layout.state(),
            };
            // With its indexes a loaded database is larger than its dump.
            needs.add(&folder, dump.bytes.saturating_mul(2));
            if let Some(database) = database(&dump.to) {
                database.movable()?;
            }
        }
        match needs.lacking() {
            None => Ok(()),
            Some(why) => Err(Error::obstacle(
                why,
                "free some space, or restore a part of it with `--path` or `--database`",
            )),
        }
    }

    /// Does it, and tells how it went.
    pub(super) fn run(mut self) -> RestoreReport {
        let fetched = self.fetch();
        if let Err(error) = fetched {
            return self.give_up(error, &[]);
        }
        if self.fetcher.asker.is_gone() {
            let error = Error::obstacle(
                "the connection to the controller ended before anything was stopped",
                "restore again",
            );
            return self.give_up(error, &[]);
        }
        let begun = Instant::now();
        let order = self.order;
        if let Err(error) = self
            .enter(Phase::Stopping)
            .and_then(|()| steps(self.host, &order.before))
        {
            return self.give_up(error, &order.after);
        }
        if let Err(error) = self.exchange() {
            return self.give_up(error, &order.after);
        }
        let woken = self
            .enter(Phase::Waking)
            .and_then(|()| steps(self.host, &order.after));
        self.report.away_millis = Some(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        if let Err(error) = woken {
            self.report.state = RestoreState::Standing;
            self.report.stopped = Some(format!(
                "all was restored, but the service could not be started again: {error}"
            ));
            return self.report;
        }
        self.report.state = RestoreState::Restored;
        self.report.paths = self.order.paths.iter().map(|back| back.path.clone()).collect();
        self.report.dumps = self.order.dumps.iter().map(|back| back.id.clone()).collect();
        if let Err(error) = clear(self.host, self.standing) {
            self.report.stopped = Some(format!(
                "all was restored, but what was there before could not be removed: {error}"
            ));
        }
        self.report
    }

    fn enter(&mut self, phase: Phase) -> Result<(), Error> {
        self.standing.enter(&self.host.layout, phase)
    }

    fn fetch(&mut self) -> Result<(), Error> {
        let layout = self.host.layout.clone();
        let order = self.order;
        for back in &order.paths {
            let was_there = self
                .host
                .place(&back.path)?
                .map_or(Ok(None), |place| place.stat())?
                .is_some();
            self.standing.paths.push(StandingPath {
                path: back.path.clone(),
                was_there,
            });
        }
        for back in &order.dumps {
            match &back.to {
                DumpSource::Command { load, user, .. } => self.standing.commands.push(StandingCommand {
                    id: back.id.clone(),
                    load: load.clone(),
                    user: user.clone(),
                    touched: false,
                }),
                to => self.standing.databases.extend(database(to)),
            }
        }
        self.enter(Phase::Fetching)?;
        let renumbering = Renumbering::new(&order.owners, self.host.accounts()?);
        for back in &order.paths {
            let swap = Swap::prepare(&layout, &back.path)?;
            self.fetcher.files(&back.engine, &back.path, &swap.target())?;
            if !swap.has_restored()? {
                return Err(swap.nothing_restored());
            }
            let unknown = renumbering.apply(&swap.restored())?;
            self.report.unknown_owners.extend(unknown);
        }
        self.report.unknown_owners.sort();
        self.report.unknown_owners.dedup();
        for back in &order.dumps {
            match database(&back.to) {
                Some(live) => {
                    let new = live.prepare(self.host)?;
                    let loader = new.loader(self.host)?;
                    self.fetcher.load(&back.engine, &back.id, &loader)?;
                    new.movable()?;
                }
                None => {
                    self.fetcher
                        .save(&back.engine, &back.id, &self.standing.new_dump(&layout, &back.id))?;
                }
            }
        }
        Ok(())
    }

    fn exchange(&mut self) -> Result<(), Error> {
        let layout = self.host.layout.clone();
        for back in &self.order.dumps {
            if let DumpSource::Command { argv, user, .. } = &back.to {
                let account = self.host.account(user)?;
                let program = Program::new(argv.iter().cloned()).user(&account).timeout(LOADING);
                let path = self.standing.old_dump(&layout, &back.id);
                let mut file = new_file(&path)?;
                let written = program.pipe(|output| {
                    io::copy(output, &mut file)
                        .and_then(|_| file.sync_all())
                        .map_err(|error| format!("writing {}: {error}", path.display()))
                });
                written
                    .map_err(|why| {
                        Error::obstacle(why, "see why it cannot be dumped before it is overwritten")
                    })?
                    .success()?;
            }
        }
        self.enter(Phase::Exchanging)?;
        for path in &self.standing.paths {
            let swap = Swap::find(&layout, &path.path)?.ok_or_else(|| {
                Error::obstacle(
                    format!("what was fetched for {} vanished", path.path),
                    "find out what removes it and restore again",
                )
            })?;
            swap.exchange()?;
        }
        for database in &self.standing.databases {
            database.exchange(self.host)?;
        }
        for number in 0..self.standing.commands.len() {
            if let Some(command) = self.standing.commands.get_mut(number) {
                command.touched = true;
            }
            self.standing.write(&layout)?;
            if let Some(command) = self.standing.commands.get(number) {
                read_back(self.host, command, &self.standing.new_dump(&layout, &command.id))?;
            }
        }
        Ok(())
    }

    /// Puts everything back and says why. If even that fails, the restore stands.
    fn give_up(mut self, why: Error, after: &[Step]) -> RestoreReport {
        let mut sentence = format!("{why}; nothing was changed");
        if self.standing.phase >= Phase::Exchanging {
            sentence = format!("{why}; everything was put back as it was before");
        }
        match put_back(self.host, self.standing, after) {
            Ok(()) => self.report.state = RestoreState::AsBefore,
            Err(error) => {
                self.report.state = RestoreState::Standing;
                sentence = format!("{why}; and it could not be put back as it was before: {error}");
            }
        }
        self.report.stopped = Some(sentence);
        self.report
    }
}

/// Ends a restore that was interrupted.
pub(super) fn settle(host: &mut Host, standing: Standing, order: &UndoOrder) -> Result<RestoreReport, Error> {
    let mut report = RestoreReport::default();
    if standing.phase == Phase::Clearing || order.keep {
        if standing.phase < Phase::Waking {
            return Err(Error::obstacle(
                format!("{}; it cannot be kept", standing.told()),
                "undo it: `--undo`",
            ));
        }
        if standing.phase == Phase::Waking {
            steps(host, &order.after)?;
        }
        report.paths = standing.paths.iter().map(|path| path.path.clone()).collect();
        clear(host, standing)?;
        report.state = RestoreState::Restored;
        return Ok(report);
    }
    let (before, after): (&[Step], &[Step]) = match standing.phase {
        Phase::Fetching => (&[], &[]),
        _ => (&order.before, &order.after),
    };
    steps(host, before)?;
    put_back(host, standing, after)?;
    Ok(report)
}

/// Puts back what was there, however far the restore came; then the service is woken, and it is forgotten.
fn put_back(host: &mut Host, standing: Standing, after: &[Step]) -> Result<(), Error> {
    let layout = host.layout.clone();
    for command in standing.commands.iter().filter(|command| command.touched) {
        read_back(host, command, &standing.old_dump(&layout, &command.id))?;
    }
    for database in &standing.databases {
        database.undo(host)?;
    }
    for path in &standing.paths {
        let Some(swap) = Swap::find(&layout, &path.path)? else {
            continue;
        };
        // Before the exchange, whatever is in the place is the service's own.
        if standing.phase < Phase::Exchanging {
            swap.remove()?;
        } else {
            swap.undo(path.was_there)?;
        }
    }
    steps(host, after)?;
    standing.end(&layout)
}

/// Removes what is aside.
fn clear(host: &mut Host, mut standing: Standing) -> Result<(), Error> {
    let layout = host.layout.clone();
    standing.enter(&layout, Phase::Clearing)?;
    for path in &standing.paths {
        if let Some(swap) = Swap::find(&layout, &path.path)? {
            swap.remove()?;
        }
    }
    for database in &standing.databases {
        database.remove_beside(host)?;
    }
    standing.end(&layout)
}

/// Has a program read a dump from a file.
fn read_back(host: &mut Host, command: &StandingCommand, dump: &Path) -> Result<(), Error> {
    let account = host.account(&command.user)?;
    let mut file = fs::File::open(dump).attempt("reading", dump)?;
    Program::new(command.load.iter().cloned())
        .user(&account)
        .timeout(LOADING)
        .succeed_reading(&mut file)?;
    Ok(())
}

fn steps(host: &mut Host, steps: &[Step]) -> Result<(), Error> {
    for step in steps {
        crate::backup::steps::run(step, host)?;
    }
    Ok(())
}

/// The database that a dump goes to, if it goes to one.
pub(super) fn database(to: &DumpSource) -> Option<Database> {
    match to {
        DumpSource::Postgres { database } => Some(Database::Postgres(database.clone())),
        DumpSource::Mariadb { database } => Some(Database::Mariadb(database.clone())),
        DumpSource::Command { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Intent;
    use crate::layout::Layout;

    /// A host with `/srv/data/page` and a program's own state in `/srv/state`, of which a restore stands in some phase.
    struct Bench {
        root: tempfile::TempDir,
        layout: Layout,
    }

    impl Bench {
        fn new() -> Bench {
            let root = tempfile::tempdir().expect("temporary directory");
            for folder in ["srv/data", "etc", "run"] {
                fs::create_dir_all(root.path().join(folder)).expect("makes");
            }
            let (uid, gid) = (
                rustix::process::geteuid().as_raw(),
                rustix::process::getegid().as_raw(),
            );
            fs::write(
                root.path().join("etc/passwd"),
                format!("root:x:{uid}:{gid}::/:/bin/sh\n"),
            )
            .expect("writes");
            fs::write(root.path().join("etc/group"), format!("root:x:{gid}:\n")).expect("writes");
            fs::write(root.path().join("srv/data/page"), "now").expect("writes");
            fs::write(root.path().join("srv/state"), "now").expect("writes");
            let layout = Layout::below(root.path());
            Bench { root, layout }
        }

        /// A restore that an agent was killed in, when it had done all of `phase`.
        fn stands(&self, phase: Phase) {
            let mut standing = Standing::new("wiki", "anna");
            standing.paths.push(StandingPath {
                path: "/srv/data".to_owned(),
                was_there: true,
            });
            let state = self.root.path().join("srv/state");
            standing.commands.push(StandingCommand {
                id: "state".to_owned(),
                load: vec!["dd".to_owned(), format!("of={}", state.display())],
                user: "root".to_owned(),
                touched: false,
            });
            standing.enter(&self.layout, Phase::Fetching).expect("writes");
            let swap = Swap::prepare(&self.layout, "/srv/data").expect("prepares");
            fs::create_dir_all(swap.restored()).expect("makes");
            fs::write(swap.restored().join("page"), "then").expect("writes");
            fs::write(standing.new_dump(&self.layout, "state"), "then").expect("writes");
            if phase >= Phase::Exchanging {
                fs::write(standing.old_dump(&self.layout, "state"), "now").expect("writes");
                swap.exchange().expect("exchanges");
                standing.commands[0].touched = true;
                standing.write(&self.layout).expect("writes");
                fs::write(&state, "then").expect("writes");
            }
            standing.enter(&self.layout, phase).expect("writes");
        }

        fn settle(&self, keep: bool) -> Result<RestoreReport, Error> {
            let mut host = Host::new(self.layout.clone(), Intent::Apply, Box::new(|_| ()));
            let standing = Standing::of(&self.layout, "wiki")
                .expect("reads")
                .expect("stands");
            let touch = Step {
                argv: vec![
                    "touch".to_owned(),
                    self.root.path().join("woken").display().to_string(),
                ],
                user: "root".to_owned(),
                timeout: 10,
                stdin: None,
                env: Default::default(),
            };
            let order = UndoOrder {
                service: "wiki".to_owned(),
                keep,
                before: Vec::new(),
                after: vec![touch],
                secrets: Vec::new(),
            };
            settle(&mut host, standing, &order)
        }

        fn is_all(&self, expected: &str) {
            for file in ["srv/data/page", "srv/state"] {
                let found = fs::read_to_string(self.root.path().join(file)).expect("is there");
                assert_eq!(found, expected, "{file}");
            }
        }

        fn nothing_is_left(&self) {
            assert!(!self.root.path().join("srv/.allmende-restore-data").exists());
            assert_eq!(Standing::of(&self.layout, "wiki").expect("reads"), None);
        }
    }

    #[test]
    fn an_interrupted_restore_is_undone_from_every_phase() {
        for phase in [Phase::Fetching, Phase::Stopping, Phase::Exchanging, Phase::Waking] {
            let bench = Bench::new();
            bench.stands(phase);
            let report = bench.settle(false).expect("undoes");
            assert_eq!(report.state, RestoreState::AsBefore, "{phase:?}");
            bench.is_all("now");
            bench.nothing_is_left();
            // A service that was never stopped is left alone.
            assert_eq!(
                bench.root.path().join("woken").exists(),
                phase != Phase::Fetching,
                "{phase:?}"
            );
        }
    }

    #[test]
    fn one_that_has_all_in_its_place_can_be_kept_and_no_other() {
        let bench = Bench::new();
        bench.stands(Phase::Waking);
        assert_eq!(bench.settle(true).expect("keeps").state, RestoreState::Restored);
        bench.is_all("then");
        bench.nothing_is_left();
        assert!(bench.root.path().join("woken").exists());

        let bench = Bench::new();
        bench.stands(Phase::Exchanging);
        let error = bench.settle(true).expect_err("is a mixture");
        assert!(
            error.to_string().contains("it cannot be kept; undo it"),
            "{error}"
        );
        bench.settle(false).expect("undoes");
        bench.is_all("now");
    }

    #[test]
    fn one_that_was_clearing_up_is_finished_and_not_undone() {
        let bench = Bench::new();
        bench.stands(Phase::Clearing);
        assert_eq!(
            bench.settle(false).expect("finishes").state,
            RestoreState::Restored
        );
        bench.is_all("then");
        bench.nothing_is_left();
    }
}
