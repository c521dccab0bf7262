-- One row: a random text that the first instance wrote. A file with another one, or without one, is not the file that it was.
CREATE TABLE birth (one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), mark TEXT NOT NULL);
