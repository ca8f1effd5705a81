#!/bin/sh
# Builds one fuzz target with coverage and AddressSanitizer on a stable compiler and runs it.
# Usage: fuzz/run.sh TARGET [libFuzzer options], for example: fuzz/run.sh config_parse -max_total_time=600
set -eu
here=$(dirname "$(realpath "$0")")
target=${1:?name a target: see the [[bin]] entries of fuzz/Cargo.toml}
shift
host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="--cfg fuzzing -Zsanitizer=address -Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
cargo build --manifest-path "$here/Cargo.toml" --release --target "$host" --bin "$target"
out=${CARGO_TARGET_DIR:-$here/target}/$host/release/$target
corpus=$here/corpus/$target
findings=$here/findings/$target/
mkdir -p "$corpus" "$findings"
# Given a file, libFuzzer runs that input alone and wants no folders.
for argument; do
    [ -f "$argument" ] && exec "$out" "$@"
done
exec "$out" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$findings" "$@" "$corpus" "$here/seeds/$target"
