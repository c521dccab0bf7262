-- Queues from which no job is claimed. The empty name stands for all queues.

CREATE TABLE paused (
    queue TEXT NOT NULL PRIMARY KEY
) WITHOUT ROWID;
