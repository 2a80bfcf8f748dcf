# Every example: its data are made by its own script from a few made words, texts and digits, then it is checked; those on
# sequences are trained for an epoch and asked something.
. tests/lib.sh
(cd "$root" && cp --parents examples/*/*.net examples/*/*.[ch] examples/*/make_data examples/csv/make_spirals "$work")
cd examples || exit 1

# words N SEED LETTERS: N words of 2 to 9 of the letters, each once.
words() {
    awk -v n="$1" -v s="$2" -v l="$3" 'BEGIN { srand(s)
        while (made < n) {
            w = ""
            for (k = 2 + int(8 * rand()); k > 0; k--) w = w substr(l, 1 + int(length(l) * rand()), 1)
            if (!(w in seen)) { seen[w]; made++; print w }
        } }'
}

mkdir raw raw/dict raw/texts raw/mnist
n=0
for list in american-english dutch french italian ngerman spanish; do
    n=$((n + 1))
    words 60 $n abcdefgh > raw/dict/$list
done
for kind in computers cookie definitions law men-women people politics science songs-poems wisdom work zippy; do
    n=$((n + 1))
    words 300 $n abcdeT | awk 'NR % 9 == 0 { print "%"; next } { printf "%s%s", $0, NR % 9 < 8 ? " " : ".\n" }' > raw/texts/$kind
done
words 400 99 abcdef | awk '{ s = $0; p = ""; for (i = 1; i <= length(s); i++) p = p (i > 1 ? " " : "") toupper(substr(s, i, 1)) "H1"
    printf "  \"%s\": \"%s\",\n", s, p }' > raw/index.js
for part in train t10k; do
    idx_images raw/mnist/$part-images-idx3-ubyte 20 28 28 5
    idx_labels raw/mnist/$part-labels-idx1-ubyte 20 10
done

expect 0 '' charlm/make_data raw/texts
expect 0 '' sentences/make_data raw/texts
expect 0 '' langid/make_data raw/dict
expect 0 '' phonemes/make_data raw/index.js
expect 0 '' dates/make_data
sed -i 200q dates/dates.tsv
expect 0 '' csv/make_spirals
expect 0 '' ${CC:-cc} -o raw/make_clips frames/make_clips.c
expect 0 '' raw/make_clips raw/mnist frames/clips.safetensors 40
expect 0 '' ${CC:-cc} -o raw/make_pictures caption/make_pictures.c
expect 0 '' raw/make_pictures raw/mnist caption 60
holds "six languages" test "$(cut -f2 langid/train.tsv | sort -u | wc -l)" = 6
holds "every part has words" test -s langid/train.tsv -a -s langid/valid.tsv -a -s langid/test.tsv
holds "no mark of stress is left" sh -c '! grep -q "[0-9]" phonemes/train.tsv'
holds "dates become ISO dates" sh -c '! grep -qvE "	[0-9]{4}-[01][0-9]-[0-3][0-9]$" dates/dates.tsv'
holds "a caption has one to five words" sh -c '! grep -qvE "^pictures/[0-9]{5}.pgm	[a-z]+( [a-z]+){0,4}$" caption/captions.tsv'

for net in */*.net; do
    expect 0 'in all' "$netc" check "$net"
    case $net in mnist/step[12357].net) continue ;; esac        # like their neighbours
    expect 0 '^step *[0-9.]* ms .*' "$netc" bench "$net" train.batch=2 --seconds 0.001 -O1
    holds "$net: the time of an answer" grep -q '^inference *[0-9.]* ms' "$work/out.txt"
done

{ printf '\223NUMPY\001\000\166\000'
  printf "%-117s\n" "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 16, 1, 32, 32), }"
  cat raw/mnist/*images* | head -c 16384; } > raw/frames.npy

# asked NAME SETTINGS TEXT ENTRY...: trains NAME.net with settings, then runs its entry, whose answer has TEXT (a pattern).
asked() {
    net=$1 settings=$2 answer=$3
    shift 3
    # shellcheck disable=SC2086
    expect 0 'test loss' "$netc" train "$net" --out raw/run train.epochs=1 $settings -O1
    expect 0 "$answer" "$netc" run "$net" "$@" --weights raw/run/weights.safetensors $settings -O1
    rm -rf raw/run
}
asked charlm/rnn.net 'H=8 T=10 train.batch=4' '^[a-eT .%]*$' sample first=a N=20
asked charlm/lstm.net 'H=8 T=10 train.batch=4' '^[a-eT .%]*$' sample first=a N=20 temp=0.5 --seed 3
# Its cell step by step in a C program.
expect 0 '' "$netc" compile charlm/lstm.net H=8 --name=charlm -o raw/charlm
expect 0 '' "$netc" init charlm/lstm.net H=8 -o raw/charlm.w
cp embed/stream.c raw
expect 0 '' ${CC:-cc} -std=c11 -Wall -Wextra -Werror -o raw/stream raw/stream.c raw/charlm.o -lm
expect 0 '^5 characters, [0-9.]* bits each (1 bytes that it does not know)$' sh -c 'printf "ab\001cde" | raw/stream raw/charlm.w 7'
asked langid/langid.net 'H=8' '^english$\|^dutch$\|^french$\|^italian$\|^german$\|^spanish$' language word=abc
asked phonemes/phonemes.net 'H=8' '^[A-FH ]*$\|^<bos>' say spelling=abc
asked dates/dates.net 'H=8' '^[-0-9]*$\|^<bos>' normalise src='May 3, 1983'
asked frames/frames.net 'H=8' '^[0-9 ]*$' annotate --in frames=raw/frames.npy
asked caption/caption.net 'H=8 F=8' '^[a-z ]*$\|^<bos>' caption --in img=caption/pictures/00000.pgm
asked sentences/sentences.net '' '^[-a-z]*$' kind text='ab cd ef .'
finish
