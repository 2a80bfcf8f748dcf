# Beam search in compiled code: one beam is the argmax to the bit; more beams give the same symbols at every -O; the
# option's mistakes. That the search finds what it should is test_driver_beam's.
. tests/lib.sh
net=$root/tests/golden/programs/beam.net
# npy_f32 FILE ROWS COLUMNS: numbers among 1, -0.5, 2, 0.25 and -1.
npy_f32() {
    {
        printf '\223NUMPY\1\0v\0%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': ($2, $3), }"
        for i in $(seq $(($2 * $3))); do
            case $((i * i % 7)) in
            0) printf '\0\0\200\077' ;; 1) printf '\0\0\0\277' ;; 2) printf '\0\0\0\100' ;;
            *) [ $((i % 3)) = 0 ] && printf '\0\0\200\076' || printf '\0\0\200\277' ;;
            esac
        done
    } > "$1"
}
npy_f32 s.npy 24 4
say() { out=$1; shift; "$netc" run "$net" say "$@" --weights w.safetensors --in s=s.npy --out w="$out.npy" --out T="$out.len.npy"; }
holds "first weights" "$netc" init "$net" -o w.safetensors --seed 3
holds "the argmax" say plain
holds "one beam" say one --beam 1
holds "one beam is the argmax" cmp plain.npy one.npy
holds "its lengths too" cmp plain.len.npy one.len.npy
holds "three beams" say three --beam 3
holds "three beams, plain loops" say plain3 --beam 3 -O0
holds "the same symbols" cmp three.npy plain3.npy
holds "the same lengths" cmp three.len.npy plain3.len.npy
holds "the search finds others" test "$(cmp -s plain.npy three.npy; echo $?)" = 1
expect 2 "from 1 to 32" say bad --beam 0
expect 2 "from 1 to 32" say bad --beam 33
expect 0 "" "$netc" compile "$net" -o say --beam 2
finish
