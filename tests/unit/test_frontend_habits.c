/* What users of other tools write first: the one message says how it is said here, and nothing follows from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "frontend/frontend.h"

static const struct {
    const char *text;
    int         line, col;
    const char *message;           /* a part of the first message and its note */
} CASES[] = {
    {"def f(x):\n    return x\n", 1, 5, "a function is 'fn f(x) = ...'"},
    {"import torch\n", 1, 8, "the library is always there"},
    {"model M { objective(x: [4]) { y = x\n for i in range(3) { y = relu(y) }\n loss sum(y) } }\n", 2, 6,
     "'repeat i in 0:3 { ... }' repeats statements"},
    {"model M { objective(x: [4]) { loss sum(x |> Linear(4, 2)) } }\n", 1, 45, "it is called 'Dense' here"},
    {"model M { objective(x: [1,8,8]) { loss sum(x |> nn.Conv2d(4, 3)) } }\n", 1, 49, "without a prefix"},
    {"model M { objective(x: [1,8,8]) { loss sum(x |> MaxPool2d(2)) } }\n", 1, 49, "did you mean 'maxpool'"},
    {"model M { objective(x: [4]) { loss cross_entropy(x, 1) } }\n", 1, 36, "it is called 'xent' here"},
    {"model M { objective(x: [4]) { loss sum(x |> Dense(3, activation=1)) } }\n", 1, 65, "it has n, bias"},
    {"model M { objective(x: [4]) { loss sum(x ** 2) } }\n", 1, 43, "a power is x^2"},
    {"model M { objective(x: [4]) { y = x; y += 1; loss sum(y) } }\n", 1, 40, "a new value is given by 'x = x + 1'"},
    {"model M { objective(x: f32) { loss x if x > 0 else 0 } }\n", 1, 38, "a choice is 'if c then a else b'"},
    {"model M { objective(x: f32) { loss if x > 0 && x < 1 then x else 0 } }\n", 1, 45, "'and' joins conditions"},
    {"// a comment\n", 1, 1, "a comment begins with '#'"},
    {"model M { objective(x: [4]) { loss sum(x[:-1]) } }\n", 1, 43, "count from the beginning"},
    {"model M { objective(x: [4]) { loss x[-1] } }\n", 1, 38, "the first entry is 0, the last 3"},
    {"model M { objective(x: [4]) { loss x[4] } }\n", 1, 38, "the first entry is 0, the last 3"},
    {"model M { objective(x: [4]) { loss x.sum() } }\n", 1, 37, "a function comes first: sum(x)"},
    {"model M { objective(x: [3,4]) { loss sum(sum(x, axis=1)) } }\n", 1, 45, "sum[j](x[i,j]) goes over the dim of j"},
    {"model M { objective(x: float[4]) { loss sum(x) } }\n", 1, 24, "the number type is f32"},
    {"model M { objective(x: [B,4]) { loss sum(x) } }\n", 1, 25, "unknown dim 'B'"},
    {"model M { objective(x: [1,9,9]) { loss sum(x |> Dense(4)) } }\n", 1, 44, "flatten makes a vector of [1, 9, 9]"},
    {"dim T <= 9\nmodel M { objective(x: [T,3]) { loss sum(x |> Dense(4)) } }\n", 2, 42, "at every place of T"},
    {"model M { objective(x: [3,4], b: [4]) { loss sum(x + b) } }\n", 1, 52, "an equation says which"},
    {"model M { objective(x: [4]) { loss sum(x |> dropout(1.5)) } }\n", 1, 52, "from 0 to 1"},
    {"dim N = 0\nmodel M { objective(x: [N]) { loss sum(x) } }\n", 1, 9, "a dim has at least 1, this is 0"},
    {"model M { objective(x: [2147483647,2147483647]) { loss sum(x) } }\n", 1, 21, "more than 2^40 elements"},
    {"model M { c = Lstm(3); objective(x: [4], h: [3]) { a, b = c(x, h); loss sum(a) } }\n", 1, 60,
     "Lstm lacks its argument 'c'"},
    {"dim Kind = 4\nmodel M { objective(x: [Kind]) { loss sum(x) }\n entry e(x: [Kind]) -> Kimd = argmax(x) }\n", 3, 24,
     "did you mean 'Kind'"},
    {"dim Kind = 4\nmodel M { objective(x: [Kind]) { loss sum(x) }\n entry e(x: [Kind]) -> [Kimd] = x }\n", 3, 25,
     "did you mean 'Kind'"},
    {"data D(x: [4]) { train = csv(\"x.csv\") |> batch(32) }\n", 1, 42, "size of batches is set in the train block"},
    {"x = 3\n", 1, 1, "an equation cannot stand at the top of a file"},
};

static void each_says_what_to_do(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        Arena *a = arena_new();
        Diag  *d = diag_new(a);
        Program *p = program_load_text(a, d, "x.net", CASES[i].text, NULL);
        if (p) program_check(p);
        if (!d->list.n) fail_msg("no message: %s", CASES[i].text);
        const Message *m = &d->list.at[0], *last = &d->list.at[d->list.n - 1];
        bool said = strstr(m->text, CASES[i].message) || strstr(last->text, CASES[i].message);
        if (!said || m->loc.line != CASES[i].line || m->loc.col != CASES[i].col)
            fail_msg("%s%d:%d: %s\n(due at %d:%d: %s)", CASES[i].text, m->loc.line, m->loc.col, m->text, CASES[i].line,
                     CASES[i].col, CASES[i].message);
        if (d->errors != 1) fail_msg("%s%d messages", CASES[i].text, d->errors);
        arena_free(a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_says_what_to_do)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
