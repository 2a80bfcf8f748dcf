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

# A step with a scan of its own: attention by maths and a reader that begins from the beam's state. A trainer with beams
# trains the same weights, and its entry gives what `run --beam` gives.
awk 'BEGIN { for (i = 0; i < 40; i++) { w = ""; for (k = 0; k <= i * 7 % 6; k++) w = w substr("abcd", 1 + (i + k * k) % 4, 1)
             print w "\t" toupper(w) } }' > words.tsv
cat > upper.net <<'NET'
net 1
dim Small = vocab("words.tsv", col=0)
dim Large = vocab("words.tsv", col=1, eos=true)
dim S <= 6
dim L <= 7
data Words(w: Small[S], u: Large[L]) { train = tsv("words.tsv") }
model Upper {
  letter = Embed(5);  said = Embed(5);  reader = Gru(5);  dec = Gru(5);  out = Dense(Large)
  fn context(w: Small[S], g: [5]) -> [5] {
    scan s in S { h[s] = reader(letter(w[s]), h[s-1]) from g }
    z[s] = sum[i](h[s,i] * g[i])
    a = softmax(z)
    c[i] = sum[s](a[s] * h[s,i])
    return c + last(h)
  }
  objective(w: Small[S], u: Large[L]) {
    scan t in L { g[t] = dec(said(u[t-1] ?? Large.bos) + context(w, g[t-1]), g[t-1]) from zeros }
    loss mean[t](xent(out(g[t]), u[t]))
  }
  entry upper(w: Small[S]) -> Large[L] {
    scan t in L until y[t] == Large.eos {
      g[t] = dec(said(y[t-1]) + context(w, g[t-1]), g[t-1]) from zeros
      y[t] = argmax(out(g[t]))                              from Large.bos
    }
    return y
  }
}
train Upper on Words { batch = 8;  epochs = 3;  optimizer = adam(0.02) }
NET
cut -f1 words.tsv > in.txt
expect 0 "" "$netc" compile upper.net --emit=trainer -o plain
expect 0 "" "$netc" compile upper.net --emit=trainer --beam 3 -o beamed
expect 0 "train loss" ./plain --out plain.run
expect 0 "train loss" ./beamed --out beamed.run
holds "beams do not change training" cmp plain.run/weights.safetensors beamed.run/weights.safetensors
w=plain.run/weights.safetensors
expect 0 "" ./beamed upper -w $w --in w=in.txt
cp out.txt beamed.txt
expect 0 "" "$netc" run upper.net upper -w $w --in w=in.txt --beam 3
holds "the trainer's answers are those of run" cmp out.txt beamed.txt
expect 0 "" "$netc" run upper.net upper -w $w --in w=in.txt --beam 3 -O0
holds "and those of plain loops" cmp out.txt beamed.txt
expect 0 "" ./plain upper -w $w --in w=in.txt
holds "other sequences than the argmax" test "$(cmp -s out.txt beamed.txt; echo $?)" = 1
expect 0 "compiled in: .* beam=3 " ./beamed --help
expect 2 "beam search is compiled in: netc compile" ./plain upper --beam 3 -w $w --in w=in.txt
sed '/entry upper/,/^  }/d' upper.net > none.net
expect 1 "no entry of none.net feeds an argmax back in a scan with 'until'" "$netc" compile none.net --beam 2
finish
