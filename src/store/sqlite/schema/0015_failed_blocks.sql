-- How many failed jobs stand in each block of 1024 places, so that a position is found and all are counted without a walk
-- through the list. The file itself counts, whichever program writes to the list; only failures and what leaves the list cost
-- anything.
CREATE TABLE failed_blocks (
    block INTEGER NOT NULL PRIMARY KEY,
    jobs INTEGER NOT NULL
);
INSERT INTO failed_blocks (block, jobs) SELECT place >> 10, count(*) FROM failed GROUP BY place >> 10;

CREATE TRIGGER failed_came AFTER INSERT ON failed BEGIN
    INSERT INTO failed_blocks (block, jobs) VALUES (NEW.place >> 10, 1) ON CONFLICT (block) DO UPDATE SET jobs = jobs + 1;
END;
CREATE TRIGGER failed_left AFTER DELETE ON failed BEGIN
    UPDATE failed_blocks SET jobs = jobs - 1 WHERE block = OLD.place >> 10;
    DELETE FROM failed_blocks WHERE block = OLD.place >> 10 AND jobs <= 0;
END;
