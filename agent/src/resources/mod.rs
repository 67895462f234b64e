//! What the agent knows to bring about. Each kind is one file: its specification, how it is read, changed and proven.

mod absent;
mod apt;
mod archive;
mod command;
mod directory;
mod file;
mod firewall;
mod group;
mod line;
mod link;
mod mariadb_database;
mod mariadb_user;
mod package;
mod postgres_database;
mod postgres_role;
mod removal;
mod unit;
mod user;

mod difference;
mod rights;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::host::Host;
use crate::names::Verdict;

pub(crate) use difference::Difference;
pub(crate) use unit::{ended_at_once, with_journal};

pub use absent::AbsentSpec;
pub use archive::ArchiveSpec;
pub use command::CommandSpec;
pub use directory::DirectorySpec;
pub use file::FileSpec;
pub use firewall::FirewallSpec;
pub use group::GroupSpec;
pub use line::LineSpec;
pub use link::LinkSpec;
pub use mariadb_database::MariadbDatabaseSpec;
pub use mariadb_user::MariadbUserSpec;
pub use package::PackageSpec;
pub use postgres_database::PostgresDatabaseSpec;
pub use postgres_role::PostgresRoleSpec;
pub use removal::RemovalSpec;
pub use unit::UnitSpec;
pub use user::UserSpec;

/// The desired state of one thing on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ResourceSpec {
    /// A path where nothing shall be.
    Absent(AbsentSpec),
    /// An unpacked archive.
    Archive(ArchiveSpec),
    /// A guarded command.
    Command(CommandSpec),
    /// A directory.
    Directory(DirectorySpec),
    /// A file.
    File(FileSpec),
    /// Open ports.
    Firewall(FirewallSpec),
    /// A Unix group.
    Group(GroupSpec),
    /// A line in a file that is somebody else's.
    Line(LineSpec),
    /// A symbolic link.
    Link(LinkSpec),
    /// A MariaDB database.
    MariadbDatabase(MariadbDatabaseSpec),
    /// A MariaDB user.
    MariadbUser(MariadbUserSpec),
    /// Packages of the distribution.
    Package(PackageSpec),
    /// A PostgreSQL database.
    PostgresDatabase(PostgresDatabaseSpec),
    /// A PostgreSQL role.
    PostgresRole(PostgresRoleSpec),
    /// What is left of a service that is removed.
    Removal(RemovalSpec),
    /// A systemd unit.
    Unit(UnitSpec),
    /// A Unix user.
    User(UserSpec),
}

/// What every kind of resource can do.
pub(crate) trait Manage {
    /// Refuses what makes no sense, before anything is touched.
    fn check(&self) -> Verdict;

    /// What it is about, for people: a path, a name.
    fn subject(&self) -> String;

    /// Reads the actual state and describes how it differs; `None` when it is as desired. Changes nothing.
    fn compare(&self, host: &mut Host) -> Result<Option<Difference>, Error>;

    /// Makes it as desired. The engine reads it again afterwards and wants no difference.
    fn change(&self, host: &mut Host, difference: &Difference) -> Result<(), Error>;
}

impl ResourceSpec {
    /// `file`, `package` …
    pub fn kind(&self) -> &'static str {
        match self {
            ResourceSpec::Absent(_) => "absent",
            ResourceSpec::Archive(_) => "archive",
            ResourceSpec::Command(_) => "command",
            ResourceSpec::Directory(_) => "directory",
            ResourceSpec::File(_) => "file",
            ResourceSpec::Firewall(_) => "firewall",
            ResourceSpec::Group(_) => "group",
            ResourceSpec::Line(_) => "line",
            ResourceSpec::Link(_) => "link",
            ResourceSpec::MariadbDatabase(_) => "mariadb_database",
            ResourceSpec::MariadbUser(_) => "mariadb_user",
            ResourceSpec::Package(_) => "package",
            ResourceSpec::PostgresDatabase(_) => "postgres_database",
            ResourceSpec::PostgresRole(_) => "postgres_role",
            ResourceSpec::Removal(_) => "removal",
            ResourceSpec::Unit(_) => "unit",
            ResourceSpec::User(_) => "user",
        }
    }

    pub(crate) fn manage(&self) -> &dyn Manage {
        match self {
            ResourceSpec::Absent(spec) => spec,
            ResourceSpec::Archive(spec) => spec,
            ResourceSpec::Command(spec) => spec,
            ResourceSpec::Directory(spec) => spec,
            ResourceSpec::File(spec) => spec,
            ResourceSpec::Firewall(spec) => spec,
            ResourceSpec::Group(spec) => spec,
            ResourceSpec::Line(spec) => spec,
            ResourceSpec::Link(spec) => spec,
            ResourceSpec::MariadbDatabase(spec) => spec,
            ResourceSpec::MariadbUser(spec) => spec,
            ResourceSpec::Package(spec) => spec,
            ResourceSpec::PostgresDatabase(spec) => spec,
            ResourceSpec::PostgresRole(spec) => spec,
            ResourceSpec::Removal(spec) => spec,
            ResourceSpec::Unit(spec) => spec,
            ResourceSpec::User(spec) => spec,
        }
    }
}

/// `root`, the owner and group of what nobody else needs to own.
fn root() -> String {
    "root".to_owned()
}

/// `true`, for serde.
fn yes() -> bool {
    true
}
