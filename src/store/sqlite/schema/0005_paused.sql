-- Queues from which nobody claims; the empty name stands for all of them.

CREATE TABLE paused (
    queue TEXT NOT NULL PRIMARY KEY
) WITHOUT ROWID;
