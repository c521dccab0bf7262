-- What Retry keeps of a class and its arguments, under node-resque's keys: a counter or the last
-- error, until it expires.

CREATE TABLE retries (
    key TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL,
    expires_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX retries_by_expiry ON retries (expires_ms);
