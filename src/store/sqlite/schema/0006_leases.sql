-- A leadership lapses when its counter stands still while another watches, and not by the time of day:
-- `counter` grows with every renewal, `ttl_ms` is how long it may stand still. `expires_ms` is only shown.
ALTER TABLE leaders ADD COLUMN counter INTEGER NOT NULL DEFAULT 0;
ALTER TABLE leaders ADD COLUMN ttl_ms INTEGER;

-- When a lock was taken: one from the future was taken before the clock was set back.
ALTER TABLE locks ADD COLUMN taken_ms INTEGER;
