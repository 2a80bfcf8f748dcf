#include "tests/random/campaign.h"

#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "passes/kernels.h"
#include "passes/pass.h"
#include "tests/random/error_bound.h"
#include "tests/random/random_graph.h"
#include "tests/random/random_net.h"

CampaignCount *campaign_count;

/* What the child is doing, for the parent if the child dies. */
static char *doing;
enum { DOING = 512, SECONDS = 300 };

void campaign_start(void) {
    if (campaign_count) return;
    size_t size = sizeof *campaign_count + DOING;
    campaign_count = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    doing = (char *)(campaign_count + 1);
}

/* ---- graphs ----------------------------------------------------------------------------------------------------- */

static Graph *parse(Arena *a, const char *text) {
    Source *src = ARENA_NEW(a, Source);
    *src = (Source){"random.ir", "random.ir", arena_strdup(a, text), strlen(text), false};
    Diag  *d = diag_new(a);
    Graph *g = graph_parse(a, d, src);
    diag_print(d, stderr, false);
    return g;
}

/* The passes before gradients; parameters that nothing needs then are parameters still. */
static void prepare_graph(Arena *a, Graph *g) {
    VEC(Node *) params = {0};
    for (int i = 0; i < g->nodes.n; i++)
        if (g->nodes.at[i]->op == OP_PARAM) vec_push(a, &params, g->nodes.at[i]);
    passes_prepare(g, &(PassOptions){.level = 2, .verify_each = true, .out = stderr});
    for (int i = 0; i < params.n; i++) graph_param(g, params.at[i]->type, params.at[i]->u.param.key);
}

/* `prepare`: with the passes that run before gradients are taken. */
static Graph *make_graph(Arena *a, const Subject *s, bool prepare) {
    if (s->source == FROM_TEXT) return parse(a, s->text);
    Graph *g = s->source == FROM_NET     ? random_net(a, s->seed)
               : s->source == FROM_SCANS ? random_scans(a, s->seed, 2 + (int)(s->seed % 4))
                                         : random_graph(a, s->seed, 3 + (int)(s->seed % 8));
    if (prepare) prepare_graph(a, g);
    if (s->train) random_training(g, s->seed);
    return g;
}

Graph *campaign_graph(Arena *a, const Subject *s) { return make_graph(a, s, false); }

/* ---- one schedule ----------------------------------------------------------------------------------------------- */

typedef struct {
    CompileHow  how;
    bool        passes, prepare;
    const char *pass_off;       /* comma-separated */
} Schedule;

typedef struct {
    const Subject *s;
    Arena         *a;
    RandomLeaves   leaves;
    Graph         *plain;
    int64_t        rows[4];     /* the bounds, where they are larger; 0 = all; ended by -1 */
    Bounded      **want[4];
} Check;

/* Ends the child. */
static void fail(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s: ", doing);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    fflush(stderr);
    _exit(1);
}

static void say(const Schedule *h, const char *what) {
    Target t;
    target_row(&t, h->how.target);
    snprintf(doing, DOING, "-O%d %s fusions off: %s; passes %s%s without %s; %s", h->how.level, t.name,
             h->how.off ? h->how.off : "none", h->prepare ? "before and " : "", h->passes ? "on" : "off",
             h->pass_off ? h->pass_off : "none", what);
}

static InterpEnv env_of(Check *c, int64_t rows) {
    InterpEnv e = {.leaf = net_leaf, .cx = &c->leaves, .seed = c->s->seed, .step = 3};
    for (int i = 1; i < c->plain->bounds.n; i++) e.bound[i] = rows < c->plain->bounds.at[i].size ? rows : 0;
    return e;
}

static void compare(Check *c, int at, char **got) {
    InterpEnv env = env_of(c, c->rows[at]);
    for (int i = 0; i < c->plain->outs.n; i++) {
        const Output *o = &c->plain->outs.at[i];
        for (int64_t e = 0; e < type_count(&o->value->type); e++) {
            if (!compiled_lives(&env, &o->value->type, e)) continue;
            Bounded b = c->want[at][i][e];
            double  y = compiled_number(o->value->type.dtype, got[i], e);
            campaign_count->numbers++;
            campaign_count->unbounded += b.error == INFINITY;
            if (!bound_allows(b, y))
                fail("%s[%lld] is %.9g, the interpreter's %.9g +- %.2g", o->name, (long long)e, y, b.value, b.error);
        }
    }
}

static void same_bits(Check *c, int64_t rows, char **one, char **other, const char *what) {
    InterpEnv env = env_of(c, rows);
    for (int i = 0; i < c->plain->outs.n; i++) {
        const Output *o = &c->plain->outs.at[i];
        int64_t       size = dtype_size(o->value->type.dtype);
        for (int64_t e = 0; e < type_count(&o->value->type); e++)
            if (compiled_lives(&env, &o->value->type, e) &&
                memcmp(one[i] + e * size, other[i] + e * size, (size_t)size))
                fail("%s[%lld]: other bits %s", o->name, (long long)e, what);
    }
}

static char **run(Check *c, const Schedule *h, Compiled *m, int64_t rows, uint32_t threads, uint32_t paint, bool low) {
    InterpEnv   env = env_of(c, rows);
    RunHow      how = {&env, threads, paint, low};
    const char *why;
    say(h, arena_printf(c->a, "%lld rows, %u threads, memory of 0x%08x%s", (long long)rows, threads, paint,
                        low ? ", low" : ""));
    char **got = compiled_run(m, &how, &why);
    if (!got) fail("%s", why);
    campaign_count->runs++;
    return got;
}

static Compiled *compile(Check *c, const Schedule *h) {
    const char *why = "";
    say(h, "compiling");
    Graph      *g = make_graph(c->a, c->s, h->prepare);
    PassOptions po = {.level = 2, .off = h->pass_off, .verify_each = true, .out = stderr};
    if (h->passes) passes_run(g, &po);
    Compiled *m = compiled_new(c->a, g, &h->how, &why);
    if (!m) fail("%s", why);
    campaign_count->compiled++;
    return m;
}

/* All that must not change a bit, for one compiled graph. */
static void check_deeply(Check *c, const Schedule *h) {
    enum { QUIET_NAN = 0x7fc00000, ONES = 0xffffffff, SIGNALLING = 0x7fa00001 };
    Compiled *m = compile(c, h);
    for (int k = 0; c->rows[k] >= 0; k++) {
        char **one = run(c, h, m, c->rows[k], 1, QUIET_NAN, false);
        compare(c, k, one);
        for (uint32_t t = 2; t <= 5; t += t == 3 ? 2 : 1)
            same_bits(c, c->rows[k], one, run(c, h, m, c->rows[k], t, t == 2 ? SIGNALLING : QUIET_NAN, t == 5),
                      "with more threads");
        same_bits(c, c->rows[k], one, run(c, h, m, c->rows[k], 1, 0, true), "over zeros");
        same_bits(c, c->rows[k], one, run(c, h, m, c->rows[k], 1, ONES, false), "over ones");
    }
    if (c->s->object) {
        const char *why = "";
        char      **one = run(c, h, m, 0, 1, QUIET_NAN, false);
        m->fn = compiled_from_object(m, c->s->folder, &why);
        if (!m->fn) fail("%s", why);
        same_bits(c, 0, one, run(c, h, m, 0, 2, QUIET_NAN, false), "from the object file");
    }
    compiled_free(m);
}

static void check_briefly(Check *c, const Schedule *h) {
    Compiled *m = compile(c, h);
    char    **one = run(c, h, m, 0, 1, 0x7fc00000, false);
    compare(c, 0, one);
    same_bits(c, 0, one, run(c, h, m, 0, 3, 0, true), "over zeros with 3 threads");
    if (c->rows[1] > 0) compare(c, 1, run(c, h, m, c->rows[1], 1, 0xffffffff, true));
    compiled_free(m);
}

/* ---- all schedules of a subject ---------------------------------------------------------------------------------- */

static const char *const PASS_NAMES[] = {
#define PASS(name, level, help) #name,
#include "passes/passes.def"
#undef PASS
};
enum { NPASSES = sizeof PASS_NAMES / sizeof *PASS_NAMES };

static int fusions(void) {
    int n = 0;
    while (FUSIONS[n]) n++;
    return n;
}

static TargetId any_target(uint64_t *s) {
    Target t;
    do target_row(&t, (TargetId)random_int(s, 0, TARGET_COUNT - 1));
    while (!target_here(&t));
    return t.id;
}

/* Each name is left out with the probability percent. */
static const char *any_of(Arena *a, uint64_t *s, const char *const *name, int n, int percent) {
    const char *list = NULL;
    for (int i = 0; i < n; i++)
        if (random_int(s, 1, 100) <= percent) list = list ? arena_printf(a, "%s,%s", list, name[i]) : name[i];
    return list;
}

static Schedule any_schedule(Check *c, uint64_t *s) {
    Schedule h = {.how = {any_target(s), (int)random_int(s, 0, 2), NULL}, .passes = random_int(s, 0, 3) > 0,
                  .prepare = random_int(s, 0, 1)};
    h.how.off = any_of(c->a, s, FUSIONS, fusions(), random_int(s, 0, 1) ? 50 : 15);
    if (h.passes) h.pass_off = any_of(c->a, s, PASS_NAMES, NPASSES, 20);
    return h;
}

static void check_all(Check *c) {
    Target t;
    for (int id = 0; id < TARGET_COUNT; id++)
        for (int level = 0; level <= 2; level++)
            for (int off = -1; off < (level ? fusions() : 0); off++) {
                target_row(&t, (TargetId)id);
                if (!target_here(&t)) continue;
                check_briefly(
                    c, &(Schedule){{(TargetId)id, level, off < 0 ? NULL : FUSIONS[off]}, off % 2 != 0, false, NULL});
            }
}

static void make_want(Check *c) {
    int64_t full = 0;
    for (int i = 1; i < c->plain->bounds.n; i++)
        if (c->plain->bounds.at[i].size > full) full = c->plain->bounds.at[i].size;
    c->rows[0] = 0;
    c->rows[1] = full > 1 ? full - 1 : -1;
    c->rows[2] = full > 2 ? 1 : -1;
    c->rows[3] = -1;
    for (int k = 0; c->rows[k] >= 0; k++) {
        InterpEnv env = env_of(c, c->rows[k]);
        c->want[k] = bound_run(c->a, c->plain, &env);
        double **y = interp_run(c->a, c->plain, &env);
        for (int i = 0; i < c->plain->outs.n; i++)
            for (int64_t e = 0; e < type_count(&c->plain->outs.at[i].value->type); e++) {
                if (!compiled_lives(&env, &c->plain->outs.at[i].value->type, e)) continue;
                double x = c->want[k][i][e].value, off = fabs(x - y[i][e]);
                if (!(off <= 1e-9 * (1 + fabs(x))) && !(isnan(x) && isnan(y[i][e])) && x != y[i][e])
                    fail("%s[%lld]: interpreters differ: %.17g and %.17g", c->plain->outs.at[i].name, (long long)e, x,
                         y[i][e]);
            }
    }
}

static void check(const Subject *s) {
    Check c = {.s = s, .a = arena_new()};
    uint64_t state = s->seed;
    Target   host;
    target_host(&host);
    snprintf(doing, DOING, "interpreting");
    c.leaves = (RandomLeaves){c.a, s->seed};
    c.plain = campaign_graph(c.a, s);
    const char *why = "";
    if (!c.plain || !graph_verify(c.plain, &why)) fail("%s", why);
    make_want(&c);
    campaign_count->graphs++;
    check_deeply(&c, &(Schedule){{host.id, 2, NULL}, true, true, NULL});
    check_briefly(&c, &(Schedule){{host.id, 0, NULL}, false, false, NULL});
    for (int i = 0; i < 2; i++) {
        Schedule h = any_schedule(&c, &state);
        check_briefly(&c, &h);
    }
    if (s->all) check_all(&c);
    arena_free(c.a);
}

bool campaign_check(const Subject *s, bool quiet) {
    fflush(NULL);
    strcpy(doing, "starting");
    pid_t child = fork();
    if (child == 0) {
        if (quiet && !freopen("/dev/null", "w", stderr)) _exit(2);
        static const int SIGNALS[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
        for (size_t i = 0; i < sizeof SIGNALS / sizeof *SIGNALS; i++) signal(SIGNALS[i], SIG_DFL);
        alarm(SECONDS);
        check(s);
        _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) return false;
    if (WIFSIGNALED(status) && !quiet)
        fprintf(stderr, "%s: signal %d (%s)\n", doing, WTERMSIG(status), strsignal(WTERMSIG(status)));
    return status == 0;
}
