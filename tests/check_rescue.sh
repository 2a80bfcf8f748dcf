# Where LLVM gives up or crashes: a message that names what it was compiling, exit code 70, no half of a file; and a
# training that runs meanwhile is saved, so that a netc whose LLVM does better goes on to the same bits.
. tests/lib.sh
fails=$(dirname "$netc")/tests/netc_llvm_fails      # netc, with an LLVM that fails as the environment says
export ASAN_OPTIONS=detect_leaks=0                  # what LLVM had in hands is lost
small_data
small_net net.net
same() { holds "$1 and $2 have the same bits" cmp "$1" "$2"; }
# breaks PART ARGUMENTS...: netc with these arguments cannot make the code of a function whose name holds PART.
breaks() {
    part=$1
    shift
    expect 70 "LLVM made no machine code of .*$part.*: \(Cannot select\|it crashed\)" \
        env LLVM_FAILS_IN="$part" "$fails" "$@"
}

expect 0 'test loss' "$fails" train net.net --out whole
for by in fatal crash; do
    export LLVM_FAILS_BY=$by
    # The evaluation's code is made while the first epoch runs, and missed at its end.
    breaks eval train net.net --out $by
    holds "the epoch is saved" grep -q 'everything is saved in' out.txt
    holds "its 21 steps" test -f $by/ckpt-000000021.safetensors
    expect 0 'test loss' "$netc" train net.net --out $by
    same whole/weights.safetensors $by/weights.safetensors
    # The training step itself, or all code waited for: there is nothing to save.
    breaks train train net.net --out none --time-report
    breaks eval train net.net --out none --time-report
    holds "no run begins" test ! -e none
    breaks eval bench net.net --seconds 0.01 --threads 1
    for kind in obj,header asm trainer; do
        breaks train compile net.net --emit=$kind -o made
        holds "no file of broken code" test -z "$(ls made* 2> /dev/null)"
    done
done
finish
