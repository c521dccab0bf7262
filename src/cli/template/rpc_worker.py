#!/usr/bin/env python3
"""Performs the jobs of task @NAME@: one process for many of them, JSON-RPC on stdin and stdout.

The same job may come twice if this process or its daemon dies under it: then job["id"] is the same, and
anyone who pays or mails should look whether it was done.
"""
import json
import os
import traceback

# Only the protocol may use stdout: all other output goes to the log.
out = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
os.dup2(2, 1)


class Later(Exception):
    """Not now: again after a delay, such as Later("30s"), or after the task's retry_later."""


def perform(job):
    # What this returns is the result, what it raises is the failure.
    print(f"job {job['id']} of @NAME@, attempt {job['attempt']}, arguments {job['args']}", flush=True)
    return None


def answer(request):
    try:
        outcome = {"result": perform(request["params"])}
    except Later as later:
        data = {"retry_later": later.args[0] if later.args else True}
        outcome = {"error": {"code": 1, "message": "later", "data": data}}
    except Exception as error:
        data = {"exception": type(error).__name__, "backtrace": traceback.format_exc().splitlines()}
        outcome = {"error": {"code": 1, "message": str(error), "data": data}}
    return json.dumps({"jsonrpc": "2.0", "id": request["id"], **outcome}).encode() + b"\n"


def main():
    out.write(b'{"jsonrpc":"2.0","method":"ready"}\n')
    out.flush()
    rest = b""
    while chunk := os.read(0, 1 << 20):  # the end of stdin is the end of the work
        *lines, rest = (rest + chunk).split(b"\n")
        for message in map(json.loads, lines):
            # Jobs run one after another: a "cancel" is read too late to matter, and Windlass kills a worker that hangs.
            if message["method"] == "perform":
                out.write(answer(message))
        out.flush()  # once for all that had come


if __name__ == "__main__":
    main()
