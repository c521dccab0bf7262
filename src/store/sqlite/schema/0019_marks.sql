-- Marks of enqueues that are done once, by a digest of the key that their callers chose, until they lapse.
CREATE TABLE marks (
    key TEXT NOT NULL PRIMARY KEY,
    mark TEXT NOT NULL,
    lapses_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX marks_by_lapse ON marks (lapses_ms);
