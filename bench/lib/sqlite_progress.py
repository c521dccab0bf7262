"""sqlite_progress.py FILE: every 10 ms a line with the number of jobs on the queue and of jobs processed.

Reads only; in SQLite's WAL mode a reader holds nobody up.
"""

import sqlite3
import sys
import time

connection = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, isolation_level=None)
QUERY = (
    # Positions of a queue are a run without gaps. Asked for one by one, both ends are found by the key.
    "SELECT coalesce((SELECT max(position) FROM jobs WHERE queue = 'bench')"
    " - (SELECT min(position) FROM jobs WHERE queue = 'bench') + 1, 0),"
    " (SELECT value FROM stats WHERE name = 'processed'), (SELECT value FROM stats WHERE name = 'failed')"
)
while True:
    left, processed, failed = connection.execute(QUERY).fetchone()
    print(left, processed, failed, flush=True)
    time.sleep(0.01)
