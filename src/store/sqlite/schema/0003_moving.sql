-- Moves between stores. `outbox` is the batch that this store has set aside, under the number in
-- `moving`; `moved` holds the last batch taken in from each source.

CREATE TABLE outbox (
    place INTEGER NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    identity TEXT,
    bytes BLOB NOT NULL
);

CREATE TABLE moving (
    id TEXT NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE moved (
    source TEXT NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL
) WITHOUT ROWID;
