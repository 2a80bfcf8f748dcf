# Every code of base/diag.def has a wrong program tests/golden/diag/CODE.net whose messages are in CODE.err,
# and `netc explain CODE` explains it. UPDATE=1 rewrites the .err files.
. tests/lib.sh
cd "$root/tests/golden/diag" || exit 1
for code in $(sed -n 's/^DIAG([A-Z_0-9]*, *"\(E[0-9]*\)".*/\1/p' "$root/base/diag.def"); do
    expect 0 "^$code" "$netc" explain "$code"
    if [ ! -f "$code.net" ]; then
        echo "FAILED: $code has no test tests/golden/diag/$code.net"
        failed=$((failed + 1))
        continue
    fi
    args=$(sed -n '1s/^# args: *//p' "$code.net")
    # shellcheck disable=SC2086
    NO_COLOR=1 "$netc" ${args:-check} "$code.net" 2>"$work/err" >/dev/null
    [ -n "${UPDATE-}" ] && cp "$work/err" "$code.err"
    holds "$code.err is what netc says" diff "$code.err" "$work/err"
    holds "$code is among the messages" grep -q "\[$code\]" "$work/err"
done
finish
