//! What the agent knows to bring about. Each kind is one file: its specification, how it is read, changed and proven.

mod absent;
mod archive;
mod command;
mod directory;
mod file;
mod firewall;
mod group;
mod line;
mod link;
mod package;
mod postgres_database;
mod postgres_role;
mod unit;
mod user;

use serde::{Deserialize, Serialize};

pub use absent::AbsentSpec;
pub use archive::ArchiveSpec;
pub use command::CommandSpec;
pub use directory::DirectorySpec;
pub use file::FileSpec;
pub use firewall::FirewallSpec;
pub use group::GroupSpec;
pub use line::LineSpec;
pub use link::LinkSpec;
pub use package::PackageSpec;
pub use postgres_database::PostgresDatabaseSpec;
pub use postgres_role::PostgresRoleSpec;
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
    /// Packages of the distribution.
    Package(PackageSpec),
    /// A PostgreSQL database.
    PostgresDatabase(PostgresDatabaseSpec),
    /// A PostgreSQL role.
    PostgresRole(PostgresRoleSpec),
    /// A systemd unit.
    Unit(UnitSpec),
    /// A Unix user.
    User(UserSpec),
}

/// `root`, the owner and group of what nobody else needs to own.
fn root() -> String {
    "root".to_owned()
}

/// `true`, for serde.
fn yes() -> bool {
    true
}
