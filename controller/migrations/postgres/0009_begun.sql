-- When an apply first set about bringing a service onto its host; before this was kept, only applies that ended well were known.
ALTER TABLE services ADD COLUMN begun_at BIGINT;
UPDATE services SET begun_at = applied_at;
