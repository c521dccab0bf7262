"""measured_call.py PROGRAM ARGUMENT...: runs it and prints a JSON line: seconds, MiB at its peak, bytes that it wrote.

Its exit code is the program's. What this program itself takes, about 10 MiB, is the least that is told as peak.
"""

import json
import resource
import subprocess
import sys
import time

begun = time.monotonic()
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
written = 0
while chunk := child.stdout.read1(1 << 20):
    written += len(chunk)
code = child.wait()
seconds = time.monotonic() - begun
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "peak": peak, "bytes": written}))
sys.exit(code if code >= 0 else 1)
