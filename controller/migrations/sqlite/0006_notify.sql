-- Ways to tell people. Passwords, tokens and keys are in the vault.
CREATE TABLE notify_channels (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT NOT NULL UNIQUE,
    way           TEXT NOT NULL,
    -- Attempts in a row that failed because of the channel; nothing is tried before retry_at.
    failures      INTEGER NOT NULL DEFAULT 0,
    failing_since INTEGER,
    retry_at      INTEGER,
    last_ok_at    INTEGER,
    last_error    TEXT,
    -- The message that told somebody of it; no foreign key: messages are cleared away.
    reported_by   INTEGER
) STRICT;

CREATE TABLE notify_people (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    name     TEXT NOT NULL UNIQUE,
    title    TEXT NOT NULL,
    language TEXT NOT NULL,
    mail     TEXT,
    ntfy     TEXT,
    matrix   TEXT,
    quiet    TEXT,
    zone     TEXT NOT NULL,
    second   INTEGER NOT NULL
) STRICT;

CREATE TABLE notify_rules (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    organisation_id INTEGER REFERENCES organisations (id) ON DELETE CASCADE,
    person_id       INTEGER NOT NULL REFERENCES notify_people (id) ON DELETE CASCADE,
    channel_id      INTEGER NOT NULL REFERENCES notify_channels (id) ON DELETE CASCADE,
    threshold       TEXT NOT NULL,
    delay_seconds   INTEGER NOT NULL,
    remind_seconds  INTEGER,
    digest          INTEGER NOT NULL
) STRICT;
CREATE INDEX notify_rules_by_organisation ON notify_rules (organisation_id);
CREATE INDEX notify_rules_by_person ON notify_rules (person_id);
CREATE INDEX notify_rules_by_channel ON notify_rules (channel_id);

-- Messages to one person by one channel.
CREATE TABLE notify_deliveries (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Its name everywhere in the world, the same for every attempt.
    uid             TEXT NOT NULL UNIQUE,
    kind            TEXT NOT NULL,
    person_id       INTEGER NOT NULL REFERENCES notify_people (id) ON DELETE CASCADE,
    channel_id      INTEGER NOT NULL REFERENCES notify_channels (id) ON DELETE CASCADE,
    content         TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('waiting', 'sending', 'sent', 'failed', 'dropped')),
    created_at      INTEGER NOT NULL,
    -- Not before; moved on by every attempt that failed.
    due_at          INTEGER NOT NULL,
    -- Given up after.
    expires_at      INTEGER NOT NULL,
    -- Only after this one has arrived.
    after_id        INTEGER,
    -- Counts the claims; a claim that is not the last one may no longer write.
    attempts        INTEGER NOT NULL DEFAULT 0,
    holder          TEXT,
    lease_until     INTEGER,
    sent_at         INTEGER,
    answer          TEXT
) STRICT;
CREATE INDEX notify_deliveries_by_state ON notify_deliveries (state, due_at);
CREATE INDEX notify_deliveries_by_person ON notify_deliveries (person_id, channel_id, state);
CREATE INDEX notify_deliveries_by_channel ON notify_deliveries (channel_id);
CREATE INDEX notify_deliveries_by_time ON notify_deliveries (created_at);

-- What happened to incidents, as the messages tell it. The key says what it is about: nothing is told twice.
CREATE TABLE notify_items (
    delivery_id INTEGER NOT NULL REFERENCES notify_deliveries (id) ON DELETE CASCADE,
    incident_id INTEGER NOT NULL,
    person_id   INTEGER NOT NULL REFERENCES notify_people (id) ON DELETE CASCADE,
    channel_id  INTEGER NOT NULL REFERENCES notify_channels (id) ON DELETE CASCADE,
    key         TEXT NOT NULL,
    notice      TEXT NOT NULL,
    PRIMARY KEY (person_id, channel_id, key)
) STRICT;
CREATE INDEX notify_items_by_delivery ON notify_items (delivery_id);
CREATE INDEX notify_items_by_channel ON notify_items (channel_id);

-- Who was told of which incident, until it is over for them.
CREATE TABLE notify_threads (
    incident_id INTEGER NOT NULL,
    person_id   INTEGER NOT NULL REFERENCES notify_people (id) ON DELETE CASCADE,
    channel_id  INTEGER NOT NULL REFERENCES notify_channels (id) ON DELETE CASCADE,
    -- The alert; no foreign key: messages are cleared away.
    delivery_id INTEGER NOT NULL,
    severity    TEXT NOT NULL,
    notice      TEXT NOT NULL,
    remind_at   INTEGER,
    PRIMARY KEY (incident_id, person_id, channel_id)
) STRICT;
CREATE INDEX notify_threads_by_reminder ON notify_threads (remind_at);
CREATE INDEX notify_threads_by_person ON notify_threads (person_id);
CREATE INDEX notify_threads_by_channel ON notify_threads (channel_id);

-- When a controller was last known to be alive.
CREATE TABLE notify_heartbeat (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    alive_at INTEGER NOT NULL
) STRICT;

-- The weeks for which an organisation's digest was made, and what there was then, for comparing.
CREATE TABLE notify_digests (
    organisation_id INTEGER NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    week_at         INTEGER NOT NULL,
    inventory       TEXT NOT NULL,
    PRIMARY KEY (organisation_id, week_at)
) STRICT;
