#!/usr/bin/env bash
# Whole-process cost of smtphound beside the bare libpcap loop, and beside
# other programs where asked for.
#
#   benches/compare.sh [-n RUNS] [-d DIR] [-w WORKERS] [-p PEERS] [-P RUNS]
#                      [-g] [INPUT...]
#
#   INPUT         A, B, C, D, E, or one of them at a scale: A@1/100, B@4
#                 (default: A B C D)
#   -n RUNS       rounds; in each, every program runs once, in turn (5)
#   -d DIR        where inputs and outputs lie; a memory file system, or the
#                 disk is measured (/dev/shm/smtphound-bench; 4.2 GB for A-D)
#   -w WORKERS    worker counts to run smtphound with, such as "1 2" (1)
#   -p PEERS      of "tcpdump tshark tcpflow suricata"; those that are not
#                 installed are named and left out (--peers is the same)
#   -P RUNS       in how many of the rounds the peers run: some take minutes (1)
#   -g            growth: A and B at 1, 2, 4 and 8 times their size, one after
#                 the other, each larger input removed once it is measured,
#                 drawn to docs/growth.svg
#                 (--growth is the same; takes up to 12 GB in DIR)
#
# Prints a markdown table of medians (CPU is user plus system; the ratio is
# that to the bare loop of the same round), then what smtphound found beside
# what is true. Status 1 where these differ or a run of smtphound failed.
#
# Inputs are made once and kept; remove DIR after a change of the generator.
# SMTPHOUND names another binary to measure than target/release/smtphound.
# Needs cargo, bash and python3 (benches/measure.py reads the accounting).

set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

runs=5 dir=/dev/shm/smtphound-bench workers=1 peers='' peer_runs=1 growth=no
[[ -d /dev/shm ]] || dir=${TMPDIR:-/tmp}/smtphound-bench
inputs=()
while (($#)); do
    case $1 in
        -n) runs=${2:?} && shift 2 ;;
        -d) dir=${2:?} && shift 2 ;;
        -w) workers=${2:?} && shift 2 ;;
        -p | --peers) peers=${2:?} && shift 2 ;;
        -P) peer_runs=${2:?} && shift 2 ;;
        -g | --growth) growth=yes && shift ;;
        -*) usage ;;
        *) inputs+=("$1") && shift ;;
    esac
done
if [[ $growth = yes ]]; then
    inputs+=(A A@2 A@4 A@8 B B@2 B@4 B@8)
elif ((!${#inputs[@]})); then
    inputs=(A B C D)
fi
for input in "${inputs[@]}"; do
    [[ $input =~ ^[ABCDE](@[0-9]+(/[0-9]+)?)?$ ]] || usage
done

target=$(cargo metadata --no-deps --format-version 1 |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
cargo build --release --examples >&2
if [[ -z ${SMTPHOUND:-} ]]; then
    cargo build --release --bin smtphound >&2
    SMTPHOUND=$target/release/smtphound
fi
measure=(python3 -I -S benches/measure.py)

installed=()
for peer in $peers; do
    case $peer in
        tcpdump | tshark | tcpflow | suricata) ;;
        *) usage ;;
    esac
    if command -v "$peer" >/dev/null; then
        installed+=("$peer")
    else
        echo "$peer is not installed: left out" >&2
    fi
done

mkdir -p "$dir"
out=$(mktemp -d "$dir/out.XXXXXX")
trap 'rm -rf "$out"' EXIT
status=0

# run_peer PEER INPUT ROUND FILE
run_peer() {
    local command
    case $1 in
        tcpdump) command=(tcpdump -n -r "$4" -w /dev/null 'tcp port 25') ;;
        tshark) command=(tshark -n -r "$4" -Y smtp -T fields -e frame.number
            -e ip.src -e smtp.req.command -e smtp.response.code) ;;
        tcpflow) command=(tcpflow -C -r "$4") ;;
        suricata) command=(suricata -r "$4" -l "$out" -k none --runmode single) ;;
    esac
    "${measure[@]}" run "$out/log" "$2" "$1" "$3" -- "${command[@]}"
}

for input in "${inputs[@]}"; do
    file=$dir/${input//\//-}.pcap
    # The truth is written last: where it is, the input is whole.
    if [[ ! -e $file.truth.json ]]; then
        scale=1
        [[ $input = *@* ]] && scale=${input#*@}
        "$target/release/examples/bench-inputs" "${input%%@*}" --scale "$scale" "$file" >&2
    fi
    cat "$file" >/dev/null # warm, wherever DIR is
    for ((round = 1; round <= runs; round++)); do
        echo "$input: round $round of $runs" >&2
        "${measure[@]}" run "$out/log" "$input" 'bare loop' "$round" -- \
            "$target/release/examples/bench-bare" "$file"
        for count in $workers; do
            "${measure[@]}" run "$out/log" "$input" "smtphound --workers $count" "$round" -- \
                "$SMTPHOUND" replay --workers "$count" \
                --report "$out/report" --sessions "$out/sessions" "$file"
            if ((round == 1)); then
                "${measure[@]}" check "$file.truth.json" "$out/sessions" "$out/report" \
                    "$input, --workers $count" >>"$out/checks" || status=1
            fi
            rm -f "$out/sessions" "$out/report"
        done
        if ((round <= peer_runs)); then
            for peer in ${installed[@]+"${installed[@]}"}; do
                run_peer "$peer" "$input" "$round" "$file"
            done
        fi
    done
    if [[ $growth = yes && $input = *@* ]]; then
        rm -f "$file" # its truth is still needed for the table
    fi
done

"${measure[@]}" table "$out/log" "$dir"
if [[ $growth = yes ]]; then
    "${measure[@]}" plot "$out/log" "$dir" docs/growth.svg
fi
echo
cat "$out/checks"
if [[ $growth = yes ]]; then
    rm -f "$dir"/[AB]@[248].pcap.truth.json
fi
if grep '"program": "smtphound' "$out/log" | grep -qv '"exit": 0'; then
    status=1
fi
exit "$status"
