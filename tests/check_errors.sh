# Every code of base/diag.def has a wrong program tests/golden/diag/CODE.net whose messages are in CODE.err,
# and `netc explain CODE` explains it. UPDATE=1 rewrites the .err files.
. tests/lib.sh
cd "$root/tests/golden/diag" || exit 1
for id in $(sed -n 's/^DIAG([A-Z_0-9]*, *"\(E[0-9]*\)".*/\1/p' "$root/base/diag.def"); do
    expect 0 "^$id" "$netc" explain "$id"
    if [ ! -f "$id.net" ]; then
        echo "FAILED: $id has no test tests/golden/diag/$id.net"
        failed=$((failed + 1))
        continue
    fi
    args=$(sed -n '1s/^# args: *//p' "$id.net")
    # shellcheck disable=SC2086
    NO_COLOR=1 "$netc" ${args:-check} "$id.net" 2>"$work/err" >/dev/null
    [ -n "${UPDATE-}" ] && cp "$work/err" "$id.err"
    holds "$id.err is what netc says" diff "$id.err" "$work/err"
    holds "$id is among the messages" grep -q "\[$id\]" "$work/err"
done
finish
