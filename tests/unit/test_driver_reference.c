/* The programs of the executable reference as machine code: losses, metrics, states, gradients and results against the
 * recorded f64 numbers, at -O0 and -O2, with the same bits at 1, 2 and 3 threads. What a run must not read is NaN. */
#include "reference.h"

#include "passes/pass.h"
#include "tests/random/compiled.h"

/* Of the largest number of a record. */
static const double TOLERANCE = 3e-5;

static InterpEnv env_of(Reference *r, const Graph *g) {
    InterpEnv env = {.leaf = reference_leaf, .cx = r, .seed = 1, .bound = {0, r->rows}};
    for (int i = 2; i < g->bounds.n; i++) {
        Record *x = find_record(r, "input", g->bounds.at[i].name);
        for (int64_t k = 0; x && k < x->n; k++)
            if ((int64_t)x->value[k] > env.bound[i]) env.bound[i] = (int64_t)x->value[k];
    }
    return env;
}

static char **run(Compiled *c, const InterpEnv *env, uint32_t threads) {
    const char *why;
    char      **out = compiled_run(c, &(RunHow){env, threads, 0x7fc00000, false}, &why);
    if (!out) fail_msg("%s: %s", c->g->name, why);
    return out;
}

/* Output i of the graph against the record x, whose NaN are numbers that nothing says. */
static void compare(const Output *o, const char *got, const Record *x) {
    double scale = 0;
    for (int64_t k = 0; k < x->n; k++)
        if (fabs(x->value[k]) > scale) scale = fabs(x->value[k]);
    for (int64_t k = 0; k < x->n; k++) {
        double y = compiled_number(o->value->type.dtype, got, k);
        if (!isnan(x->value[k]) && !(fabs(y - x->value[k]) <= TOLERANCE * (1e-3 + scale)))
            fail_msg("%s[%ld] is %.9g, the reference has %.12g", o->name, (long)k, y, x->value[k]);
    }
}

/* Compares the outputs called prefix + key with the records `what`; returns how many there are. */
static int compare_all(Reference *r, Compiled *c, char **out, const char *what, const char *prefix) {
    int    n = 0;
    size_t skip = strlen(prefix);
    for (int i = 0; i < c->g->outs.n; i++) {
        const Output *o = &c->g->outs.at[i];
        Record       *x = strncmp(o->name, prefix, skip) ? NULL : find_record(r, what, o->name + skip);
        if (x) compare(o, out[i], x), n++;
    }
    return n;
}

static void same_bits(Compiled *c, const InterpEnv *env, char **one, char **other) {
    for (int i = 0; i < c->g->outs.n; i++) {
        const Type *t = &c->g->outs.at[i].value->type;
        int64_t     size = dtype_size(t->dtype);
        for (int64_t e = 0; e < type_count(t); e++)
            if (compiled_lives(env, t, e) && memcmp(one[i] + e * size, other[i] + e * size, (size_t)size))
                fail_msg("%s %s[%ld]: other bits with more threads", c->g->name, c->g->outs.at[i].name, (long)e);
    }
}

/* Compiles g and runs it; what and prefix as in compare_all, some pairs, ended by NULL. `due`: how many there are. */
static void check(Reference *r, Graph *g, int level, const char *const *what, int due) {
    Target      t;
    const char *why = "";
    target_host(&t);
    passes_run(g, &(PassOptions){.level = level, .verify_each = true, .out = stderr});
    Compiled *c = compiled_new(r->arena, g, &(CompileHow){t.id, level, NULL}, &why);
    if (!c) fail_msg("%s", why);
    InterpEnv env = env_of(r, g);
    char    **one = run(c, &env, 1);
    for (; *what; what += 2) due -= compare_all(r, c, one, what[0], what[1]);
    assert_int_equal(due, 0);
    for (uint32_t threads = 2; threads <= 3; threads++) same_bits(c, &env, one, run(c, &env, threads));
    compiled_free(c);
}

static void check_program(const char *name, int level) {
    static const char *const EVAL[] = {"eval", "", NULL}, *const ENTRY[] = {"entry", "", NULL};
    static const char *const TRAIN[] = {"train", "", "state", "", "grad", "grad.", NULL};
    Reference r = reference_load(name);
    check(&r, program_objective(r.program, false, r.rows + PADDING, r.arena), level, EVAL, count_records(&r, "eval"));
    Graph *g = program_objective(r.program, true, r.rows + PADDING, r.arena);
    passes_prepare(g, &(PassOptions){.level = level, .out = stderr});
    grad_params(g);
    check(&r, g, level, TRAIN, count_records(&r, "train") + count_records(&r, "state") + count_records(&r, "grad"));
    const ModelInfo *m = program_model(r.program);
    for (int k = 0; k < m->nentry; k++) {
        g = program_entry(r.program, k, r.rows + PADDING, r.arena);
        g->outs.at[0].name = m->entry[k].name;
        check(&r, g, level, ENTRY, 1);
    }
    arena_free(r.arena);
}

static void optimized(void **state) {
    (void)state;
    for (int i = 0; i < NREFERENCE; i++) check_program(REFERENCE[i], 2);
}

static void plain(void **state) {
    (void)state;
    for (int i = 0; i < NREFERENCE; i++) check_program(REFERENCE[i], 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(optimized), cmocka_unit_test(plain)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
