#!/usr/bin/env python3
"""A child of Windlass' `rpc` handler: answers each request, one JSON message a line, and does nothing else.

It reads what is there and flushes once for that, as examples/handlers/rpc_worker.py does.
"""

import json
import os

out = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
out.write(b'{"jsonrpc":"2.0","method":"ready"}\n')
out.flush()
rest = b""
while chunk := os.read(0, 1 << 20):
    *lines, rest = (rest + chunk).split(b"\n")
    for request in map(json.loads, lines):
        if request["method"] == "perform":
            out.write(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": None}).encode() + b"\n")
    out.flush()
