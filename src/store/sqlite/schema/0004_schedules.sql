-- Schedules that enqueue tasks with arguments, and the last occurrence of each.

CREATE TABLE schedules (
    id TEXT NOT NULL PRIMARY KEY,
    last_s INTEGER NOT NULL
) WITHOUT ROWID;
