-- 1 if people asked for the run that is outstanding, until the next tick is written.
ALTER TABLE periodic ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
