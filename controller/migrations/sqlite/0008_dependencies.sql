-- The checks on which one depends, with all that those depend on: a list of names, as JSON.
ALTER TABLE watched ADD COLUMN depends_on TEXT NOT NULL DEFAULT '[]';
