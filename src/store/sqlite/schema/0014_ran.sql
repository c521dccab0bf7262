-- The second for which the tick before the present one was due, with a calendar: the last occurrence that ran.
ALTER TABLE periodic ADD COLUMN last_s INTEGER;
