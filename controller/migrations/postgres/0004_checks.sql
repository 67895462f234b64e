-- Checks that people added, beside those of templates. They go with their host or service; those of the controller have neither.
CREATE TABLE checks (
    -- web1, kita-sonne/cloud, allmende: these names never change.
    subject    TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    host_id    BIGINT REFERENCES hosts (id) ON DELETE CASCADE,
    service_id BIGINT REFERENCES services (id) ON DELETE CASCADE,
    definition TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (subject, name)
);
CREATE INDEX checks_by_host ON checks (host_id);
CREATE INDEX checks_by_service ON checks (service_id);
