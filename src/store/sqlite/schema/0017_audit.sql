-- What people changed, in JSON; the last 10,000 entries.
CREATE TABLE audit (
    place INTEGER NOT NULL PRIMARY KEY,
    entry BLOB NOT NULL
);
