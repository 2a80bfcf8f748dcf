/* Schedules that are asked for: every kernel of a few graphs under schedules drawn at random gives the interpreter's
 * values, and is printed as it was asked for; what cannot be is told. */
#include "tests/unit/kernel_util.h"

#include "base/str.h"
#include "passes/forced.h"

enum { ROUNDS = 6, TRIES = 40 };

/* Dense layer, softmax, gradients, updates; a map over a turned operand. */
static const char DENSE[] =
    "graph train(n<=11) { %x = input data \"x\" : f32[n,37]\n %w = param \"w\" : f32[19,37]\n"
    "%b = param \"b\" : f32[19]\n"
    "%y = comp [b,o | k<37] sum mul(%w[o,k], %x[b,k]) : f32[n,19]\n"
    "%z = comp [b,o] map max(add(%y[b,o], %b[o]), 0) : f32[n,19]\n"
    "%m = comp [b | o<19] max %z[b,o] : f32[n]\n %a = comp [b | o<19] argmax %z[b,o] : i32[n]\n"
    "%e = comp [b | o<19] sum exp(sub(%z[b,o], %m[b])) : f32[n]\n"
    "%dx = comp [b,k | o<19] sum mul(%w[o,k], %z[b,o]) : f32[n,37]\n"
    "%dw = comp [o,k | b<n] sum mul(%z[b,o], %x[b,k]) : f32[19,37]\n %db = comp [o | b<n] sum %z[b,o] : f32[19]\n"
    "%t = comp [k,b] map mul(2, %dx[b,k]) : f32[37,n]\n"
    "%w1 = comp [o,k] map sub(%w[o,k], mul(0.1, %dw[o,k])) : f32[19,37]\n"
    "out z = %z\n out a = %a\n out e = %e\n out dx = %dx\n out db = %db\n out t = %t\n set %w = %w1\n}";

/* Convolution, activation, pooling with its argmax in one kernel; all gradients of a strided one. */
static const char CONV[] =
    "graph train(n<=3) { %x = input data \"x\" : f32[n,3,14,14]\n %w = param \"w\" : f32[5,3,3,3]\n"
    "%y = comp [b,o,i,j | c<3,r<3,s<3] sum mul(%w[o,c,r,s], %x[b,c,i+r,j+s]) : f32[n,5,12,12]\n"
    "%z = comp [b,o,i,j] map max(%y[b,o,i,j], 0) : f32[n,5,12,12]\n"
    "%p = comp [b,o,i,j | u<2,v<2] max %z[b,o,2*i+u,2*j+v] : f32[n,5,6,6]\n"
    "%q = comp [b,o,i,j | u<2,v<2] argmax %z[b,o,2*i+u,2*j+v] : i32[n,5,6,6]\n"
    "%g = input data \"g\" : f32[n,5,7,7]\n"
    "%dx = comp [b,c,p,q | o<5,r<3,s<3 ; i=(p-r+1)/2<7,j=(q-s+1)/2<7] "
    "sum mul(%w[o,c,r,s], %g[b,o,i,j]) : f32[n,3,14,14]\n"
    "%dw = comp [o,c,r,s | b<n,i<7,j<7] sum mul(%g[b,o,i,j], %x?[b,c,2*i+r-1,2*j+s-1]) : f32[5,3,3,3]\n"
    "out p = %p\n out q = %q\n out dx = %dx\n out dw = %dw\n}";

/* A product in every step of a loop. */
static const char CELL[] =
    "graph train(n<=3, T<=5) {\n %x = input data \"x\" : f32[n,T,9]\n %U = param \"U\" : f32[17,17]\n"
    "%W = param \"W\" : f32[17,9]\n"
    "%h0 = const 0 : f32[n,17]\n %u = comp [t,b,i | d<9] sum mul(%W[i,d], %x[b,t,d]) : f32[T,n,17]\n"
    "%s = scan t<T carry(%h0) over(%u) use(%U) {\n %h = arg 0 : f32[n,17]\n %u = arg 1 : f32[n,17]\n"
    "%U = arg 2 : f32[17,17]\n"
    "%r = comp [b,i | k<17] sum mul(%U[i,k], %h[b,k]) : f32[n,17]\n"
    "%g = comp [b,i] map tanh(add(%u[b,i], mul(0.3, %r[b,i]))) : f32[n,17]\n carry %g\n stack %g\n }\n"
    "%last = result %s, 0 : f32[n,17]\n %hs = result %s, 1 : f32[T,n,17]\n"
    "%y = comp [b | i<17] sum mul(%last[b,i], %last[b,i]) : f32[n]\n"
    "%z = comp [b,t,i] map exp(%hs[t,b,i]) : f32[n,T,17]\n"
    "out y = %y\n out z = %z\n}";

typedef struct {
    uint64_t x;
    Arena   *a;
} Draw;

static int64_t below(Draw *d, int64_t n) {
    d->x ^= d->x << 13, d->x ^= d->x >> 7, d->x ^= d->x << 17;
    return (int64_t)((d->x >> 11) % (uint64_t)n);
}

static void shuffle(Draw *d, int n, int *list) {
    for (int i = n - 1; i > 0; i--) {
        int j = (int)below(d, i + 1), t = list[i];
        list[i] = list[j];
        list[j] = t;
    }
}

static void put_var(Buf *b, const Nest *n, int v, int64_t step, bool always, int *count) {
    buf_printf(b, "%s%s", (*count)++ ? "," : "", nest_var_name(b->arena, n, v));
    if (always ? step > 1 : step < n->var[v].size) buf_printf(b, "/%lld", (long long)step);
}

static bool has(const int *list, int n, int v) {
    for (int i = 0; i < n; i++)
        if (list[i] == v) return true;
    return false;
}

/* Up to two lanes: outs, or reductions; all but the last whole. */
static int draw_lanes(Draw *d, Buf *b, const Nest *n, const Stage *s, int width, int *lane, int64_t *step) {
    int     pool[2 * MAX_VARS], npool = 0, nlane = 0, named = 0;
    bool    across = s && !s->nwin && !s->nguard && below(d, 3) == 0;
    int64_t inner = 1;
    for (int v = 0; v < n->nout && !across; v++)
        if (n->var[v].size > 1 && !n->var[v].apart) pool[npool++] = v;
    for (int i = 0; across && i < s->nred; i++)
        if (n->var[s->red[i]].size > 1) pool[npool++] = s->red[i];
    shuffle(d, npool, pool);
    for (int i = 0; i < npool && i < 1 + below(d, 2); i++) {
        int v = pool[i];
        if (nlane && (step[lane[nlane - 1]] < n->var[lane[nlane - 1]].size || n->var[lane[nlane - 1]].bound)) break;
        if (inner * n->var[v].size > 3 * width && nlane) break;
        int64_t most = n->var[v].size < 3 * width ? n->var[v].size : 3 * width;
        lane[nlane++] = v;
        step[v] = nlane == 1 && below(d, 2) ? most : 1 + below(d, most);
        inner *= step[v];
    }
    if (nlane) buf_puts(b, ":lanes=");
    for (int i = 0; i < nlane; i++) put_var(b, n, lane[i], step[lane[i]], false, &named);
    if (nlane && width > 1) buf_printf(b, ":width=%d", width);
    return nlane;
}

static void draw_loops(Draw *d, Buf *b, const Nest *n, const char *title, int count, const int *vars,
                       const int64_t *step, bool steps) {
    int list[MAX_VARS], m = 0, named = 0;
    for (int i = 0; i < count; i++)
        if (n->var[vars[i]].size > 1) list[m++] = vars[i];
    shuffle(d, m, list);
    if (m) buf_puts(b, title);
    for (int i = 0; i < m; i++) put_var(b, n, list[i], steps ? step[list[i]] : 1, true, &named);
}

/* A schedule for the nest, in the form in which it would be printed; it may be one that cannot be. */
static const char *draw_schedule(Draw *d, const Kernels *k, const Nest *n) {
    Buf          b = buf_new(d->a);
    const Stage *s = n->nstage ? &n->stage[nest_main_stage(n)] : NULL;
    int          lane[MAX_LANE_VARS], outs[MAX_VARS], shared = 0, named = 0;
    int64_t      step[MAX_VARS];
    for (int v = 0; v < MAX_VARS; v++) step[v] = 1, outs[v] = v;
    buf_puts(&b, kernel_name(d->a, k, n));
    int width = k->target.width >> below(d, 2), nlane = draw_lanes(d, &b, n, s, width, lane, step);
    for (int v = 0; v < n->nout; v++) {
        if (n->var[v].size < 2 || has(lane, nlane, v) || below(d, 2)) continue;
        step[v] = n->var[v].apart || below(d, 4) == 0 ? n->var[v].size : 1 + below(d, n->var[v].size < 5
                                                                                   ? n->var[v].size : 5);
        if (step[v] > 1 && !named) buf_puts(&b, ":tile=");
        if (step[v] > 1) put_var(&b, n, v, step[v], false, &named);
    }
    draw_loops(d, &b, n, ":order=", n->nout, outs, step, false);
    for (int i = 0; s && i < s->nred; i++)
        if (!has(lane, nlane, s->red[i]) && below(d, 3) == 0)
            step[s->red[i]] = 1 + below(d, n->var[s->red[i]].size < 9 ? n->var[s->red[i]].size : 4);
    if (s) draw_loops(d, &b, n, ":over=", s->nred, s->red, step, true);
    if (s && s->kind == KIND_SUM && below(d, 3) == 0) buf_puts(&b, ":chains=2");
    if (n->cut_var >= 0 && s && !has(lane, nlane, n->cut_var) && below(d, 2)) {
        buf_puts(&b, ":cut=");
        named = 0;
        put_var(&b, n, n->cut_var, 1 + below(d, n->var[n->cut_var].size - 1), false, &named);
        if (below(d, 2)) buf_puts(&b, ":inside");
    }
    while (shared < n->nloop && !n->var[n->loop[shared]].apart && below(d, 2)) shared++;
    buf_printf(&b, ":shared=%d", shared);
    return b.s;
}

static Kernels *build(Arena *a, const char *text, ForcedSchedules *forced) {
    Target        t = kt_target(&(KernelRun){0});
    KtLayout     *l = ARENA_NEW(a, KtLayout);
    l->a = a;
    KernelOptions o = {.level = 2, .place = kt_place, .cx = l, .forced = forced};
    return kernels_build(a, ir_good(a, text), &t, &o);
}

typedef VEC(const char *) Texts;

static const Nest *find_kernel(Arena *a, const Kernels *k, const char *name, const Kernels **in) {
    for (int i = 0; i < k->nnest; i++) {
        const Nest *n = k->nest[i];
        if (n->kind == NEST_SCAN) {
            const Nest *inside = find_kernel(a, n->scan->body, name, in);
            if (inside) return inside;
        } else if (!strcmp(kernel_name(a, k, n), name)) {
            *in = k;
            return n;
        }
    }
    return NULL;
}

/* A drawn schedule that can be, for every loop nest of k. */
static void draw_all(Draw *d, const char *text, const Kernels *k, Texts *list) {
    for (int i = 0; i < k->nnest; i++) {
        const Nest *n = k->nest[i];
        if (n->kind == NEST_SCAN) draw_all(d, text, n->scan->body, list);
        if (n->kind != NEST_LOOPS || n->adds || n->list.on) continue;
        for (int t = 0; t < TRIES; t++) {
            const char      *schedule = draw_schedule(d, k, n);
            bool             met = false;
            ForcedSchedules  one = {1, &schedule, &met, NULL};
            build(d->a, text, &one);
            assert_true(met);
            if (one.error) continue;
            vec_push(d->a, &list[0], schedule);
            break;
        }
    }
}

static void check_forced(const char *text, uint64_t seed) {
    int drawn = 0;
    for (int round = 0; round < ROUNDS; round++) {
        Draw      d = {seed + 977 * (uint64_t)round, arena_new()};
        Texts     list = {0};
        Kernels  *k = build(d.a, text, NULL);
        draw_all(&d, text, k, &list);
        ForcedSchedules all = {list.n, list.at, ARENA_ARRAY(d.a, bool, list.n + 1), NULL};
        KernelRun       r = {.a = d.a, .level = 2, .rows = round % 2 ? 2 : 0, .forced = &all, .tolerance = 4e-6,
                             .seed = 5, .step = 7};
        kt_check_graph(&r, ir_good(d.a, text), ir_good(d.a, text), arena_printf(d.a, "seed %llu round %d",
                                                                                (unsigned long long)seed, round));
        assert_null(all.error);
        k = build(d.a, text, &all);
        for (int i = 0; i < list.n; i++) {
            const Kernels *in = k;
            const Nest    *n = find_kernel(d.a, k, arena_strndup(d.a, list.at[i], strcspn(list.at[i], ":")), &in);
            assert_non_null(n);
            assert_string_equal(kernel_schedule(d.a, in, n), list.at[i]);
        }
        drawn += list.n;
        arena_free(d.a);
    }
    if (drawn < 2 * ROUNDS) fail_msg("only %d schedules could be", drawn);
}

static void dense_layer(void **state) { (void)state; check_forced(DENSE, 0x9E3779B97F4A7C15u); }
static void convolution(void **state) { (void)state; check_forced(CONV, 0xD1B54A32D192ED03u); }
static void recurrent_cell(void **state) { (void)state; check_forced(CELL, 0xA24BAED4963EE407u); }

/* What is printed may be given back: nothing changes. */
static void printed_schedules_are_taken(void **state) {
    (void)state;
    static const char *const TEXTS[] = {DENSE, CONV};
    for (size_t g = 0; g < sizeof TEXTS / sizeof *TEXTS; g++) {
        Arena   *a = arena_new();
        Kernels *k = build(a, TEXTS[g], NULL);
        Texts    list = {0};
        for (int i = 0; i < k->nnest; i++) vec_push(a, &list, kernel_schedule(a, k, k->nest[i]));
        ForcedSchedules all = {list.n, list.at, ARENA_ARRAY(a, bool, list.n), NULL};
        Kernels *again = build(a, TEXTS[g], &all);
        assert_null(all.error);
        for (int i = 0; i < k->nnest; i++) {
            assert_true(all.met[i]);
            assert_string_equal(kernel_schedule(a, again, again->nest[i]), list.at[i]);
        }
        arena_free(a);
    }
}

/* A mistake in a schedule of the first kernel, and a part of what is said. */
static void mistakes(void **state) {
    (void)state;
    static const char *const WRONG[][2] = {
        {":lines=b", "lanes=, width="},          {":lanes=zz", "there are: b<11"},   {":lanes=o/0", "from 1 to 19"},
        {":lanes=o,k", "not both"},              {":lanes=o:tile=o/2", "beside the lanes"},
        {":lanes=o:tile=b/11:over=k/8", "registers"}, {":over=b", "no reduction"},   {":order=k", "no out"},
        {":order=o,o", "twice"},                 {":shared=9", "from 0 to"},         {":width=3", "power of two"},
        {":chains=0", "from 1 to 8"},            {":cut=o/2", "cut"},                {":list:lanes=o", "no list"},
        {":lanes=b/2,o", "be the last"},         {":inside", "cut="},
    };
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        Arena          *a = arena_new();
        Kernels        *k = build(a, DENSE, NULL);
        bool            met = false;
        const char     *text = arena_printf(a, "%s%s", kernel_name(a, k, k->nest[0]), WRONG[i][0]);
        ForcedSchedules one = {1, &text, &met, NULL};
        build(a, DENSE, &one);
        if (!one.error || !strstr(one.error, WRONG[i][1])) fail_msg("%s: %s", text, one.error ? one.error
                                                                    : "was taken");
        arena_free(a);
    }
}

/* Other names do not match; without fields the kernel stays as it is. */
static void names(void **state) {
    (void)state;
    Arena          *a = arena_new();
    Kernels        *k = build(a, DENSE, NULL);
    const char     *name = kernel_name(a, k, k->nest[0]);
    const char     *text[3] = {"train_0", name, arena_printf(a, "%sx:shared=0", name)};
    bool            met[3] = {false};
    ForcedSchedules three = {3, text, met, NULL};
    Kernels        *again = build(a, DENSE, &three);
    assert_null(three.error);
    assert_false(met[0]);
    assert_true(met[1]);
    assert_false(met[2]);
    assert_string_equal(kernel_schedule(a, again, again->nest[0]), kernel_schedule(a, k, k->nest[0]));
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dense_layer), cmocka_unit_test(convolution), cmocka_unit_test(recurrent_cell),
        cmocka_unit_test(printed_schedules_are_taken),
        cmocka_unit_test(mistakes),    cmocka_unit_test(names),
    };
    return cmocka_run_group_tests_name("kernels/forced", tests, NULL, NULL);
}
