-- How far operations on many failed jobs are, until that lapses.
CREATE TABLE operations (
    id TEXT NOT NULL PRIMARY KEY,
    record BLOB NOT NULL,
    lapses_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX operations_by_lapse ON operations (lapses_ms);
