# netc bench: the fields of its JSON, the batch that train.batch sets, its mistakes. No time is judged.
. tests/lib.sh
small_net with_train.net
sed '/^data /,/^}/d; /^train /d' with_train.net > plain.net

# field FILE NAME: the number (or text) of a field of the first object.
field() { sed -n "s/.*[{,]\"$2\":\([^,}]*\).*/\1/p" "$1" | head -1; }
positive() { holds "$1 > 0 (it is '$2')" awk -v x="$2" 'BEGIN { exit !(x + 0 > 0) }'; }

expect 0 '' sh -c "'$netc' bench plain.net --json --seconds 0.01 --threads 1 > plain.json"
expect 0 '' sh -c "'$netc' bench with_train.net train.batch=7 --json --seconds 0.01 --threads 2 > seven.json"
for f in step_ms step_ms_min infer_ms infer_ms_min compile_ms step_flops peak_gflops l1_gflops share; do
    positive "$f" "$(field plain.json $f)"
    positive "$f" "$(field seven.json $f)"
done
holds "without a train block the batch is 32" test "$(field plain.json batch)" = 32
holds "train.batch=7 sets the batch" test "$(field seven.json batch)" = 7
holds "--threads 2 means two threads" test "$(field seven.json threads)" = 2
expect 0 '' sh -c "'$netc' bench plain.net train.batch=5 --json --seconds 0.01 --threads 1 > five.json"
holds "train.batch=5 does without a train block" test "$(field five.json batch)" = 5
expect 0 'batches of 5:' "$netc" check plain.net train.batch=5
expect 0 '' "$netc" compile plain.net train.batch=5 -o five
holds "and for compile" grep -q '_BATCH  *5 ' five.h
for c in check bench compile; do expect 1 'from 1 to 1000000, this is 0' "$netc" $c plain.net train.batch=0; done
expect 1 "no dim, hyper or train key 'train.epochs'" "$netc" check plain.net train.epochs=5
holds "the file is named" test "$(field plain.json file)" = '"plain.net"'
# 6 x (4*9*36 for the convolution + 36*16 + 16*8 for the layers) x batch
holds "step_flops counts the contractions" test "$(field plain.json step_flops)" = $((6 * (4 * 9 * 36 + 36 * 16 + 16 * 8) * 32))

# A lookup is the product with a one-hot matrix that it stands for.
cat > lookup.net <<'NET'
net 1
dim Word = 50
model Net {
  objective(w: Word, y: Word) { loss xent(w |> Embed(8) as e |> Dense(Word) as out, y) }
}
NET
expect 0 '' sh -c "'$netc' bench lookup.net train.batch=4 --json --seconds 0.01 --threads 1 > lookup.json"
holds "lookups count as products" test "$(field lookup.json step_flops)" = $((6 * (50 * 8 + 8 * 50) * 4))

expect 0 'update Net.c1.w' "$netc" bench plain.net --kernels --seconds 0.01 --threads 1
expect 0 '"kernels":\[' "$netc" bench plain.net --kernels --json --seconds 0.01 --threads 1
# Kernels of a chain are timed within it, and each has a time.
cat > deep.net <<'NET'
net 1
model Net {
  objective(x: [4,48,48]) {
    z = x |> Conv(4, 3, 1, 1) as a |> Conv(4, 3, 1, 1) as b
    loss sum(z .* z)
  }
}
NET
expect 0 'nests in turns of' "$netc" bench deep.net train.batch=40 --print-schedule --seconds 0.01 --threads 1
expect 0 '' sh -c "'$netc' bench deep.net train.batch=40 --kernels --json --seconds 0.01 --threads 2 > deep.json"
holds "kernels have times" test "$(grep -c '"ms":' deep.json)" -gt 6
holds "kernels of chains take time" sh -c "! grep -q '\"ms\":-' deep.json && ! grep -q '\"ms_min\":0,' deep.json"
expect 0 'inference' "$netc" bench with_train.net --seconds 0.01 --threads 1 --fno-pack

# Schedules are printed in a form that --schedule takes; what it takes is what runs, for bench, train and compile.
expect 0 'predicted .* of peak' "$netc" bench plain.net --print-schedule --seconds 0.01 --threads 1
"$netc" bench plain.net --print-schedule --seconds 0.01 --threads 1 2> /dev/null | sed -n '/^train:/,/^eval:/p' > printed.txt
holds "kernels have schedules" grep -q -e '--schedule=train_0_' printed.txt
forced=$(grep -o -e '--schedule=.*' printed.txt)
"$netc" bench plain.net --print-schedule $forced --seconds 0.01 --threads 1 2> /dev/null | sed -n '/^train:/,/^eval:/p' > again.txt
sed -i 's/, predicted.*//' printed.txt again.txt
holds "printed schedules may be given back" cmp -s printed.txt again.txt
name=$(sed -n 's/.*--schedule=\(train_[0-9]*_Net_c1\):.*/\1/p' printed.txt | head -1)
expect 0 "schedule=$name:order=[^ ]*:shared=0\$" "$netc" bench plain.net --print-schedule --schedule "$name:lanes=:shared=0" \
    --seconds 0.01 --threads 1
expect 2 "no kernel 'train_0'; there are: train_0_" "$netc" bench plain.net --schedule train_0:shared=0 --seconds 0.01
expect 2 "no kernel 'x'" "$netc" train with_train.net --schedule x:shared=0
expect 2 "no kernel 'x'" "$netc" compile with_train.net --schedule x:shared=0
expect 2 "$name: no variable 'z'; there are: " "$netc" compile with_train.net --schedule "$name:lanes=z"
expect 0 "schedule=$name:order=" "$netc" compile with_train.net --schedule "$name:lanes=" --print-schedule
expect 2 '--threads' "$netc" bench plain.net --threads none
expect 2 '--seconds' "$netc" bench plain.net --seconds -1
# Sequences are as long as they may be; symbols, a state and two ragged dims are no obstacle.
cat > pairs.net <<'NET'
net 1
dim Char = vocab("letters.txt")
dim Word = vocab("letters.txt", by="word", eos=true)
dim S <= 6
dim T <= 9
data D(a: Char[S], b: Word[T]) { train = tsv("pairs.tsv") }
model Pairs {
  enc = Gru(4);  dec = Gru(4);  out = Dense(Word)
  objective(a: Char[S], b: Word[T]) {
    state kept: [4] = 0
    scan s in S { h[s] = enc(onehot(a[s]), h[s-1]) from kept }
    scan t in T { g[t] = dec(onehot(b[t-1] ?? Word.bos), g[t-1]) from last(h) }
    next kept = last(g)
    w[t] = softmax(h*g[t])
    loss mean[t](xent(out(g[t] + sum[s](w[t,s]*h[s])), b[t]))
  }
}
train Pairs on D { batch = 3;  optimizer = adam(0.01);  bucket = T;  clip = 5 }
NET
echo 'a bc a d' > letters.txt
expect 0 '^lengths of sequences: S 6, T 9$' "$netc" bench pairs.net --seconds 0.01 --threads 2
expect 0 'scan' "$netc" bench pairs.net --seconds 0.01 --threads 1 --kernels
expect 0 '"lengths":{"S":6,"T":4}' "$netc" bench pairs.net T=4 --json --seconds 0.01
rm letters.txt
expect 1 'Char=SIZE gives the size' "$netc" bench pairs.net
holds "a lost file is one mistake for each vocab" test "$(grep -c error: out.txt)" = 2
expect 0 '"lengths":{"S":6,"T":9}' "$netc" bench pairs.net Char=7 Word=9 --json --seconds 0.01

echo 'net 1
model Empty { entry one(x: [2]) -> [2] = x }' > empty.net
expect 1 'no objective' "$netc" bench empty.net

# The workloads of bench/ check.
for f in "$root"/bench/*.net; do expect 0 'in all' "$netc" check "$f" --data "$root/examples/mnist"; done
finish
