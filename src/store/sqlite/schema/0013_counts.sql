-- How long jobs wait. `enqueued_ms` is when a job came to its queue, by the time of the step; it stays with a job that is given
-- back. NULL: it came before this version, or in a batch that was put back.
ALTER TABLE jobs ADD COLUMN enqueued_ms INTEGER;
ALTER TABLE working ADD COLUMN enqueued_ms INTEGER;

-- How many jobs came to a queue, and how many left it, less those that were given back: the difference is its length.
CREATE TABLE queue_counts (
    queue TEXT NOT NULL PRIMARY KEY,
    arrived INTEGER NOT NULL,
    departed INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO queue_counts (queue, arrived, departed)
    SELECT queue, count(*), 0 FROM jobs WHERE typeof(queue) = 'text' GROUP BY queue;

-- What an instance tells all others for a while: the leader's last sample of the queues, and that somebody looks at it.
CREATE TABLE notices (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL,
    expires_ms INTEGER NOT NULL
) WITHOUT ROWID;
