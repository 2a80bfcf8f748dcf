# The acceptance cases of the language's reference, through the command line: each wrong program of
# tests/golden/errors gets, as its first message, the one of its first line, and exit code 1; each right one of
# tests/golden/programs and tests/golden/reference checks. Vocabularies without their files have 9 symbols.
. tests/lib.sh

# Where netc says it deliberately in other words than the reference, whose words these are.
other_words() {
    case $1 in
    recurrence_outside_scan) echo "unknown name 'h' (an equation reads its own h[t-1] only inside 'scan t in …')" ;;  # netc: ASCII '...'
    syntax) echo "expected ',', found 'loss'" ;;                       # netc: ')' would fit as well, and is named
    esac
}

sizes() { sed -n 's/^ *dim *\([A-Za-z_0-9]*\) *= *vocab(.*/\1=9/p' "$1"; }

n=0
for file in "$root"/tests/golden/errors/*.net; do
    name=$(basename "$file" .net)
    due=$(sed -n '1s/^# //p' "$file")
    # shellcheck disable=SC2046
    NO_COLOR=1 "$netc" check "$file" $(sizes "$file") >out 2>&1
    code=$?
    got=$(head -1 out | sed 's/: error: /: /; s/ \[E[0-9]*\]$//')
    holds "$name.net: due '$due', got '$got'" test "$got" = "$due"
    holds "$name.net ends with exit code 1, not $code" test $code = 1
    words=$(other_words "$name")
    [ -z "$words" ] || holds "$name.net: the reference's words are not netc's" test "${got#*:*:*: }" != "$words"
    n=$((n + 1))
done
holds "30 wrong programs, found $n" test $n -ge 30

n=0
for file in "$root"/tests/golden/programs/*.net "$root"/tests/golden/reference/*.net; do
    # shellcheck disable=SC2046
    expect 0 "" "$netc" check "$file" $(sizes "$file")
    n=$((n + 1))
done
holds "20 right programs, found $n" test $n -ge 20
finish
