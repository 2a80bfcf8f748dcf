/* What is fused with what, what is stored where: the shape of kernels, not their numbers. */
#include "tests/unit/kernel_util.h"

static const char CONV[] =
    "graph g(n<=3) { %x = input data \"x\" : f32[n,8,12,12]\n %w = param \"w\" : f32[6,8,5,5]\n %b = param \"b\" : f32[6]\n"
    "%y = comp [b,o,i,j | c<8,r<5,s<5] sum mul(%w[o,c,r,s], %x[b,c,i+r,j+s]) : f32[n,6,8,8]\n"
    "%a = comp [b,o,i,j] map add(%y[b,o,i,j], %b[o]) : f32[n,6,8,8]\n"
    "%m = comp [b,o,i,j | r<2,s<2] max %a[b,o,2*i+r,2*j+s] : f32[n,6,4,4]\n"
    "%k = comp [b,o,i,j | r<2,s<2] argmax %a[b,o,2*i+r,2*j+s] : i32[n,6,4,4]\n"
    "%z = comp [b,o,i,j] map max(%m[b,o,i,j], 0) : f32[n,6,4,4]\n"
    "%d = comp [b,o,i,j] map sel(lt(0, %z[b,o,i,j]), 1, 0) : f32[n,6,4,4]\n";
static const char BACK[] =
    "%g = comp [b,o,p,q | r<2,s<2 ; i=(p-r)/2<4,j=(q-s)/2<4] sum sel(eq(idx(2*r+s), %k[b,o,i,j]), %d[b,o,i,j], 0) : f32[n,6,8,8]\n"
    "%dw = comp [o,c,r,s | b<n,i<8,j<8] sum mul(%g[b,o,i,j], %x[b,c,i+r,j+s]) : f32[6,8,5,5]\n"
    "%db = comp [o | b<n,i<8,j<8] sum %g[b,o,i,j] : f32[6]\n"
    "%w1 = comp [o,c,r,s] map sub(%w[o,c,r,s], mul(0.1, %dw[o,c,r,s])) : f32[6,8,5,5]\n"
    "%b1 = comp [o] map sub(%b[o], mul(0.1, %db[o])) : f32[6]\n";

static Kernels *kernels_of(Arena *a, const char *text, int level, const char *off) {
    KtLayout     *l = ARENA_NEW(a, KtLayout);
    KernelOptions o = {.level = level, .off = off, .place = kt_place, .cx = l};
    Target        t;
    const char   *why;
    l->a = a;
    target_row(&t, TARGET_AVX512);
    Kernels *k = kernels_build(a, ir_good(a, text), &t, &o);
    if (!kernels_check_plan(k, a, &why)) fail_msg("%s", why);
    return k;
}

/* Is any tensor of more than `count` numbers stored in the arena? */
static bool stores_more(const Kernels *k, int64_t count) {
    for (int i = 0; i < k->nnest; i++)
        for (int s = 0; s < k->nest[i]->nstore; s++)
            if (type_count(&k->nest[i]->store[s].node->type) > count) return true;
    return false;
}

static void convolution_with_pooling_is_one_nest(void **state) {
    (void)state;
    Arena      *a = arena_new();
    const char *text = arena_printf(a, "%sout z = %%z\n out k = %%k\n}", CONV);
    Kernels    *k = kernels_of(a, text, 2, NULL);
    assert_int_equal(k->nnest, 1);
    assert_int_equal(k->nest[0]->nstage, 3);
    assert_int_equal(k->nest[0]->nstore, 2);
    assert_false(stores_more(k, 3 * 6 * 4 * 4));
    assert_int_equal(kernels_of(a, text, 2, "pool")->nnest, 2);
    assert_int_equal(kernels_of(a, text, 2, "pool,epilogue")->nnest, 4);
    assert_int_equal(kernels_of(a, text, 0, NULL)->nnest, 5);
    arena_free(a);
}

/* Neither direction stores the unpooled image; updates go over the old values, from the nests that make the gradients. */
static void training_step(void **state) {
    (void)state;
    Arena      *a = arena_new();
    const char *text = arena_printf(a, "%s%s set %%w = %%w1\n set %%b = %%b1\n}", CONV, BACK);
    Kernels    *k = kernels_of(a, text, 2, NULL);
    for (int i = 0; i < k->nnest; i++)
        for (int s = 0; s < k->nest[i]->nstore; s++) {
            const Type *t = &k->nest[i]->store[s].node->type;
            assert_false(t->rank == 4 && t->dim[2].size == 8);
        }
    for (int i = 0; i < k->graph->outs.n; i++) assert_int_equal(k->place[k->graph->outs.at[i].value->id].space, SPACE_WEIGHTS);
    assert_true(kernels_of(a, text, 2, "update")->nnest > k->nnest);
    assert_true(stores_more(kernels_of(a, text, 2, "unpool"), 3 * 6 * 8 * 8 - 1));
    arena_free(a);
}

/* The old value is read after the new one is there, or elsewhere in it: through the arena, and a copy at the end. */
static void updates_that_must_wait(void **state) {
    (void)state;
    Arena   *a = arena_new();
    Kernels *k = kernels_of(a, "graph g() { %p = param \"p\" : f32[40]\n %q = param \"q\" : f32[40]\n"
                               "%r = comp [i] map mul(2, %p[39-i]) : f32[40]\n"
                               "%s = comp [i] map add(%q[i], %r[i]) : f32[40]\n set %p = %r\n set %q = %s\n}", 2, NULL);
    assert_int_equal(k->place[k->graph->outs.at[1].value->id].space, SPACE_WEIGHTS);
    bool copied = false;
    for (int i = 0; i < k->nnest; i++)
        for (int s = 0; s < k->nest[i]->nstore; s++) copied |= k->place[k->nest[i]->store[s].node->id].space == SPACE_ARENA;
    assert_true(copied);
    arena_free(a);
}

static void a_softmax_row_is_one_nest(void **state) {
    (void)state;
    Arena      *a = arena_new();
    const char *text = "graph g(n<=7) { %z = input data \"z\" : f32[n,10]\n %y = input data \"y_9\" : i32[n]\n"
                       "%m = comp [b | k<10] max %z[b,k] : f32[n]\n"
                       "%s = comp [b | k<10] sum exp(sub(%z[b,k], %m[b])) : f32[n]\n"
                       "%l = comp [b] map sub(add(log(%s[b]), %m[b]), %z[b,{%y[b]}]) : f32[n]\n out l = %l\n}";
    assert_int_equal(kernels_of(a, text, 2, NULL)->nnest, 1);
    assert_int_equal(kernels_of(a, text, 2, "rows")->nnest, 2);
    arena_free(a);
}

static bool reads(const Kernels *k, const char *store, const char *leaf) {
    for (int i = 0; i < k->nnest; i++) {
        const Nest *n = k->nest[i];
        bool        here = false, read = false;
        for (int s = 0; s < n->nstore; s++) here |= !strcmp(n->store[s].node->name, store);
        for (int a = 0; a < n->naccess; a++)
            read |= n->access[a].node && n->access[a].node->op == OP_INPUT && !strcmp(n->access[a].node->u.input.key, leaf);
        if (here && read) return true;
    }
    return false;
}

/* The bias gradient reads what the weight gradient reads, not the operands of the mask; only while it is stored. */
static void sums_of_a_stored_map(void **state) {
    (void)state;
    Arena      *a = arena_new();
    const char *text = "graph g(n<=9) { %z = input data \"z\" : f32[n,20]\n %d = input data \"d\" : f32[n,20]\n"
                       "%x = input data \"x\" : f32[n,30]\n"
                       "%m = comp [b,i] map sel(lt(0, %z[b,i]), %d[b,i], 0) : f32[n,20]  # mask\n"
                       "%w = comp [i,k | b<n] sum mul(%m[b,i], %x[b,k]) : f32[20,30]  # weights\n"
                       "%s = comp [i | b<n] sum sel(lt(0, %z[b,i]), %d[b,i], 0) : f32[20]  # bias\n"
                       "%r = comp [b | i<20] max sel(lt(0, %z[b,i]), %d[b,i], 0) : f32[n]  # rows\n"
                       "%t = comp [i | b<n] sum sel(lt(0, %d[b,i]), %z[b,i], 0) : f32[20]  # other\n"
                       "out w = %w\n out s = %s\n out r = %r\n out t = %t\n}";
    Kernels *k = kernels_of(a, text, 2, NULL);
    assert_false(reads(k, "bias", "z"));
    assert_false(reads(k, "rows", "z"));
    assert_true(reads(k, "other", "z"));
    assert_true(reads(kernels_of(a, text, 2, "reuse"), "bias", "z"));
    kt_check(text, 5);
    arena_free(a);
}

/* The checker of plans can say no. */
/* A chain of layers over a batch beyond the caches; what only they use lives in a thread's first rows. */
static void layers_of_a_large_batch_are_a_chain(void **state) {
    (void)state;
    Arena      *a = arena_new();
    const char *text = "graph g(n<=64) { %x = input data \"x\" : f32[n,16,32,32]\n %w = param \"w\" : f32[16,16,3,3]\n"
                       "%1 = comp [b,o,i,j | c<16,r<3,s<3] sum mul(%w[o,c,r,s], %x?[b,c,i+r-1,j+s-1]) : f32[n,16,32,32]\n"
                       "%2 = comp [b,o,i,j | c<16,r<3,s<3] sum mul(%w[o,c,r,s], %1?[b,c,i+r-1,j+s-1]) : f32[n,16,32,32]\n"
                       "%3 = comp [o | b<n,i<32,j<32] sum %2[b,o,i,j] : f32[16]\n out y = %2\n out s = %3\n}";
    Kernels *k = kernels_of(a, text, 2, NULL);
    if (k->nchain != 1) kernels_print(k, stderr);
    assert_int_equal(k->nchain, 1);
    assert_int_equal(k->chain[0].count, 4);             /* two frames, two convolutions */
    assert_true(k->nnest > 4);
    int local = 0;
    for (int i = 0; i < k->graph->nodes.n; i++) local += k->local[i] != NULL;
    assert_int_equal(local, 2);                         /* the frames, one after the other in one memory */
    int64_t at = -1;
    for (int i = 0; i < k->graph->nodes.n; i++) {
        if (!k->local[i]) continue;
        assert_true(at < 0 || k->place[i].offset == at);
        at = k->place[i].offset;
    }
    for (int i = 1; i < 4; i++) assert_false(k->nest[i]->barrier);
    assert_int_equal(kernels_of(a, text, 2, "chain")->nchain, 0);
    arena_free(a);
}

/* The nest that stores a tensor of so many numbers first. */
static int nest_storing(const Kernels *k, int64_t count) {
    for (int i = 0; i < k->nnest; i++)
        if (type_count(&k->nest[i]->store[0].node->type) == count) return i;
    fail_msg("no nest stores %lld numbers", (long long)count);
    return -1;
}

/* A sum over the batch in the middle of a chain runs behind it, a small nest that needs nothing of it before it. */
static void a_chain_passes_over_nests(void **state) {
    (void)state;
    Arena      *a = arena_new();
    const char *text = "graph g(n<=64) { %x = input data \"x\" : f32[n,16,32,32]\n %w = param \"w\" : f32[16,16,3,3]\n"
                       "%1 = comp [b,o,i,j | c<16,r<3,s<3] sum mul(%w[o,c,r,s], %x?[b,c,i+r-1,j+s-1]) : f32[n,16,32,32]\n"
                       "%2 = comp [o,i | b<n,j<32] sum %1[b,o,i,j] : f32[16,32]\n"
                       "%3 = comp [o | c<16,r<3,s<3] max %w[o,c,r,s] : f32[16]\n"
                       "%4 = comp [b,o,i,j | c<16,r<3,s<3] sum mul(%w[o,c,r,s], %1?[b,c,i+r-1,j+s-1]) : f32[n,16,32,32]\n"
                       "%5 = comp [b,o,i,j] map mul(%4[b,o,i,j], %3[o]) : f32[n,16,32,32]\n"
                       "out y = %5\n out s = %2\n}";
    Kernels *k = kernels_of(a, text, 2, "winograd");
    if (k->nchain != 1) kernels_print(k, stderr);
    assert_int_equal(k->nchain, 1);
    const Chain *c = &k->chain[0];
    assert_int_equal(c->count, 4);                      /* two frames, two convolutions */
    assert_true(nest_storing(k, 16) < c->first);
    assert_true(nest_storing(k, 16 * 32) >= c->first + c->count);
    arena_free(a);
}

/* Where a guard fails the first number of a tensor may be read: such a tensor does not move with the turns. */
static void what_guards_read_stays_in_place(void **state) {
    (void)state;
    Arena      *a = arena_new();
    const char *text = "graph g(n<=64) { %x = input data \"x\" : f32[n,16,32,32]\n %w = param \"w\" : f32[16,3]\n"
                       "%1 = comp [b,o,i,j | r<3] sum mul(%w[o,r], %x?[b,o,i+r-1,j]) : f32[n,16,32,32]\n"
                       "%2 = comp [b,o,i,j | r<3] sum mul(%w[o,r], %1?[b,o,i+r-1,j]) : f32[n,16,32,32]\n"
                       "%3 = comp [b | o<16,i<32,j<32] sum %2[b,o,i,j] : f32[n]\n out s = %3\n}";
    Kernels *k = kernels_of(a, text, 2, "pack");
    assert_int_equal(k->nchain, 1);
    for (int i = 0; i < k->nnest; i++)
        for (int r = 0; r < k->nest[i]->naccess; r++) {
            const Access *read = &k->nest[i]->access[r];
            if (read->node && read->nguard) assert_null(k->local[read->node->id]);
        }
    arena_free(a);
}

static void overlaps_are_found(void **state) {
    (void)state;
    Arena      *a = arena_new();
    const char *why = NULL;
    Kernels    *k = kernels_of(a, "graph g() { %p = param \"p\" : f32[40]\n %x = comp [i] map exp(%p[i]) : f32[40]\n"
                                  "%y = comp [i] map mul(%x[i], %x[39-i]) : f32[40]\n"
                                  "%z = comp [i] map add(%x[i], %y[39-i]) : f32[40]\n out z = %z\n}", 0, NULL);
    Place   *second = &k->place[k->nest[1]->store[0].node->id];
    Buffer  *first = k->place[k->nest[0]->store[0].node->id].buffer, *b = second->buffer;
    int64_t  offset = b->offset, at = second->offset;
    b->offset = first->offset;
    assert_false(kernels_check_plan(k, a, &why));
    assert_non_null(strstr(why, "overlap"));
    b->offset = k->arena_size - 64;
    assert_false(kernels_check_plan(k, a, &why));
    b->offset = offset;
    second->offset = at + b->size;
    assert_false(kernels_check_plan(k, a, &why));
    assert_non_null(strstr(why, "outside"));
    second->offset = at;
    assert_true(kernels_check_plan(k, a, &why));
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolution_with_pooling_is_one_nest), cmocka_unit_test(training_step),
        cmocka_unit_test(updates_that_must_wait), cmocka_unit_test(a_softmax_row_is_one_nest),
        cmocka_unit_test(layers_of_a_large_batch_are_a_chain), cmocka_unit_test(what_guards_read_stays_in_place),
        cmocka_unit_test(a_chain_passes_over_nests), cmocka_unit_test(overlaps_are_found),
        cmocka_unit_test(sums_of_a_stored_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
