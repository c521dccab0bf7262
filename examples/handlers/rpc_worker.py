#!/usr/bin/env python3
"""A worker for Windlass: `rpc = ["./rpc_worker.py"]`, and any `depth`.

Write your job into `perform`. What it returns is the result; what it raises is the failure.
Raise Later() or Later("30s") to run the job again later. print() goes to the log.
"""
import json
import os
import traceback

# Only the protocol may use stdout: all other output goes to the log.
out = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
os.dup2(2, 1)


class Later(Exception):
    """Not now: again after a delay, such as "30s", or after the task's retry_later."""


def perform(job):
    args = job["args"]
    print("performing", job["id"], "attempt", job["attempt"], flush=True)
    if args and args[0] == "fail":
        raise ValueError("told to fail")
    if args and args[0] == "later":
        raise Later(*args[1:])
    return {"args": len(args)}


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
