-- What people wish of the runs of an instance, by claim, until the runs have ended.
CREATE TABLE wishes (
    claim TEXT NOT NULL PRIMARY KEY,
    instance TEXT NOT NULL,
    want TEXT NOT NULL,
    lapses_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX wishes_by_instance ON wishes (instance);
