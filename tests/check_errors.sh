# Every code of base/diag.def has a wrong program tests/golden/diag/CODE.net whose messages are in CODE.err,
# and `netc explain CODE` explains it. UPDATE=1 rewrites the .err files.
# Lines of a program for this script: "# args: COMMAND OPTIONS" (check if there is none), "# override: name=value".
. tests/lib.sh
golden="$root/tests/golden/diag"
for id in $(sed -n 's/^DIAG([A-Z_0-9]*, *"\([EW][0-9]*\)".*/\1/p' "$root/base/diag.def"); do
    expect 0 "^$id" "$netc" explain "$id"
    if [ ! -f "$golden/$id.net" ]; then
        echo "FAILED: $id has no test tests/golden/diag/$id.net"
        failed=$((failed + 1))
        continue
    fi
    cp "$golden/$id.net" .
    args=$(sed -n 's/^# args: *//p' "$id.net")
    setting=$(sed -n 's/^# override: *//p' "$id.net")
    # shellcheck disable=SC2086
    set -- ${args:-check}
    command=$1
    shift
    # shellcheck disable=SC2086
    NO_COLOR=1 "$netc" "$command" "$id.net" $setting "$@" 2>err >out
    code=$?
    [ -n "${UPDATE-}" ] && cp err "$golden/$id.err"
    holds "$id.err is what netc says" diff "$golden/$id.err" err
    holds "$id is among the messages" grep -q "\[$id\]" err
    case $id in W*) want=0 ;; E07*) want=8 ;; *) want=1 ;; esac
    holds "$id ends with exit code $want, not $code" test "$code" = "$want"
done
finish
