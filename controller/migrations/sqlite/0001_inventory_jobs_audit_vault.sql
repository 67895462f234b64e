-- Times are unix milliseconds, JSON is TEXT. Ids never leave the store; other code speaks in names.

CREATE TABLE organisations (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    name     TEXT NOT NULL UNIQUE,
    title    TEXT NOT NULL,
    sector   TEXT NOT NULL,
    place    TEXT,
    contacts TEXT NOT NULL
) STRICT;

CREATE TABLE hosts (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    name               TEXT NOT NULL UNIQUE,
    organisation_id    INTEGER REFERENCES organisations (id),
    address            TEXT NOT NULL,
    port               INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    host_key           TEXT NOT NULL,
    location           TEXT,
    provider           TEXT,
    monthly_cost_cents INTEGER,
    settings           TEXT NOT NULL,
    facts              TEXT NOT NULL,
    seen_at            INTEGER NOT NULL
) STRICT;
CREATE INDEX hosts_by_organisation ON hosts (organisation_id);

CREATE TABLE services (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    organisation_id    INTEGER NOT NULL REFERENCES organisations (id),
    host_id            INTEGER NOT NULL REFERENCES hosts (id),
    name               TEXT NOT NULL,
    template           TEXT NOT NULL,
    parameters         TEXT NOT NULL,
    -- The last successful apply: all three or none. The job may have been cleared away since.
    applied_at         INTEGER,
    applied_job        INTEGER,
    applied_parameters TEXT,
    UNIQUE (organisation_id, name)
) STRICT;
CREATE INDEX services_by_host ON services (host_id);
CREATE INDEX services_by_name ON services (name);

CREATE TABLE jobs (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    operation       TEXT NOT NULL,
    parameters      TEXT NOT NULL,
    title           TEXT NOT NULL,
    actor           TEXT NOT NULL,
    organisation_id INTEGER REFERENCES organisations (id) ON DELETE SET NULL,
    state           TEXT NOT NULL CHECK (state IN
                        ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'interrupted')),
    -- For people, and for finding out whether the holder still lives.
    holder          TEXT,
    holder_identity TEXT,
    lease_until     INTEGER,
    -- Counts the claims; a claim that is not the last one may no longer write.
    attempts        INTEGER NOT NULL DEFAULT 0,
    created_at      INTEGER NOT NULL,
    started_at      INTEGER,
    ended_at        INTEGER,
    outcome         TEXT
) STRICT;
CREATE INDEX jobs_by_state ON jobs (state, id);

-- The hosts that a job changes.
CREATE TABLE job_hosts (
    job_id  INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    host_id INTEGER NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    PRIMARY KEY (job_id, host_id)
) STRICT;
CREATE INDEX job_hosts_by_host ON job_hosts (host_id);

-- The running job that a host belongs to: at most one.
CREATE TABLE host_locks (
    host_id INTEGER PRIMARY KEY REFERENCES hosts (id) ON DELETE CASCADE,
    job_id  INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE
) STRICT;
CREATE INDEX host_locks_by_job ON host_locks (job_id);

CREATE TABLE job_events (
    job_id   INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    sequence INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    event    TEXT NOT NULL,
    PRIMARY KEY (job_id, sequence)
) STRICT, WITHOUT ROWID;

-- Append-only. No foreign keys: an entry outlives what it speaks of.
CREATE TABLE audit (
    sequence   INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    actor      TEXT NOT NULL,
    operation  TEXT NOT NULL,
    parameters TEXT NOT NULL,
    phase      TEXT NOT NULL CHECK (phase IN ('asked', 'succeeded', 'failed', 'refused')),
    job_id     INTEGER,
    message    TEXT NOT NULL,
    previous   TEXT NOT NULL,
    hash       TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_job ON audit (job_id);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

-- How long the audit log is and how it ends, sealed with a key that lies outside the database.
CREATE TABLE audit_head (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    entries INTEGER NOT NULL,
    hash    TEXT NOT NULL,
    seal    BLOB NOT NULL
) STRICT;

-- Data keys, each encrypted with the master key. Without its key, an organisation's secrets are gone.
CREATE TABLE vault_keys (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    owner           TEXT NOT NULL UNIQUE,
    organisation_id INTEGER REFERENCES organisations (id) ON DELETE CASCADE,
    sealed          BLOB NOT NULL,
    created_at      INTEGER NOT NULL
) STRICT;

CREATE TABLE vault_secrets (
    key_id     INTEGER NOT NULL REFERENCES vault_keys (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    sealed     BLOB NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (key_id, name)
) STRICT;
