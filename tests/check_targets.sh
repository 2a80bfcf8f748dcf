# Programs for other processors: a trainer refuses a CPU that lacks what it was compiled for; wrong names of processors
# and machines get one clear message.
. tests/lib.sh
small_net net.net
small_data

expect 2 "unknown processor.*avx512.*haswell\|unknown processor.*avx512" "$netc" compile net.net -mcpu=pentium
expect 2 "unknown machine; netc makes code for x86_64 and aarch64" "$netc" compile net.net --target=mips
expect 2 "ELF" "$netc" compile net.net --target=aarch64-apple-darwin
expect 2 "unknown processor" "$netc" compile net.net --target=aarch64 -mcpu=haswell
expect 2 "this machine's architecture" "$netc" compile net.net --target=aarch64 --emit=trainer
expect 0 '' "$netc" compile net.net --target=aarch64 --emit=obj,header -o arm
for f in obj asm; do
    for cpu in avx512 haswell sandybridge x86-64; do expect 0 '' "$netc" compile net.net -mcpu=$cpu --emit=$f -o "$cpu"; done
done

# Refused natively where this machine lacks AVX-512, and under an emulated CPU that lacks AVX2.
if [ "$(uname -m)" = x86_64 ]; then
    expect 0 '' "$netc" compile net.net -mcpu=avx512 --emit=trainer -o wide
    if grep -qw avx512f /proc/cpuinfo; then
        expect 0 'accuracy' ./wide train --out wide.run --epochs 1
    else
        expect 8 'this CPU has no avx512' ./wide train --out wide.run
        expect 8 'does not run code for avx512\|this CPU has no avx512' "$netc" bench net.net -mcpu=avx512
    fi
    if command -v qemu-x86_64 >/dev/null; then
        expect 0 '' "$netc" compile net.net -mcpu=haswell --emit=trainer -o narrow
        expect 8 'this CPU has no avx2, which the code was compiled for' qemu-x86_64 -cpu qemu64 ./narrow train --out n.run
        expect 0 '' "$netc" compile net.net -mcpu=x86-64 --emit=trainer -o plain
        expect 0 'accuracy' qemu-x86_64 -cpu qemu64 ./plain train --out p.run
    else
        echo "skipped: an emulated CPU without AVX2 needs qemu-user"
    fi
fi
finish
