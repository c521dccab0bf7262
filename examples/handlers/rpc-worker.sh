#!/bin/sh
# A worker for Windlass in POSIX shell: `rpc = ["./rpc-worker.sh"]`, with `depth = 1`.
#
# The shell cannot read JSON. This script relies on the order of the members that Windlass writes: it cuts the id of
# the request, the id of the job and the raw arguments out of the line. It cannot decode a string or read an object.
# Its results are numbers, or texts without quotes, backslashes and newlines. For more use a language that reads
# JSON, or `exec`, which passes arguments to a shell script. The shell also reads byte by byte: keep jobs small.
set -u

# Cuts $id (of the request), $job (its id) and $args (raw JSON) out of a request.
cut_out() {
    id=${1#*\"id\":}
    id=${id%%,*}
    job=${1#*\"params\":\{\"id\":\"}
    job=${job%%\"*}
    args=${1#*,\"args\":}
    # The last match counts, because an argument may look the same.
    args=${args%,\"attempt\":*}
}

# Does the job: 0 is success, 75 is "later", any other status is a failure. What it prints goes to the log.
perform() {
    echo "performing $job with $args"
    case $args in
    '["fail"'*) return 3 ;;
    '["later"'*) return 75 ;;
    esac
}

# Only the protocol may use stdout (now 3): all other output goes to the log.
exec 3>&1 1>&2
say() { printf '{"jsonrpc":"2.0",%s}\n' "$1" >&3; }

say '"method":"ready"'
while IFS= read -r line; do
    case $line in
    *'"method":"perform"'*) ;;
    *) continue ;; # a "cancel": one job at a time, so it is over already
    esac
    cut_out "$line"
    perform </dev/null && status=0 || status=$?
    case $status in
    0) say "\"id\":$id,\"result\":null" ;;
    75) say "\"id\":$id,\"error\":{\"code\":75,\"message\":\"later\",\"data\":{\"retry_later\":true}}" ;;
    *) say "\"id\":$id,\"error\":{\"code\":$status,\"message\":\"ended with $status\",\"data\":{\"exception\":\"ExitStatus\"}}" ;;
    esac
done
