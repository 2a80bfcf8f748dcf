#!/bin/bash
# Runs what test_kernels_* compile, against the interpreter, as code for a processor that this machine has not:
#
#   tests/cross.sh CPU [BUILD [TEST...]]     CPU: a target's name (netc targets), BUILD: build/release, TEST: nest, order ..;
#                                            all of them where none is named
#
# The tests compile here and write object files and job files (NETC_EXPORT, tests/unit/kernel_util.h); linked with
# tests/unit/client/target_client.c, they run under qemu-user, those for AVX-512 under Bochs (tests/avx512.sh setup).
set -eu
cd "$(dirname "$0")/.."
cpu=$1 build=${2:-build/release}
shift $(($# < 2 ? $# : 2))
[ $# -gt 0 ] || set -- $(cd tests/unit && ls test_kernels_*.c | sed 's/test_kernels_\(.*\)\.c/\1/')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/machine"
touch "$work/jobs.def"
for test in "$@"; do
    NETC_EXPORT=$work NETC_EXPORT_CPU=$cpu "$build/tests/test_kernels_$test" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
done
compiler=cc
[ "$cpu" != neon ] || compiler=aarch64-linux-gnu-gcc
find "$work" -name '*.o' > "$work/objects"
$compiler -std=gnu11 -O1 -static -pthread -I. -I"$work" -o "$work/machine/client" tests/unit/client/target_client.c \
    "@$work/objects" -lm
find "$work" -name '*.job' -exec mv -t "$work/machine" {} +
cd "$work/machine"
case $cpu in
avx512) find . -name '*.job' -printf ' %f' | xargs -n 500 echo /client > commands
        "$OLDPWD/tests/avx512.sh" machine . ;;
avx2) qemu-x86_64 -cpu Haswell ./client *.job ;;
avx) qemu-x86_64 -cpu SandyBridge ./client *.job ;;
sse2) qemu-x86_64 -cpu qemu64 ./client *.job ;;
neon) qemu-aarch64 -cpu cortex-a57 ./client *.job ;;
*) echo "unknown target $cpu" >&2; exit 2 ;;
esac
