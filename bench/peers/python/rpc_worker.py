#!/usr/bin/env python3
"""A child of Windlass' `rpc` handler: answers each request, one JSON message a line, and does nothing else."""

import json
import sys

out = sys.stdout.buffer
out.write(b'{"jsonrpc":"2.0","method":"ready"}\n')
out.flush()
for line in sys.stdin.buffer:
    request = json.loads(line)
    if "id" in request:
        out.write(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": None}).encode() + b"\n")
        out.flush()
