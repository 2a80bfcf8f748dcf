# Bad input: one clear message, the documented exit code, nothing half-written, what existed stays.
. tests/lib.sh
small_data
small_net net.net
train() { "$netc" train net.net --out run --fresh --progress none "$@"; }

# Data files.
mv train-images keep
expect 3 'train-images' train
head -c 5000 keep > train-images
expect 4 'train-images' train
head -c 7 keep > train-images
expect 4 'train-images' train
idx_images train-images 203 9 8 1
expect 4 '9' train
idx_images train-images 100 8 8 1
expect 4 '100' train
mv keep train-images
cp train-labels keep
printf '\011' | dd of=train-labels bs=1 seek=20 conv=notrunc 2>/dev/null
expect 4 'train-labels.*9' train
mv keep train-labels

# Numbers that leave the finite.
expect 5 '[Nn]a[Nn]\|infinite\|not finite' train eta=1e30

# Weights.
expect 0 '' "$netc" init net.net -o w.safetensors
sed 's/Conv(4, 3)/Conv(5, 3)/' net.net > other.net
expect 4 'Net.c1' "$netc" eval other.net --weights w.safetensors
head -c 700 w.safetensors > cut.safetensors
expect 4 'cut.safetensors' "$netc" eval net.net --weights cut.safetensors
head -c 700 /dev/urandom > noise.safetensors
expect 4 'noise.safetensors' "$netc" eval net.net --weights noise.safetensors
expect 3 'absent' "$netc" eval net.net --weights absent.safetensors

# Outputs that cannot be written; what existed stays.
expect 3 'nowhere' "$netc" init net.net -o nowhere/w.safetensors
expect 3 '/dev/full' "$netc" init net.net -o /dev/full
echo kept > out.o
mkdir out.h
expect 3 'out' "$netc" compile net.net -o out
holds "an output that could not be replaced stays whole" sh -c 'ls | grep -c tmp | grep -q ^0'

# Hostile source.
awk 'BEGIN { printf "dim A = "; for (i = 0; i < 100000; i++) printf "("; print "" }' > deep.net
expect 8 'nest' "$netc" check deep.net
echo 'model M { objective(x: [2147483647, 2147483647]) { loss sum(x) } }' > huge.net
expect 8 'huge.net:1' "$netc" check huge.net
printf 'dim A = 1\0dim B = 2\n' > nul.net
expect 1 'nul.net:1:10' "$netc" check nul.net
head -c 3000 /dev/urandom > noise.net
expect 1 'noise.net:' "$netc" check noise.net
expect 3 'absent.net' "$netc" check absent.net

# Usage.
expect 2 "did you mean 'train'" "$netc" trian net.net
expect 2 "did you mean '--print-after'" "$netc" check net.net --print-aftr=all
expect 2 "check has no option '--seconds'" "$netc" check net.net --seconds 5
expect 0 '^  -o, --output F' "$netc" help init
expect 0 'train; the same command' "$netc" train net.net --help
expect 2 "graph takes no 'train' (netc help graph)" "$netc" graph net.net train
expect 2 'makes a program, asm is of a library part' "$netc" compile net.net --emit=trainer,asm
expect 2 "passes: there is no 'fld'; did you mean 'fold'" "$netc" check net.net --passes=cse,fld
expect 2 "print-after: there is no 'x'" "$netc" graph net.net --print-after=x
expect 2 "dot-after: there is no 'all'" "$netc" graph net.net --dot-after=all
expect 2 "fno: there is no 'pak'; did you mean 'pack'" "$netc" train net.net --fno-pak
echo 'graph g() { %x = param "x" : f32[] out y = %x }' > graph.ir
expect 2 "passes: there is no 'fld'" "$netc" opt graph.ir --passes=fld
expect 0 'out y' "$netc" opt graph.ir --passes=fold --fno-cse
expect 2 "targets takes no 'avx2'" "$netc" targets avx2
expect 2 "explain takes no 'eta=1'" "$netc" explain E0201 eta=1
expect 1 "did you mean 'eta'" "$netc" check net.net etta=0.1
expect 1 "did you mean 'batch'" "$netc" check net.net train.batsh=20
expect 2 'threads' train --threads zero
finish
