/* Programs of tests/golden/reference with the numbers that the executable reference of the language
 * gives for them (f64): lines "what key count numbers..", what = param, input, eval, train, grad, state,
 * entry. */
#ifndef NETC_TESTS_REFERENCE_H
#define NETC_TESTS_REFERENCE_H
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frontend/frontend.h"

static const char *const REFERENCE[] = {
    "layernorm", "positional_table_first_slice", "repeat_with_instances_unnamed", "user_dim_named_like_std_var",
    "residual_over_named_dims", "newline_continuation", "tie_at_relu_and_max", "own_loss_and_own_optimiser",
    "mnist_small", "batch_norm", "batch_map", "frames", "functions",
    "multihead_causal_ragged", "decoder_attention_in_scan", "cell_with_index_equations", "branch_on_ragged_length",
    "conv_and_pool_over_time", "scan_in_a_map", "one_to_many_many_to_one",
    "sequence_cells", "language_model", "translate", "clips", "nested_scans",
    "nested_state", "map_scan", "both_ways", "repeat_scan", "until", "attention_scan", "derived",
    "static_scan", "batchnorm_time", "pairs", "vocab", "stacked_mix", "carry_from_seq", "gates",
    "until_scalar", "ragged_conv_scan", "drop_first", "two_models", "three_deep", "draw",
    "viterbi", "ctc", "choices_carried", "outer_step_guarded", "memory", "flow",
};
enum { NREFERENCE = sizeof REFERENCE / sizeof *REFERENCE, PADDING = 2 };

typedef struct {
    char    what[24], key[64];
    int64_t n;
    double *value, *padded;        /* padded: rows that are not there behind those that are */
} Record;

typedef struct {
    Arena  *arena;
    Diag   *diag;
    Program *program;
    int64_t rows;
    VEC(Record) list;
} Reference;

static inline Record *find_record(Reference *r, const char *what, const char *key) {
    for (int i = 0; i < r->list.n; i++)
        if (!strcmp(r->list.at[i].what, what) && !strcmp(r->list.at[i].key, key)) return &r->list.at[i];
    return NULL;
}

static inline void read_records(Reference *r, const char *path) {
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "batch %ld", &r->rows), 1);
    Record x;
    while (fscanf(f, "%23s %63s %ld", x.what, x.key, &x.n) == 3) {
        int64_t pad = x.n / r->rows * PADDING;
        x.value = ARENA_ARRAY(r->arena, double, x.n);
        x.padded = ARENA_ARRAY(r->arena, double, x.n + pad);
        for (int64_t i = 0; i < x.n; i++) assert_int_equal(fscanf(f, "%lf", &x.value[i]), 1);
        memcpy(x.padded, x.value, sizeof(double) * (size_t)x.n);
        for (int64_t i = 0; i < pad; i++) x.padded[x.n + i] = NAN;
        vec_push(r->arena, &r->list, x);
    }
    fclose(f);
}

/* Every vocabulary has 5 symbols. */
static inline bool reference_vocab(void *cx, const DimInfo *d, int64_t *size, const char **why) {
    (void)cx, (void)d, (void)why;
    *size = 5;
    return true;
}

static inline Reference reference_load(const char *name) {
    Reference r = {.arena = arena_new()};
    r.diag = diag_new(r.arena);
    r.program = program_load(r.arena, r.diag, arena_printf(r.arena, SOURCE_DIR "/tests/golden/reference/%s.net", name),
                             &(FrontOptions){.vocab = reference_vocab});
    bool ok = r.program && program_check(r.program);
    diag_print(r.diag, stderr, false);
    assert_true(ok);
    read_records(&r, arena_printf(r.arena, SOURCE_DIR "/tests/golden/reference/%s.txt", name));
    return r;
}

static inline const double *reference_leaf(void *cx, const Node *leaf) {
    Reference *r = cx;
    Record *x = NULL;
    if (leaf->op == OP_PARAM) x = find_record(r, "param", leaf->u.param.key);
    if (leaf->op == OP_INPUT) x = find_record(r, "input", leaf->u.input.key);
    if (leaf->op == OP_STATE) {                      /* states begin with their first value */
        double *v = ARENA_ARRAY(r->arena, double, type_count(&leaf->type));
        for (int64_t i = 0; i < type_count(&leaf->type); i++) v[i] = leaf->u.state.init;
        return v;
    }
    if (!x) return NULL;
    return leaf->op == OP_INPUT ? x->padded : x->value;
}

/* Runs g and compares its outputs with the records `what`; `prefix` of the output's name is left out. */
static inline int reference_compare(Reference *r, Graph *g, const char *what, const char *prefix) {
    const char *why = "";
    if (!graph_verify(g, &why)) fail_msg("%s", why);
    InterpEnv env = {.leaf = reference_leaf, .cx = r, .seed = 1, .bound = {0, r->rows}};
    for (int i = 2; i < g->bounds.n; i++) {          /* of a ragged dim: the longest length */
        Record *x = find_record(r, "input", g->bounds.at[i].name);
        for (int64_t k = 0; x && k < x->n; k++)
            if ((int64_t)x->value[k] > env.bound[i]) env.bound[i] = (int64_t)x->value[k];
    }
    double **out = interp_run(r->arena, g, &env);
    int compared = 0;
    for (int i = 0; i < g->outs.n; i++) {
        const char *name = g->outs.at[i].name;
        size_t n = strlen(prefix);
        Record *x = strncmp(name, prefix, n) ? NULL : find_record(r, what, name + n);
        for (int64_t k = 0; x && k < x->n; k++)
            if (!isnan(x->value[k]) && !(fabs(out[i][k] - x->value[k]) <= 1e-8 * (1 + fabs(x->value[k]))))
                fail_msg("%s %s[%ld] is %.12g, the reference has %.12g", g->name, name, (long)k, out[i][k],
                         x->value[k]);
        compared += x != NULL;
    }
    return compared;
}

static inline int count_records(Reference *r, const char *what) {
    int n = 0;
    for (int i = 0; i < r->list.n; i++) n += !strcmp(r->list.at[i].what, what);
    return n;
}

#endif
