-- What ran: the counts of a task (run_counts.rs) in the minute, ten minutes or hour that begins at a minute of the Unix epoch.
CREATE TABLE history (
    step INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    task TEXT NOT NULL,
    counts TEXT NOT NULL,
    PRIMARY KEY (step, minute, task)
) WITHOUT ROWID;

-- The sequence of the last counts of the instance that were added to it.
ALTER TABLE instances ADD COLUMN ran INTEGER NOT NULL DEFAULT 0;
