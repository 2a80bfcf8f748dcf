# The two views of recurrent networks: tests/golden/views/NAME.net beside what graphviz is given (NAME.cell.dot,
# NAME.unrolled.dot; UPDATE=1 writes them); the same as a picture; wrong options. One function's graph as text.
. tests/lib.sh
for net in "$root"/tests/golden/views/*.net; do
    for view in cell unrolled; do
        want=${net%.net}.$view.dot
        holds "$net $view" "$netc" graph "$net" --view=$view -o x.dot
        [ -n "$UPDATE" ] && cp x.dot "$want"
        diff -u "$want" x.dot
        holds "$net $view is as recorded" cmp -s "$want" x.dot
        holds "$net $view as a picture" "$netc" graph "$net" --view=$view -o x.svg
        drawn=$(grep -c 'stroke="#333333"/>' x.svg)
        holds "every box of $net $view" test "$drawn" = "$(grep -c fillcolor x.dot)"
        holds "text of $net $view" test "$(grep -c '<text' x.svg)" = "$(grep -c '</text>' x.svg)"
        holds "the end of $net $view" test "$(tail -1 x.svg)" = "</svg>"
    done
done
net=$root/tests/golden/views/rnn.net
expect 0 "t = 4" "$netc" graph "$net" --view=unrolled --steps 5
expect 2 "cell or unrolled" "$netc" graph "$net" --view=spiral
for bad in 0 201 x; do expect 2 "whole number" "$netc" graph "$net" --view=unrolled --steps $bad; done
expect 2 "unrolled" "$netc" graph "$net" --steps 3
expect 2 "view" "$netc" graph "$net" -o y.svg
expect 0 '' "$netc" compile "$net" --function eval --emit=ir -o eval
holds "the graph of eval" grep -q '^graph eval(' eval.ir
holds "no other graph" test "$(grep -c '^graph' eval.ir)" = 1
expect 2 "no function 'evil'" "$netc" compile "$net" --function evil --emit=ir
expect 2 "no function 'evil'" "$netc" graph "$net" --function evil
expect 2 "goes with --emit=ir" "$netc" compile "$net" --function eval
finish
