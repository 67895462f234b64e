-- What is asked again and again, how it stands, and the last answer. Everything else uses the small number.
CREATE TABLE watched (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    -- web1, kita-sonne/cloud, allmende, as model::Subject writes them.
    subject      TEXT NOT NULL,
    name         TEXT NOT NULL,
    title        TEXT NOT NULL,
    organisation TEXT,
    host         TEXT,
    -- Whether it says if the service can be used: these count for its uptime.
    availability INTEGER NOT NULL,
    state        TEXT NOT NULL,
    answer       TEXT NOT NULL,
    asked_at     INTEGER NOT NULL,
    took_ms      INTEGER NOT NULL,
    UNIQUE (subject, name)
) STRICT;
CREATE INDEX watched_by_host ON watched (host);

-- Every answer, for some days. Status: 0 ok, 1 unknown, 2 warning, 3 critical.
CREATE TABLE results (
    check_id INTEGER NOT NULL REFERENCES watched (id) ON DELETE CASCADE,
    at       INTEGER NOT NULL,
    status   INTEGER NOT NULL,
    figure   REAL,
    took_ms  INTEGER NOT NULL,
    PRIMARY KEY (check_id, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX results_by_time ON results (at);

-- Answers by the hour and by the day (UTC): how many of each status, and their figures.
CREATE TABLE rollups (
    check_id INTEGER NOT NULL REFERENCES watched (id) ON DELETE CASCADE,
    span     INTEGER NOT NULL,
    begin_at INTEGER NOT NULL,
    ok       INTEGER NOT NULL,
    unknown  INTEGER NOT NULL,
    warning  INTEGER NOT NULL,
    critical INTEGER NOT NULL,
    least    REAL,
    mean     REAL,
    most     REAL,
    PRIMARY KEY (check_id, span, begin_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX rollups_by_time ON rollups (span, begin_at);

-- Since when a check stood how, once that counted: uptime is reckoned from these.
CREATE TABLE spans (
    check_id INTEGER NOT NULL REFERENCES watched (id) ON DELETE CASCADE,
    since    INTEGER NOT NULL,
    status   INTEGER NOT NULL,
    PRIMARY KEY (check_id, since)
) STRICT, WITHOUT ROWID;

CREATE TABLE incidents (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    subject            TEXT NOT NULL,
    name               TEXT NOT NULL,
    title              TEXT NOT NULL,
    organisation_id    INTEGER REFERENCES organisations (id) ON DELETE SET NULL,
    host               TEXT,
    severity           TEXT NOT NULL,
    first_bad_at       INTEGER NOT NULL,
    opened_at          INTEGER NOT NULL,
    recovered_at       INTEGER,
    acknowledged_by    TEXT,
    acknowledged_until INTEGER,
    note               TEXT
) STRICT;
-- At most one incident of a check is open, whatever happens.
CREATE UNIQUE INDEX incidents_open ON incidents (subject, name) WHERE recovered_at IS NULL;
CREATE INDEX incidents_by_organisation ON incidents (organisation_id, opened_at);

-- What happened to incidents, in order. Those without routed_at wait for somebody to decide who is told.
CREATE TABLE incident_events (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    incident_id INTEGER NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    at          INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    severity    TEXT NOT NULL,
    sentence    TEXT NOT NULL,
    advice      TEXT,
    hidden      INTEGER NOT NULL DEFAULT 0,
    routed_at   INTEGER
) STRICT;
CREATE INDEX incident_events_by_incident ON incident_events (incident_id, id);
CREATE INDEX incident_events_to_be_routed ON incident_events (id) WHERE routed_at IS NULL;

-- Times in which nobody is alarmed.
CREATE TABLE maintenance (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    about      TEXT NOT NULL,
    plan       TEXT NOT NULL,
    reason     TEXT NOT NULL,
    made_by    TEXT NOT NULL,
    made_at    INTEGER NOT NULL,
    ended_at   INTEGER
) STRICT;
