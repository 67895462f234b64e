-- Jobs that a server shall do, what people asked of them meanwhile, and how far they are.
ALTER TABLE jobs ADD COLUMN handed_over BIGINT NOT NULL DEFAULT 0;
-- Who wants it cancelled; null while nobody does.
ALTER TABLE jobs ADD COLUMN cancelled_by TEXT COLLATE "C";
-- The last progress of a long step, as JSON; null between such steps.
ALTER TABLE jobs ADD COLUMN progress TEXT COLLATE "C";

-- The running servers. One whose lease ran out is gone.
CREATE TABLE servers (
    identity    TEXT COLLATE "C" PRIMARY KEY,
    holder      TEXT COLLATE "C" NOT NULL,
    started_at  BIGINT NOT NULL,
    lease_until BIGINT NOT NULL
);

-- What only one server does at a time, and who.
CREATE TABLE duties (
    name        TEXT COLLATE "C" PRIMARY KEY,
    identity    TEXT COLLATE "C" NOT NULL,
    lease_until BIGINT NOT NULL
);
