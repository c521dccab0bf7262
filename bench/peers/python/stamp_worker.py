#!/usr/bin/env python3
"""A child of Windlass' `rpc` handler whose job says when it began: it reads CLOCK_MONOTONIC and sends it by UDP.

The arguments are the port and a number. Unlike helpers/stamp_daemon.rs it works with any binary of Windlass.
"""

import json
import socket
import sys
import time

out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print('{"jsonrpc":"2.0","method":"ready"}', flush=True)
for line in sys.stdin:
    request = json.loads(line)
    if request["method"] != "perform":
        continue
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    port, number = request["params"]["args"]
    out.sendto(f"{number} {now}".encode(), ("127.0.0.1", port))
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": None}), flush=True)
