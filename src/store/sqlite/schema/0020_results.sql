-- What jobs led to, and what is known of jobs that are tracked, by their ids. Both lapse.
CREATE TABLE results (
    job TEXT NOT NULL PRIMARY KEY,
    record BLOB NOT NULL,
    lapses_s INTEGER NOT NULL
);
CREATE INDEX results_by_lapse ON results (lapses_s);

CREATE TABLE tracked (
    job TEXT NOT NULL PRIMARY KEY,
    record BLOB NOT NULL,
    lapses_s INTEGER NOT NULL
);
CREATE INDEX tracked_by_lapse ON tracked (lapses_s);
