#!/usr/bin/env bash
# How cost grows with hostile input: instructions (valgrind --tool=callgrind) of every case of tests/growth at once, twice and
# four times its size, start-up taken off. What is linear shows 2.0 and 2.0.
#
#   benches/growth.sh [CASE...]
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "valgrind is not installed" >&2; exit 1; }

build=(cargo test --locked --profile profiling --test growth)
"${build[@]}" --no-run
binary=$("${build[@]}" --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*growth-[^"]*\)".*/\1/p' | tail -n 1)

count() { # case, times
    SMTPHOUND_GROWTH="$1*$2" valgrind --tool=callgrind --callgrind-out-file=/dev/null "$binary" --exact --ignored one 2>&1 |
        sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}

mapfile -t cases < <("$binary" --exact --ignored list --nocapture | sed -n 's/.*case \(.*\)/\1/p')
[ $# = 0 ] || cases=("$@")
printf '%-24s %14s %8s %8s\n' case instructions 'x2' 'x4/x2'
for case in "${cases[@]}"; do
    start=$(count "$case" 0) one=$(count "$case" 1) two=$(count "$case" 2) four=$(count "$case" 4)
    awk -v n="$case" -v s="$start" -v a="$one" -v b="$two" -v c="$four" \
        'BEGIN { printf "%-24s %14d %8.2f %8.2f\n", n, a - s, (b - s) / (a - s), (c - s) / (b - s) }'
done
