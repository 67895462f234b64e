//! What the agent knows about the host while it works on one request: read once, forgotten when something changed it.

mod accounts;
mod dpkg;
mod firewall;
mod mariadb;
mod postgres;
mod server;
mod units;

use std::time::Duration;

use crate::error::Error;
use crate::layout::Layout;
use crate::mask::Masker;
use crate::place::{Parents, Place};
use crate::process::{Finished, ProcessError, Program};
use crate::protocol::DesiredState;

pub(crate) use accounts::{Account, Accounts};
pub(crate) use dpkg::Packages;
pub(crate) use firewall::LiveSets;
pub(crate) use mariadb::{Databases, Grant, literal as mariadb_literal, mariadb};
pub(crate) use postgres::{Cluster, identifier, literal as postgres_literal, psql};
pub(crate) use server::Asked;
pub(crate) use units::UnitState;

/// How long a program that cannot start needs to show it, mostly.
const SETTLING: Duration = Duration::from_millis(200);

/// Whether a request may change the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// It only looks, possibly at a host where earlier resources of the same state are not there yet.
    Plan,
    /// It changes, so what earlier resources bring must be there.
    Apply,
}

/// One request's view of the host.
pub(crate) struct Host {
    pub(crate) layout: Layout,
    pub(crate) intent: Intent,
    pub(crate) masker: Masker,
    say: Box<dyn FnMut(&str) + Send>,
    accounts: Option<Accounts>,
    packages: Option<Packages>,
    units: units::Units,
    postgres: postgres::Postgres,
    mariadb: mariadb::MariaDb,
    firewall: Option<LiveSets>,
}

impl Host {
    /// A view of the host for one request. `say` gets each line that programs print.
    pub(crate) fn new(layout: Layout, intent: Intent, say: Box<dyn FnMut(&str) + Send>) -> Host {
        Host {
            layout,
            intent,
            masker: Masker::default(),
            say,
            accounts: None,
            packages: None,
            units: units::Units::default(),
            postgres: postgres::Postgres::default(),
            mariadb: mariadb::MariaDb::default(),
            firewall: None,
        }
    }

    /// Takes note of what a desired state will ask about, so that it can be asked in one go.
    pub(crate) fn expect(&mut self, desired: &DesiredState) {
        self.masker = Masker::new(&desired.secrets);
        self.units.expect(desired);
        self.postgres.expect(desired);
    }

    /// Where a path leads; `None` when a directory on the way is missing.
    pub(crate) fn place(&self, path: &str) -> Result<Option<Place>, Error> {
        Place::find(&self.layout, path, Parents::Leave)
    }

    /// Where a path leads; directories on the way are made.
    pub(crate) fn place_made(&self, path: &str) -> Result<Place, Error> {
        Place::find(&self.layout, path, Parents::Make)?.ok_or_else(|| {
            Error::obstacle(
                format!("a directory of {path} vanished while it was made"),
                "find out what removes it and apply again",
            )
        })
    }

    /// Tells whoever asked how a long change goes on.
    pub(crate) fn say(&mut self, line: &str) {
        (self.say)(line);
    }

    /// Runs a program to its end, whatever that is, passing its lines on.
    pub(crate) fn run(&mut self, program: &Program) -> Result<Finished, ProcessError> {
        program.run(&mut self.say)
    }

    /// Runs a program and wants success.
    pub(crate) fn succeed(&mut self, program: &Program) -> Result<Finished, ProcessError> {
        program.succeed(&mut self.say)
    }

    /// Users and groups.
    pub(crate) fn accounts(&mut self) -> Result<&Accounts, Error> {
        let accounts = match self.accounts.take() {
            Some(accounts) => accounts,
            None => Accounts::read(&self.layout)?,
        };
        Ok(self.accounts.insert(accounts))
    }

    /// Packages and their states.
    pub(crate) fn packages(&mut self) -> Result<&Packages, Error> {
        let packages = match self.packages.take() {
            Some(packages) => packages,
            None => Packages::read(&self.layout)?,
        };
        Ok(self.packages.insert(packages))
    }

    /// The sets of open ports that are in force.
    pub(crate) fn live_sets(&mut self) -> Result<&LiveSets, Error> {
        let sets = match self.firewall.take() {
            Some(sets) => sets,
            None => LiveSets::read()?,
        };
        Ok(self.firewall.insert(sets))
    }

    /// What systemd says about a unit.
    pub(crate) fn unit(&mut self, name: &str) -> Result<UnitState, Error> {
        self.units.state(name, self.intent)
    }

    /// What PostgreSQL has.
    pub(crate) fn cluster(&mut self) -> Result<Asked<'_, Cluster>, Error> {
        let account = self.accounts()?.user("postgres").cloned();
        self.postgres.cluster(account.as_ref(), self.intent)
    }

    /// What MariaDB has.
    pub(crate) fn mariadb(&mut self) -> Result<Asked<'_, Databases>, Error> {
        self.mariadb.databases(self.intent)
    }

    /// The account of a Unix user that has to exist by now.
    pub(crate) fn account(&mut self, name: &str) -> Result<Account, Error> {
        self.accounts()?.user(name).cloned().ok_or_else(|| {
            Error::obstacle(
                format!("the user {name} does not exist on this host"),
                "add a user resource before this one, or the package that brings it",
            )
        })
    }

    /// The ids of an owner and a group that have to exist by now.
    pub(crate) fn ids(&mut self, owner: &str, group: &str) -> Result<(u32, u32), Error> {
        let uid = self.account(owner)?.uid;
        let gid = self
            .accounts()?
            .group(group)
            .map(|group| group.gid)
            .ok_or_else(|| {
                Error::obstacle(
                    format!("the group {group} does not exist on this host"),
                    "add a group or user resource before this one, or the package that brings it",
                )
            })?;
        Ok((uid, gid))
    }

    /// A file was written or removed: units and accounts may have changed with it.
    pub(crate) fn path_changed(&mut self, path: &str) {
        if [
            "/etc/systemd/",
            "/run/systemd/",
            "/usr/lib/systemd/",
            "/lib/systemd/",
        ]
        .iter()
        .any(|folder| path.starts_with(folder))
        {
            self.units.files_changed();
        }
        if path.starts_with("/etc/nftables") {
            self.firewall = None;
        }
        if path.starts_with("/etc/passwd") || path.starts_with("/etc/group") {
            self.accounts = None;
        }
    }

    /// Users or groups were changed.
    pub(crate) fn accounts_changed(&mut self) {
        self.accounts = None;
    }

    /// Units were started, stopped, enabled or disabled.
    pub(crate) fn units_changed(&mut self) {
        self.units.forget();
    }

    /// Roles or databases of PostgreSQL were changed.
    pub(crate) fn postgres_changed(&mut self) {
        self.postgres.forget();
    }

    /// Users, databases or rights of MariaDB were changed.
    pub(crate) fn mariadb_changed(&mut self) {
        self.mariadb.forget();
    }

    /// The rule set was loaded.
    pub(crate) fn firewall_changed(&mut self) {
        self.firewall = None;
    }

    /// Packages were installed, or a program ran that may have done anything.
    pub(crate) fn anything_changed(&mut self) {
        self.accounts = None;
        self.packages = None;
        self.firewall = None;
        self.units.forget();
        self.postgres.forget();
        self.mariadb.forget();
    }

    /// What systemd says about a unit that was just started or restarted, after it had the time to fail.
    pub(crate) fn settled_unit(&mut self, name: &str) -> Result<UnitState, Error> {
        self.units.forget();
        let unit = self.unit(name)?;
        if !unit.hasty || unit.active != "active" {
            return Ok(unit);
        }
        std::thread::sleep(SETTLING);
        self.units.forget();
        self.unit(name)
    }

    /// Makes systemd read all unit files again.
    pub(crate) fn reload_units(&mut self) -> Result<(), Error> {
        self.units.reload()
    }
}
