# Text end to end: a character model on a stream and a transducer on a table with lengths; the same bits from any number
# of threads, stopped and continued, and from a stand-alone trainer; answers as text, without the data.
. tests/lib.sh
same() { holds "$1 and $2 have the same bits" cmp "$1" "$2"; }

awk 'BEGIN { for (i = 0; i < 120; i++) printf "the %s sat on the %s.\n", i % 3 ? "cat" : "dog", i % 5 ? "mat" : "hat" }' >text.txt
cat >lm.net <<'END'
dim Char = vocab("text.txt")
dim H = 12
dim T = 10
dim N <= 40
data Text(x: Char[T], y: Char[T]) {
  all   = text("text.txt")
  train = all[0.0:0.8] |> stream(x, y)
  valid = all[0.8:1.0] |> stream(x, y)
}
model LM {
  cell = Gru(H);  out = Dense(Char)
  objective(x: Char[T], y: Char[T]) {
    state h0: [H] = 0
    scan t in T { h[t] = cell(onehot(x[t]), h[t-1]) from h0 }
    next h0 = last(h)
    ce[t] = xent(out(h[t]), y[t])
    loss mean[t](ce[t])
    metric perplexity = exp(ratio(sum[t](ce[t]), T))
  }
  entry sample(first: Char, temp = 1.0) -> Char[N] {
    scan t in N {
      h[t] = cell(onehot(c[t-1]), h[t-1]) from zeros
      c[t] = draw(out(h[t]) / temp)       from first
    }
    return c
  }
}
train LM on Text {
  batch = 4;  epochs = 2;  optimizer = adam(0.01);  clip = 5
  keep = best(-perplexity);  every = [20, sample("t", N=10)]
}
END
expect 0 'valid loss .* perplexity [0-9.]* (' "$netc" train lm.net --out one --threads 1
for threads in 2 3 5 8; do
    expect 0 'valid loss' "$netc" train lm.net --out at$threads --threads $threads
    same one/weights.safetensors at$threads/weights.safetensors
done
holds "samples are in the log" grep -q '"event":"sample","epoch":0,"step":20,"entry":"sample","text":"' one/log.jsonl
expect 0 '' "$netc" train lm.net --out parts train.epochs=1
expect 0 'valid loss' "$netc" train lm.net --out parts
same one/weights.safetensors parts/weights.safetensors
expect 0 '' "$netc" compile lm.net --emit=trainer -o lm
expect 0 'valid loss' ./lm --out alone
same one/weights.safetensors alone/weights.safetensors

# Elsewhere, without the text.
mkdir away
cp lm.net away
expect 0 '' "$netc" run away/lm.net sample -w one/weights.safetensors first=t temp=0.5 --seed 3
cp out.txt sampled.txt
expect 0 '' ./lm sample -w one/weights.safetensors first=t temp=0.5 --seed 3
same out.txt sampled.txt
holds "40 characters were drawn" test "$(tr -d '\n' <sampled.txt | wc -c)" -le 40
expect 0 '' ./lm sample -w one/weights.safetensors first=t N=5 --seed 3
expect 4 "'q' is no symbol of dim Char" ./lm sample -w one/weights.safetensors first=q
expect 4 'a whole number from 1 to 40' ./lm sample -w one/weights.safetensors first=t N=41
expect 0 'valid loss' "$netc" eval away/lm.net --data . --split valid -w one/weights.safetensors
printf 'sat\nqat\n' >>text.txt
expect 4 "text.txt:122: 'q' is no symbol of dim Char" "$netc" eval lm.net --split valid -w one/weights.safetensors
expect 4 'was trained with other symbols of Char' "$netc" train lm.net --out other -w one/weights.safetensors

# The same text by words, and as bytes.
sed 's/^dim Char.*/dim Char = vocab("words.txt", by="word", eos=true)/; s/text.txt/words.txt/; s/sample("t", N=10)/sample("the", N=3)/
    s/T = 10/T = 5/' lm.net >wordlm.net
head -120 text.txt >words.txt
expect 0 'valid loss' "$netc" train wordlm.net --out by-word train.epochs=1
expect 0 '' "$netc" run wordlm.net sample -w by-word/weights.safetensors first=the N=4 --seed 3
holds "words were drawn" grep -qE '^((the|sat|on|cat|dog|mat\.|hat\.)( |$))*$' out.txt
sed 's/eos=true/eos=true, min=2/' wordlm.net >rare.net
expect 0 '' "$netc" init rare.net -o rare.w
for one in the never '<unk>'; do expect 0 '' "$netc" run rare.net sample -w rare.w first="$one" N=2; done
expect 4 'first takes one symbol of dim Char' "$netc" run rare.net sample -w rare.w first='the cat' N=2
expect 4 'first takes one symbol of dim Char' "$netc" run rare.net sample -w rare.w first= N=2
sed 's/^dim Char.*/dim Char = 256/; s/text.txt/words.bin/' lm.net >bytelm.net
{ head -120 text.txt; printf '\000\200\377'; } >words.bin
expect 0 'valid loss' "$netc" train bytelm.net --out by-byte train.epochs=1
expect 0 '' "$netc" run bytelm.net sample -w by-byte/weights.safetensors first=t N=4 --seed 3
holds "four bytes were drawn" test "$(wc -c <out.txt)" = 5
expect 4 "'te' is no symbol of dim Char" "$netc" run bytelm.net sample -w by-byte/weights.safetensors first=te N=4

# Words of different lengths, read from both ends.
awk 'BEGIN { for (i = 0; i < 90; i++) { w = ""; for (k = 0; k <= i * 7 % 6; k++) w = w substr("abcd", 1 + (i + k * k) % 4, 1)
             print w "\t" toupper(w) } }' >words.tsv
cat >upper.net <<'END'
dim Small = vocab("words.tsv", col=0)
dim Large = vocab("words.tsv", col=1, eos=true)
dim S <= 6
dim L <= 7
data Words(w: Small[S], u: Large[L]) { train, valid = tsv("words.tsv") |> split(0.8, 0.2) }
model Upper {
  enc = Gru(10);  dec = Gru(10);  out = Dense(Large)
  fn encode(w: Small[S]) -> [10] {
    scan s in S { h[s] = enc(onehot(w[s]), h[s-1]) from zeros }
    return last(h)
  }
  objective(w: Small[S], u: Large[L]) {
    v = encode(w)
    scan t in L { h[t] = dec(onehot(u[t-1] ?? Large.bos), h[t-1]) from v }
    z[t] = out(h[t])
    loss mean[t](xent(z[t], u[t]))
    metric exact = all[t](argmax(z[t]) == u[t])
  }
  entry upper(w: Small[S]) -> Large[L] {
    scan t in L until y[t] == Large.eos {
      h[t] = dec(onehot(y[t-1]), h[t-1]) from encode(w)
      y[t] = argmax(out(h[t]))           from Large.bos
    }
    return y
  }
}
train Upper on Words { batch = 8;  epochs = 3;  optimizer = adam(0.02);  bucket = S }
END
expect 0 'valid loss .* exact [0-9.]* %' "$netc" train upper.net --out words
expect 0 'valid loss' "$netc" train upper.net --out words2 --threads 2 train.epochs=2
expect 0 'valid loss' "$netc" train upper.net --out words2
same words/weights.safetensors words2/weights.safetensors
printf 'abc\nd\nbbbbbb\n' >in.txt
expect 0 '' "$netc" run upper.net upper -w words/weights.safetensors --in w=in.txt
cp out.txt file.txt
holds "a line for each line" test "$(wc -l <file.txt)" = 3
expect 0 '' sh -c '"$1" run upper.net upper -w words/weights.safetensors --in w=- <in.txt' - "$netc"
same out.txt file.txt
expect 0 '' "$netc" run upper.net upper -w words/weights.safetensors --in w=in.txt --out y.npy --out L=n.npy
expect 0 'i32' "$netc" inspect n.npy
expect 0 '' "$netc" grad upper.net -w words/weights.safetensors w=abc u=ABC --out g.safetensors
printf 'abc\tABC\nabcdabc\tABCD\n' >words.tsv
expect 4 'words.tsv:2:1: w has 7 steps, but dim S goes to 6' "$netc" train upper.net --out bad
finish
