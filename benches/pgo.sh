#!/usr/bin/env bash
# Builds the program by profile: once with counters, which run over the inputs of the benchmarks and the recorded captures, and
# once more by what they counted. The result lies in target/pgo/release/smtphound; it finds what any other build finds.
#
#   benches/pgo.sh
#
# Needs llvm-profdata of the compiler's LLVM (`rustc -vV` tells which; `rustup component add llvm-tools`, or Debian's llvm-N), on
# the PATH or named by LLVM_PROFDATA. The profile belongs to one source and one compiler and is not kept in the repository.
set -euo pipefail
cd "$(dirname "$0")/.."

major=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
sysroot=$(rustc --print sysroot)
merge=${LLVM_PROFDATA:-}
for candidate in "$sysroot"/lib/rustlib/*/bin/llvm-profdata "/usr/lib/llvm-$major/bin/llvm-profdata" "$(command -v llvm-profdata || true)"; do
    [[ -n $merge || ! -x $candidate ]] || merge=$candidate
done
[[ -n $merge ]] || { echo "llvm-profdata is not installed: rustup component add llvm-tools, or llvm-$major" >&2; exit 1; }

target=$(cargo metadata --no-deps --format-version 1 |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo build --locked --release --example bench-inputs
# All in one piece: what is known of each function serves where it is used, whatever crate that is in. Both builds alike, or the
# counters of the first would be of other pieces than the second's.
export CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
RUSTFLAGS="-Cprofile-generate=$work/raw" CARGO_TARGET_DIR=$target/pgo cargo build --locked --release --bin smtphound
for input in A B C D; do
    "$target/release/examples/bench-inputs" "$input" --scale 1/50 "$work/$input.pcap" >/dev/null
done
for file in "$work"/*.pcap captures/*.pcap; do
    "$target/pgo/release/smtphound" replay --workers 1 --report "$work/report" --sessions "$work/sessions" "$file" >/dev/null
done
"$merge" merge -o "$work/all.profdata" "$work/raw"
RUSTFLAGS="-Cprofile-use=$work/all.profdata" CARGO_TARGET_DIR=$target/pgo cargo build --locked --release --bin smtphound
echo "built $target/pgo/release/smtphound"
