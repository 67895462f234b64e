-- Checks that people added, beside those of templates. They go with their host or service; those of the controller have neither.
CREATE TABLE checks (
    -- web1, kita-sonne/cloud, allmende: these names never change.
    subject    TEXT NOT NULL,
    name       TEXT NOT NULL,
    host_id    INTEGER REFERENCES hosts (id) ON DELETE CASCADE,
    service_id INTEGER REFERENCES services (id) ON DELETE CASCADE,
    definition TEXT NOT NULL,
    PRIMARY KEY (subject, name)
) STRICT;
CREATE INDEX checks_by_host ON checks (host_id);
CREATE INDEX checks_by_service ON checks (service_id);
