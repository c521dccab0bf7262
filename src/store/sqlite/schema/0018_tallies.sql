-- What steps count stands in one table, because a commit costs as much as it changes pages, and an exchange counts for its
-- workers, its queues and all of them. `queue:` and a name: how many jobs came to that queue, and in `other` how many left it,
-- less those that were given back. `worker:` and an id: how many jobs it did, and in `other` how many of them failed.
ALTER TABLE stats ADD COLUMN other INTEGER;
INSERT INTO stats (name, value, other)
    SELECT 'queue:' || queue, arrived, departed FROM queue_counts WHERE typeof(queue) = 'text';
DROP TABLE queue_counts;
