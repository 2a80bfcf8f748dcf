#!/bin/bash
# Runs programs on an emulated processor with AVX-512, for machines that have none (qemu does not know AVX-512; Bochs
# does, at some 40 million instructions a second): a Linux that boots in half a minute and runs what it is given.
#
#   tests/avx512.sh setup           download Bochs, a kernel and what makes a CD of them from Debian 12 (60 MB; nothing
#                                   is installed, no root is needed) and unpack them in build/emulator
#   tests/avx512.sh ready           succeeds if that was done
#   tests/avx512.sh machine FOLDER  boot with FOLDER as the root of the file system, run the lines of FOLDER/commands
#                                   (static programs, or with all that they need); succeeds if all of them do
#
# NETC_EMULATOR: another folder than build/emulator; NETC_EMULATOR_MB: memory of the machine (512);
# NETC_EMULATOR_SECONDS: of processor time, then it is stopped (300).
set -eu
root=$(realpath "${2:-.}")
cd "$(dirname "$0")/.."
source=$PWD
home=${NETC_EMULATOR:-$source/build/emulator}
packages="bochs bochs-term bochsbios vgabios isolinux syslinux-common xorriso cpio"
export PATH=$home/usr/bin:$home/bin:$PATH
export LD_LIBRARY_PATH=$home/usr/lib/x86_64-linux-gnu BXSHARE=$home/usr/share/bochs
export LTDL_LIBRARY_PATH=$LD_LIBRARY_PATH/bochs/plugins

# What of the packages and of what they need is not installed, the packages themselves in any case.
setup() {
    kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: //p')
    mkdir -p "$home.new/debs"
    cd "$home.new/debs"
    need=$(apt-get install -s --no-install-recommends $packages | sed -n 's/^Inst \([^ ]*\).*/\1/p')
    apt-get download -qq -o APT::Sandbox::User=root $(printf '%s\n' $packages $need "$kernel" | sort -u)
    for deb in *.deb; do dpkg-deb -x "$deb" ..; done
    rm -rf "$home.new/debs" "$home.new/lib/modules" "$home"
    mv "$home.new" "$home"
}

ready() { compgen -G "$home/boot/vmlinuz-*" >/dev/null; }

# Calibrations, tables for tracing and what else takes seconds at this speed is left out, and so are XSAVES and XSAVEC,
# whose sizes Bochs and Linux do not agree on. One instruction is one tick of the clocks.
hertz=10000000
boot_options="console=ttyS0 quiet panic=-1 acpi=off pci=off noapic mitigations=off clearcpuid=321,323
 tsc_early_khz=$((hertz / 1000)) tsc=reliable no_timer_check 8250.nr_uarts=1 init_on_alloc=0 cryptomgr.notests
 random.trust_cpu=on apparmor=0 selinux=0 audit=0
 initcall_blacklist=ftrace_check_for_weak_functions,hugetlb_init,init_hugetlbfs_fs,load_system_certificate_list"

write_disc() { # ROOT DISC
    mkdir -p "$2" "$1/proc" "$1/sys" "$1/dev" "$1/tmp"
    cc -O1 -static -o "$1/init" "$source/tests/avx512_init.c"
    (cd "$1" && find . | cpio -o -H newc --quiet -R 0:0) > "$2/root.cpio"
    cp "$home"/boot/vmlinuz-* "$2/linux"
    cp "$home/usr/lib/ISOLINUX/isolinux.bin" "$home/usr/lib/syslinux/modules/bios/ldlinux.c32" "$2"
    printf 'default linux\nprompt 0\nlabel linux\nkernel /linux\nappend initrd=/root.cpio %s\n' \
        "$(echo $boot_options)" > "$2/isolinux.cfg"
    xorriso -as mkisofs -quiet -o "$2.iso" -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 \
        -boot-info-table "$2" 2>"$2.log" || cat "$2.log"
}

write_config() { # FOLDER
    cat <<CONFIG
megs: ${NETC_EMULATOR_MB:-512}
cpu: model=corei7_skylake_x, count=1, ips=$hertz, ignore_bad_msrs=1, reset_on_triple_fault=0
romimage: file=$BXSHARE/BIOS-bochs-latest
vgaromimage: file=$BXSHARE/VGABIOS-lgpl-latest
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=$1/disc.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$1/console
display_library: term
plugin_ctrl: speaker=0
clock: sync=none
log: $1/log
panic: action=fatal
error: action=ignore
CONFIG
}

machine() {
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    write_disc "$root" "$work/disc"
    write_config "$work" > "$work/bochsrc"
    echo continue > "$work/debugger"
    # Bochs draws on a terminal; what is worth reading comes through the serial port. It ends by a panic.
    (ulimit -t "${NETC_EMULATOR_SECONDS:-300}"
     TERM=xterm script -qec "bochs-bin -q -rc $work/debugger -f $work/bochsrc" /dev/null </dev/null >"$work/screen" 2>&1) || true
    grep -av '^\[ *[0-9.]*\] ' "$work/console" || tail "$work/screen" "$work/log"    # without the kernel's messages
    grep -aq '^== 0 of [1-9][0-9]* failed' "$work/console"
}

case "${1-}" in
setup) setup ;;
ready) ready ;;
machine) machine ;;
*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
