"""enqueue.py URL COUNT: fills RQ's queue with no-op jobs."""

import sys

from redis import Redis
from rq import Queue

import jobs

url, count = sys.argv[1], int(sys.argv[2])
queue = Queue("bench", connection=Redis.from_url(url))
for first in range(0, count, 500):
    size = min(500, count - first)
    queue.enqueue_many([Queue.prepare_data(jobs.noop, args=(1, {"a": "b"})) for _ in range(size)])
