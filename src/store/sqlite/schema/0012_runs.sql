-- Finished runs that are kept. `name` is that of a task or, with `scheduled`, the id of a [[schedule]]. A list lapses as a whole.
-- `place` grows with each run.

CREATE TABLE run_lists (
    scheduled INTEGER NOT NULL,
    name TEXT NOT NULL,
    lapses_s INTEGER NOT NULL,
    PRIMARY KEY (scheduled, name)
) WITHOUT ROWID;
CREATE INDEX run_lists_by_lapse ON run_lists (lapses_s);

CREATE TABLE runs (
    scheduled INTEGER NOT NULL,
    name TEXT NOT NULL,
    place INTEGER NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (scheduled, name, place)
) WITHOUT ROWID;
