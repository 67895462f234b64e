-- Jobs that a server shall do, what people asked of them meanwhile, and how far they are.
ALTER TABLE jobs ADD COLUMN handed_over INTEGER NOT NULL DEFAULT 0;
-- Who wants it cancelled; null while nobody does.
ALTER TABLE jobs ADD COLUMN cancelled_by TEXT;
-- The last progress of a long step, as JSON; null between such steps.
ALTER TABLE jobs ADD COLUMN progress TEXT;

-- The running servers. One whose lease ran out is gone.
CREATE TABLE servers (
    identity    TEXT PRIMARY KEY,
    holder      TEXT NOT NULL,
    started_at  INTEGER NOT NULL,
    lease_until INTEGER NOT NULL
) STRICT;

-- What only one server does at a time, and who.
CREATE TABLE duties (
    name        TEXT PRIMARY KEY,
    identity    TEXT NOT NULL,
    lease_until INTEGER NOT NULL
) STRICT;
