#!/bin/sh
# A worker for Windlass in POSIX shell: `rpc = ["./rpc-worker.sh"]`, with `depth = 1`.
#
# Honestly: the shell reads no JSON. This knows the order in which Windlass writes a request, cuts the request's id,
# the job's id and the raw arguments out of it, and can neither decode a string nor look into an object. It answers
# with a number or a text without quotes, backslashes and line ends. For more than that take a language that reads
# JSON, or `exec`, which hands a shell script its arguments. The shell also reads byte by byte: keep jobs small.
set -u

# Cuts $id (of the request), $job (its id) and $args (raw JSON) out of a request.
cut_out() {
    id=${1#*\"id\":}
    id=${id%%,*}
    job=${1#*\"params\":\{\"id\":\"}
    job=${job%%\"*}
    args=${1#*,\"args\":}
    # The last one: an argument may look the same.
    args=${args%,\"attempt\":*}
}

# Does the job: 0 is success, 75 is "later", anything else has failed. What it prints is the log's.
perform() {
    echo "performing $job with $args"
    case $args in
    '["fail"'*) return 3 ;;
    '["later"'*) return 75 ;;
    esac
}

# The protocol has stdout (now 3) for itself: whatever else prints, prints to the log.
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
