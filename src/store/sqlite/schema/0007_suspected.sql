-- The counter at which another instance began to take this one for dead; void once the counter has moved on.
ALTER TABLE instances ADD COLUMN suspected INTEGER;
