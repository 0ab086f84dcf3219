#!/usr/bin/env bash
# Three jobs are started at once and want the same lock: `holdfast run` lets them through one after the other.
# Uses $HOLDFAST, or holdfast from the PATH. Ends with 1 if two jobs were ever in at the same time.
set -euo pipefail
holdfast=${HOLDFAST:-holdfast}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
name=holdfast-demo-$$

stamp() { date +%H:%M:%S.%3N; }
say() { printf '%s  job %s  %s\n' "$(stamp)" "$1" "$2"; }

# What each job does while it has the lock. It writes when it came in and when it left, to prove the order afterwards.
# shellcheck disable=SC2016
work='
    printf "%s  job %s  has the lock, works for a second\n" "$(date +%H:%M:%S.%3N)" "$1"
    echo "$(date +%s%N) in $1" >>"$2"
    sleep 1
    echo "$(date +%s%N) out $1" >>"$2"
    printf "%s  job %s  is done, lets go\n" "$(date +%H:%M:%S.%3N)" "$1"
'

echo "Three jobs at once:  holdfast run $name -- <job>"
echo
pids=()
for job in 1 2 3; do
    say "$job" "wants the lock"
    "$holdfast" run "$name" -- bash -c "$work" job "$job" "$log" &
    pids+=($!)
done
failed=0
for pid in "${pids[@]}"; do
    wait "$pid" || failed=1
done
if [ "$failed" -ne 0 ]; then
    echo "A job failed." >&2
    exit 1
fi

# In order of time, "in" and "out" must take turns and name the same job in pairs.
echo
sort -n "$log" | awk '
    $2 == "in"  { if (inside != "") { print "OVERLAP: job " $3 " came in while job " inside " was there"; bad = 1 }
                  if (left) printf "Job %s got the lock %.1f ms after job %s was done.\n", $3, ($1 - left) / 1e6, last
                  inside = $3; ++jobs }
    $2 == "out" { left = $1; last = $3; inside = "" }
    END { if (bad || jobs != 3) exit 1
          print "Never two at once." }'
