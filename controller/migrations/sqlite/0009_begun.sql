-- When an apply first set about bringing a service onto its host; before this was kept, only applies that ended well were known.
ALTER TABLE services ADD COLUMN begun_at INTEGER;
UPDATE services SET begun_at = applied_at;

-- What something else explains opens no incident at all, so none of its events has to be kept quiet.
ALTER TABLE incident_events DROP COLUMN hidden;
