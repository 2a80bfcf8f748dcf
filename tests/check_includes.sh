# The folders import one way: base <- ir <- {frontend, passes, codegen} <- driver; runtime imports nothing of
# ours; frontend, passes and codegen never each other. Also: no file above 800 lines, no line above 120 columns.
fail=0
allow() { # FOLDER ALLOWED...
    folder=$1; shift
    pattern=$(printf '%s|' "$folder" "$@")
    bad=$(grep -nE '^#include "' "$folder"/*.c "$folder"/*.h "$folder"/*.def "$folder"/*.l "$folder"/*.y 2>/dev/null |
        grep -vE "#include \"(${pattern%|})/")
    if [ -n "$bad" ]; then echo "$folder may include only: $*"; echo "$bad"; fail=1; fi
}
allow base
allow ir base
allow frontend ir base
allow passes ir base
allow codegen ir base
allow runtime
allow driver frontend passes codegen runtime ir base

for f in $(git ls-files '*.c' '*.h' '*.l' '*.y' 2>/dev/null || find . -name '*.[chly]' -not -path './build/*'); do
    n=$(wc -l < "$f")
    if [ "$n" -gt 800 ]; then echo "$f has $n lines; 800 is the limit"; fail=1; fi
done
wide=$(awk 'length > 120 { print FILENAME ":" FNR }' */*.[chly] */*.def)
if [ -n "$wide" ]; then echo "more than 120 columns:"; echo "$wide"; fail=1; fi
[ $fail = 0 ] && echo "imports and sizes are as they should be"
exit $fail
