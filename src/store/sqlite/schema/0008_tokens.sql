-- Batches that are moved have a token besides their number, and the store for which they are set aside: NULL in those of
-- earlier versions. A source's last batch may have been declined. `itself` holds this store's own id and a mark.

ALTER TABLE moving ADD COLUMN token TEXT;
ALTER TABLE moving ADD COLUMN target TEXT;
ALTER TABLE moving ADD COLUMN address TEXT;
ALTER TABLE moved ADD COLUMN token TEXT;
ALTER TABLE moved ADD COLUMN declined INTEGER NOT NULL DEFAULT 0;

CREATE TABLE itself (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
