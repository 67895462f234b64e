//! What the reference tells about, in this order, and where it is defined.

/// One table of the reference: its heading, the key that its fields follow in a `service.toml`, the definition, and what is
/// said before it.
pub(super) struct Table(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static str,
);

const CATALOGUE: &str = "controller/src/catalogue/template.rs";
const PARAMETER: &str = "controller/src/catalogue/parameter.rs";
pub(super) const DESIRED: &str = "controller/src/catalogue/desired.rs";
const MESSAGE: &str = "agent/src/protocol/message.rs";
const CHECK: &str = "controller/src/catalogue/sections/check/mod.rs";
const OUTSIDE: &str = "controller/src/catalogue/sections/check/outside.rs";
const INSIDE: &str = "controller/src/catalogue/sections/check/inside.rs";
const BACKUP: &str = "controller/src/catalogue/sections/backup.rs";
const STEP: &str = "controller/src/catalogue/sections/step.rs";
const ACTION: &str = "controller/src/catalogue/sections/action.rs";
const PRIVACY: &str = "controller/src/catalogue/sections/privacy.rs";
const TEXT: &str = "controller/src/model/text.rs";
const PERSON: &str = "controller/src/model/person.rs";

/// Before and after the kinds of resources.
pub(super) const BEFORE: &[Table] = &[
    Table("The file", "", CATALOGUE, "Manifest", ""),
    Table(
        "Texts",
        "title",
        TEXT,
        "Text",
        "Wherever people read: `{ de = \"…\", en = \"…\" }`.",
    ),
    Table("`scope`", "", CATALOGUE, "Scope", ""),
    Table("`[login]`", "login", CATALOGUE, "Login", ""),
    Table("`[params.NAME]`", "params.*", PARAMETER, "Parameter", ""),
    Table("Types of parameters", "", PARAMETER, "ParameterType", ""),
    Table("`[[releases]]`", "releases", CATALOGUE, "Release", ""),
    Table("`[upgrade]`", "upgrade", CATALOGUE, "Upgrade", ""),
    Table("Steps of an upgrade", "", CATALOGUE, "Step", ""),
    Table("`[[requirements]]`", "requirements", CATALOGUE, "Requirement", ""),
    Table(
        "`[[resources]]`",
        "resources",
        CATALOGUE,
        "ResourceEntry",
        "Beside these, each kind has fields of its own.",
    ),
];

pub(super) const AFTER: &[Table] = &[
    Table("`[[handlers]]`", "handlers", MESSAGE, "Handler", ""),
    Table(
        "What a handler does",
        "handlers",
        MESSAGE,
        "HandlerAct",
        "One of these:",
    ),
    Table("Actions on units", "", MESSAGE, "UnitAction", ""),
    Table(
        "`[[checks]]`",
        "checks",
        CHECK,
        "Check",
        "Beside these, `kind` and its fields, and `when`: an expression; the check is left out when it is false.",
    ),
    Table("Kinds of checks", "", CHECK, "Question", ""),
    Table(
        "Check of the kind `http`",
        "checks:http",
        OUTSIDE,
        "HttpCheck",
        "",
    ),
    Table(
        "`json` of an http check",
        "checks:http.json",
        OUTSIDE,
        "JsonExpectation",
        "",
    ),
    Table("Check of the kind `tcp`", "checks:tcp", OUTSIDE, "TcpCheck", ""),
    Table(
        "Check of the kind `date`",
        "checks:date",
        OUTSIDE,
        "DateCheck",
        "",
    ),
    Table("Check of the kind `tls`", "checks:tls", OUTSIDE, "TlsCheck", ""),
    Table("Check of the kind `dns`", "checks:dns", OUTSIDE, "DnsCheck", ""),
    Table("`at` of a check", "", OUTSIDE, "Place", ""),
    Table("`method` of an http check", "", OUTSIDE, "Method", ""),
    Table("`trust` of a check", "", OUTSIDE, "Trust", ""),
    Table("`record` of a dns check", "", OUTSIDE, "RecordType", ""),
    Table("Check of the kind `disk`", "checks:disk", INSIDE, "DiskCheck", ""),
    Table(
        "Check of the kind `inodes`",
        "checks:inodes",
        INSIDE,
        "InodesCheck",
        "",
    ),
    Table(
        "Check of the kind `memory`",
        "checks:memory",
        INSIDE,
        "MemoryCheck",
        "",
    ),
    Table("Check of the kind `swap`", "checks:swap", INSIDE, "SwapCheck", ""),
    Table("Check of the kind `load`", "checks:load", INSIDE, "LoadCheck", ""),
    Table(
        "Check of the kind `failed_units`",
        "checks:failed_units",
        INSIDE,
        "FailedUnitsCheck",
        "",
    ),
    Table("Check of the kind `unit`", "checks:unit", INSIDE, "UnitCheck", ""),
    Table(
        "Check of the kind `security_updates`",
        "checks:security_updates",
        INSIDE,
        "SecurityUpdatesCheck",
        "",
    ),
    Table(
        "Check of the kind `reboot_required`",
        "checks:reboot_required",
        INSIDE,
        "RebootRequiredCheck",
        "",
    ),
    Table(
        "Check of the kind `clock`",
        "checks:clock",
        INSIDE,
        "ClockCheck",
        "",
    ),
    Table(
        "Check of the kind `certificate`",
        "checks:certificate",
        INSIDE,
        "CertificateCheck",
        "",
    ),
    Table(
        "Check of the kind `smart`",
        "checks:smart",
        INSIDE,
        "SmartCheck",
        "",
    ),
    Table(
        "Check of the kind `package_update`",
        "checks:package_update",
        INSIDE,
        "PackageUpdateCheck",
        "",
    ),
    Table(
        "Check of the kind `listening_ports`",
        "checks:listening_ports",
        INSIDE,
        "ListeningPortsCheck",
        "",
    ),
    Table(
        "Check of the kind `command`",
        "checks:command",
        INSIDE,
        "CommandCheck",
        "",
    ),
    Table(
        "Check of the kind `freshness`",
        "checks:freshness",
        INSIDE,
        "FreshnessCheck",
        "",
    ),
    Table("`[backup]`", "backup", BACKUP, "Backup", ""),
    Table(
        "Steps",
        "backup.quiesce",
        STEP,
        "Step",
        "In `[[backup.quiesce]]`, `[[backup.resume]]`, `[[restore.before]]`, `[[restore.after]]` and, with a default of 60 seconds, in actions:",
    ),
    Table(
        "`[[backup.dumps]]`",
        "backup.dumps",
        BACKUP,
        "Dump",
        "Beside these, `kind` and its fields.",
    ),
    Table("Kinds of dumps", "", BACKUP, "DumpSource", ""),
    Table(
        "Dump of the kind `postgres` or `mariadb`",
        "backup.dumps",
        BACKUP,
        "DatabaseDump",
        "",
    ),
    Table(
        "Dump of the kind `command`",
        "backup.dumps:command",
        BACKUP,
        "CommandDump",
        "",
    ),
    Table("`[restore]`", "restore", BACKUP, "Restore", ""),
    Table("`[verify]`", "verify", BACKUP, "Verify", ""),
    Table("`[[verify.counts]]`", "verify.counts", BACKUP, "RowCount", ""),
    Table("`[[verify.files]]`", "verify.files", BACKUP, "SomeFiles", ""),
    Table(
        "`[actions.NAME]`",
        "actions.*",
        ACTION,
        "Action",
        "Beside these, the fields of a step.",
    ),
    Table("`risk` of an action", "", ACTION, "ActionRisk", ""),
    Table("`output` of an action", "", ACTION, "OutputKind", ""),
    Table("Roles", "", PERSON, "Role", ""),
    Table("`[[privacy]]`", "privacy", PRIVACY, "PersonalData", ""),
    Table("Categories of data", "", PRIVACY, "DataCategory", ""),
];

/// Resources that the controller completes before the agent gets them.
pub(super) const COMPLETED: &[(&str, &str)] =
    &[("archive", "WantedArchive"), ("certificate", "WantedCertificate")];
