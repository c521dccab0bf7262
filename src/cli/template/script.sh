#!/bin/sh
# Performs the jobs of task @NAME@. The same job may run twice if its worker crashes under it: then
# WINDLASS_JOB_ID is the same, and anyone who pays or mails should look whether it was done.
set -eu

echo "job $WINDLASS_JOB_ID of @NAME@, attempt $WINDLASS_ATTEMPT, arguments ${WINDLASS_ARGS-on standard input}"
