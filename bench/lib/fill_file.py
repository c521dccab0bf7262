"""fill_file.py FILE SIZES: fills a file of Windlass' with as much as SIZES, a JSON object, says.

The file has the schema already. What is found by its bytes gets the digest 0, which no look at a list needs.
"""

import json
import sqlite3
import sys
import time

path, sizes = sys.argv[1], json.loads(sys.argv[2])
connection = sqlite3.connect(path, isolation_level=None)
now_ms = int(time.time() * 1000)
queues = [f"q{n:03d}" for n in range(sizes["QUEUES"])]


def job(queue, n):
    return json.dumps({"class": "noop", "queue": queue, "args": [n, {"a": "b"}]}, separators=(",", ":")).encode()


def failure(n):
    queue = queues[n % len(queues)]
    record = {
        "worker": f"other-{n % 100}:{n % 1000}+1",
        "queue": queue,
        "payload": json.loads(job(queue, n)),
        "exception": "Error",
        "error": f"the server said no to request {n}",
        "backtrace": [f"at perform (/srv/app/jobs/noop.js:{line}:13)" for line in range(1, 9)],
        "failed_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_ms / 1000 - n / 1000)),
    }
    return json.dumps(record).encode()


connection.execute("BEGIN")
names = queues + [f"name-{n:06d}" for n in range(sizes["NAMES"])]
connection.executemany("INSERT OR IGNORE INTO queues (name) VALUES (?)", ((name,) for name in names))
for at, queue in enumerate(queues):
    count = sizes["QUEUED"] // len(queues) + (at < sizes["QUEUED"] % len(queues))
    rows = ((queue, n, job(queue, n), now_ms - 60_000) for n in range(count))
    connection.executemany("INSERT INTO jobs (queue, position, payload, enqueued_ms) VALUES (?, ?, ?, ?)", rows)
    connection.execute("INSERT INTO stats (name, value, other) VALUES (?, ?, 0)", (f"queue:{queue}", count))
far = now_ms // 1000 + 24 * 60 * 60
rows = ((far + n // 50, n % 50, 0, job("promoted", n)) for n in range(sizes["DELAYED"]))
connection.executemany("INSERT INTO delayed (second, place, digest, payload) VALUES (?, ?, ?, ?)", rows)
rows = ((n, 0, failure(n)) for n in range(sizes["FAILED"]))
connection.executemany("INSERT INTO failed (place, digest, record) VALUES (?, ?, ?)", rows)
connection.execute("COMMIT")
