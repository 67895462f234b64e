-- The hosts through which a host is reached; a JSON list.
ALTER TABLE hosts ADD COLUMN jumps TEXT COLLATE "C" NOT NULL DEFAULT '[]';
-- Who locked it, since when and why, as JSON; null while it may be changed.
ALTER TABLE hosts ADD COLUMN lock TEXT COLLATE "C";
