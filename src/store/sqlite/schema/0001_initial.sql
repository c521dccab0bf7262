-- The first schema. `identity` is `<id> <attempt> <redelivered> <later>`, NULL on a first run.
-- `digest` is a hash of a blob that is searched by its bytes (see digest.rs); it narrows, the
-- bytes decide.

CREATE TABLE queues (
    name TEXT NOT NULL PRIMARY KEY
) WITHOUT ROWID;

-- Clustered by place in the queue: a claim reads one run of rows and deletes one range. Positions
-- grow at the tail and shrink at the head, below zero if need be.
CREATE TABLE jobs (
    queue TEXT NOT NULL,
    position INTEGER NOT NULL,
    payload BLOB NOT NULL,
    identity TEXT,
    PRIMARY KEY (queue, position)
) WITHOUT ROWID;

CREATE TABLE delayed (
    second INTEGER NOT NULL,
    place INTEGER NOT NULL,
    digest INTEGER NOT NULL,
    payload BLOB NOT NULL,
    identity TEXT,
    PRIMARY KEY (second, place)
) WITHOUT ROWID;
CREATE INDEX delayed_by_digest ON delayed (digest);

CREATE TABLE working (
    worker TEXT NOT NULL PRIMARY KEY,
    claim TEXT NOT NULL,
    queue TEXT NOT NULL,
    run_at TEXT NOT NULL,
    payload BLOB NOT NULL,
    identity TEXT
) WITHOUT ROWID;

CREATE TABLE failed (
    place INTEGER NOT NULL PRIMARY KEY,
    digest INTEGER NOT NULL,
    record BLOB NOT NULL
);
CREATE INDEX failed_by_digest ON failed (digest);

CREATE TABLE stats (
    name TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO stats (name, value) VALUES ('processed', 0), ('failed', 0);

-- `verbatim` tells a key that the task chose from one that node-resque's plugins compute. Without
-- `expires_ms` a lock is held for ever.
CREATE TABLE locks (
    key TEXT NOT NULL,
    verbatim INTEGER NOT NULL DEFAULT 0,
    value TEXT NOT NULL,
    expires_ms INTEGER,
    PRIMARY KEY (key, verbatim)
) WITHOUT ROWID;
CREATE INDEX locks_by_expiry ON locks (expires_ms);

CREATE TABLE instances (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    record TEXT NOT NULL,
    counter INTEGER NOT NULL
) WITHOUT ROWID;

-- What the last exchange of a lane was and led to; its claims stand in `working`.
CREATE TABLE lanes (
    instance TEXT NOT NULL,
    lane INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    reply TEXT NOT NULL,
    PRIMARY KEY (instance, lane)
) WITHOUT ROWID;

-- `name` is the first two parts of `id`.
CREATE TABLE workers (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    instance TEXT NOT NULL,
    started TEXT NOT NULL,
    pinged_s INTEGER NOT NULL,
    processed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX workers_by_instance ON workers (instance);
CREATE INDEX workers_by_name ON workers (name);

CREATE TABLE leaders (
    name TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    expires_ms INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE periodic (
    task TEXT NOT NULL PRIMARY KEY,
    queue TEXT NOT NULL,
    due_s INTEGER NOT NULL,
    every_s INTEGER NOT NULL,
    stopped INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
