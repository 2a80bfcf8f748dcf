# Training end to end: the same bits from 1, 2, 3, 5 and 8 threads, stopped and continued or not, from netc and
# from a stand-alone trainer; entries, gradients and filters through the command line.
. tests/lib.sh
small_data
small_net net.net
same() { holds "$1 and $2 have the same bits" cmp "$1" "$2"; }

expect 0 'test loss .* accuracy .* % (64 examples)' "$netc" train net.net --out one --threads 1
for threads in 2 3 5 8; do
    expect 0 'test loss' "$netc" train net.net --out at$threads --threads $threads
    same one/weights.safetensors at$threads/weights.safetensors
done

# A finished run says so and keeps its result; --fresh moves it away.
expect 0 'test loss' "$netc" train net.net --out one
expect 0 'test loss' "$netc" train net.net --out one --fresh
same one/weights.safetensors one.1/weights.safetensors

# Stopped by a signal after some steps, then continued by the same command.
"$netc" train net.net train.epochs=1000000 --out cut --threads 2 >cut.txt 2>&1 &
pid=$!
for i in $(seq 600); do ls cut/ckpt-*.safetensors >/dev/null 2>&1 && break; sleep 0.1; done
kill -TERM $pid
wait $pid
code=$?
holds "SIGTERM ends with 143 (got $code)" test $code = 143
holds "the message says how to go on" grep -qi 'same command' cut.txt
steps=$(sed -n 's/.*epoch \([0-9]*\).*/\1/p' cut.txt | tail -1)
expect 0 'test loss' timeout 60 "$netc" train net.net train.epochs=$((steps + 2)) --out cut
expect 0 'test loss' "$netc" train net.net train.epochs=$((steps + 2)) --out uncut
same cut/weights.safetensors uncut/weights.safetensors

# The stand-alone trainer.
expect 0 '' "$netc" compile net.net --emit=trainer -o trainer
expect 0 'test loss' ./trainer train --out alone --threads 2
same one/weights.safetensors alone/weights.safetensors
expect 2 'batch' ./trainer train train.batch=20
holds "the trainer needs the C library alone, or a sanitizer's" \
    sh -c 'ldd ./trainer | grep -q "san\.so" || ! ldd ./trainer | grep -vE "linux-vdso|libc\.so|libm\.so|libpthread|ld-linux"'

# Entries, evaluation, first weights, filters.
expect 0 'accuracy' "$netc" eval net.net --weights one/weights.safetensors
expect 0 '' "$netc" init net.net -o first.safetensors --seed 3
expect 0 '' "$netc" init net.net -o again.safetensors --seed 3
same first.safetensors again.safetensors
expect 0 'Net.c1.w' "$netc" inspect first.safetensors
expect 0 '' "$netc" filters net.net --weights one/weights.safetensors --layer Net.c1 -o filters.png
holds "filters.png is a picture" sh -c 'head -c 4 filters.png | grep -q PNG'
{ printf '\223NUMPY\001\000\166\000'
  printf "%-117s\n" "{'descr': '|u1', 'fortran_order': False, 'shape': (64, 1, 8, 8), }"
  tail -c +17 valid-images; } > img.npy
{ printf '\223NUMPY\001\000\166\000'
  printf "%-117s\n" "{'descr': '|u1', 'fortran_order': False, 'shape': (64,), }"
  tail -c +9 valid-labels; } > label.npy
expect 0 '' "$netc" run net.net classify --weights one/weights.safetensors --in img=img.npy --out 0=y.npy
expect 0 '' ./trainer classify --weights one/weights.safetensors --in img=img.npy --out 0=z.npy
same y.npy z.npy
expect 0 '' "$netc" grad net.net --weights one/weights.safetensors --in img=img.npy --in label=label.npy --out g.safetensors
expect 0 'loss' "$netc" inspect g.safetensors
# Bytes of a picture arrive as numbers from 0 to 1, as in training.
cat > white.net <<'NET'
model M {
  param w: [1] = 0
  objective(img: [1,2,2]) { loss w[0] * sum(img) }
  entry total(img: [1,2,2]) -> f32 = sum(img) + w[0]
}
NET
printf 'P5\n2 2\n255\n\377\377\377\377' > white.pgm
expect 0 '' "$netc" init white.net -o white.safetensors
expect 0 '^4$' "$netc" run white.net total --weights white.safetensors --in img=white.pgm
finish
