-- What is asked for again and again.
CREATE TABLE schedules (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    name            TEXT NOT NULL UNIQUE,
    organisation_id INTEGER REFERENCES organisations (id) ON DELETE CASCADE,
    operation       TEXT NOT NULL,
    parameters      TEXT NOT NULL,
    recurrence      TEXT NOT NULL,
    zone            TEXT NOT NULL,
    jitter_seconds  INTEGER NOT NULL CHECK (jitter_seconds >= 0),
    -- By whom, since when and why it rests, as JSON; null while it does not.
    paused          TEXT,
    created_by      TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    -- Times up to this one are dealt with, and when that was written down: a clock that was wrong is found by it.
    anchor          INTEGER NOT NULL,
    anchor_set_at   INTEGER NOT NULL,
    -- Counts the changes: what was read before one is not acted upon after it.
    revision        INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX schedules_by_organisation ON schedules (organisation_id);

-- The times that were served: each once.
CREATE TABLE schedule_runs (
    schedule_id  INTEGER NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    due_at       INTEGER NOT NULL,
    -- The first time that it stands for, and how many before the last were missed.
    first_due_at INTEGER NOT NULL,
    missed       INTEGER NOT NULL,
    fired_at     INTEGER NOT NULL,
    -- The job, or why there is none. A job may have been forgotten since.
    job_id       INTEGER REFERENCES jobs (id) ON DELETE SET NULL,
    refusal      TEXT,
    PRIMARY KEY (schedule_id, due_at)
) STRICT;
CREATE INDEX schedule_runs_by_job ON schedule_runs (job_id);
