-- What an instance shows of its runs to those who watch them, by claim, and how far runs are that told it.
CREATE TABLE shown (
    claim TEXT NOT NULL PRIMARY KEY,
    instance TEXT NOT NULL,
    record BLOB NOT NULL,
    lapses_ms INTEGER NOT NULL
);
CREATE INDEX shown_by_instance ON shown (instance);
CREATE INDEX shown_by_lapse ON shown (lapses_ms);

CREATE TABLE progress (
    claim TEXT NOT NULL PRIMARY KEY,
    instance TEXT NOT NULL,
    told BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX progress_by_instance ON progress (instance);
