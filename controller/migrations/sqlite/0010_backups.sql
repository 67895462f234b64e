-- Places for repositories. Passwords and keys are in the vault.
CREATE TABLE targets (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    name               TEXT NOT NULL UNIQUE,
    location           TEXT NOT NULL,
    place              TEXT,
    retention          TEXT NOT NULL,
    quota_bytes        INTEGER,
    monthly_cost_cents INTEGER,
    -- Whose services it serves; an empty list for all.
    organisations      TEXT NOT NULL,
    created_at         INTEGER NOT NULL
) STRICT;

-- Backups outlive services and organisations, so that these are named and not referred to.
CREATE TABLE repositories (
    id           TEXT NOT NULL PRIMARY KEY,
    target_id    INTEGER NOT NULL REFERENCES targets (id),
    organisation TEXT NOT NULL,
    service      TEXT NOT NULL,
    folder       TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    size_bytes   INTEGER,
    counted_at   INTEGER,
    -- The last part of the data that was read, of how many.
    checked_at   INTEGER,
    check_part   INTEGER,
    check_parts  INTEGER,
    damaged      TEXT,
    pruned_at    INTEGER,
    UNIQUE (target_id, organisation, service)
) STRICT;

CREATE TABLE backups (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    organisation TEXT NOT NULL,
    service      TEXT NOT NULL,
    host         TEXT NOT NULL,
    -- No foreign key: jobs are cleared away.
    job          INTEGER,
    parts        TEXT NOT NULL,
    began_at     INTEGER NOT NULL,
    ended_at     INTEGER,
    outcome      TEXT CHECK (outcome IN ('complete', 'incomplete', 'failed')),
    complaints   TEXT NOT NULL,
    proof        TEXT,
    files        INTEGER NOT NULL,
    bytes        INTEGER NOT NULL,
    added_bytes  INTEGER NOT NULL
) STRICT;
CREATE INDEX backups_by_service ON backups (organisation, service, began_at);

CREATE TABLE snapshots (
    repository_id TEXT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    -- restic's id, 64 hexadecimal digits.
    snapshot      TEXT NOT NULL,
    backup_id     INTEGER NOT NULL REFERENCES backups (id) ON DELETE CASCADE,
    part          TEXT NOT NULL,
    removed_at    INTEGER,
    PRIMARY KEY (repository_id, snapshot)
) STRICT, WITHOUT ROWID;
CREATE INDEX snapshots_by_backup ON snapshots (backup_id);

CREATE TABLE drills (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    backup_id  INTEGER NOT NULL REFERENCES backups (id) ON DELETE CASCADE,
    -- No foreign key: what was proven stays when a target goes.
    repository TEXT NOT NULL,
    host       TEXT NOT NULL,
    began_at   INTEGER NOT NULL,
    ended_at   INTEGER NOT NULL,
    outcome    TEXT NOT NULL CHECK (outcome IN ('passed', 'failed', 'refused')),
    evidence   TEXT NOT NULL,
    seconds    REAL NOT NULL
) STRICT;
CREATE INDEX drills_by_backup ON drills (backup_id);

-- How large a target was on each day (UTC), for the day on which it will be full.
CREATE TABLE target_sizes (
    target_id  INTEGER NOT NULL REFERENCES targets (id) ON DELETE CASCADE,
    day        TEXT NOT NULL,
    bytes      INTEGER NOT NULL,
    free_bytes INTEGER,
    PRIMARY KEY (target_id, day)
) STRICT, WITHOUT ROWID;
