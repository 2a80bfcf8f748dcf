/* --schedule: a schedule from text, checked against what the generator can do (forced.h has the form). */
#include "passes/forced.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

bool forced_fail(Forced *x, const char *fmt, ...) {
    char    text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (!x->all->error) x->all->error = arena_printf(x->a, "%s: %s", x->kernel, text);
    return false;
}

Forced *forced_find(const Fuse *f, const char *kernel) {
    ForcedSchedules *all = f->o->forced;
    size_t           len = strlen(kernel);
    for (int i = 0; all && i < all->n; i++) {
        const char *text = all->text[i];
        if (strncmp(text, kernel, len) || (text[len] != ':' && text[len])) continue;
        Forced *x = ARENA_NEW(f->a, Forced);
        *x = (Forced){.all = all, .a = f->a, .kernel = kernel, .fields = text[len] ? text + len + 1 : "", .shared = -1};
        all->met[i] = true;
        return x;
    }
    return NULL;
}

/* ---- reading ------------------------------------------------------------------------------------------ */

/* "b<10, c<40" of what has more than one value; reductions of the main stage and its window behind the outs. */
static const char *variables(const Forced *x, const Task *w) {
    Buf b = buf_new(x->a);
    for (int v = 0; v < x->n->nvar; v++) {
        const NestVar *var = &x->n->var[v];
        bool known = v < x->n->nout || task_window(w, v) || task_reduction(w, v);
        if (var->size > 1 && known)
            buf_printf(&b, "%s%s<%lld", b.n ? ", " : "", nest_var_name(x->a, x->n, v), (long long)var->size);
    }
    return b.n ? b.s : "none with more than one value";
}

static int find_var(Forced *x, const Task *w, const char *name, size_t len) {
    for (int v = 0; v < x->n->nvar; v++) {
        const char *label = nest_var_name(x->a, x->n, v);
        bool        known = v < x->n->nout || task_window(w, v) || task_reduction(w, v);
        if (known && x->n->var[v].size > 1 && strlen(label) == len && !strncmp(label, name, len)) return v;
    }
    forced_fail(x, "no variable '%.*s'; there are: %s", (int)len, name, variables(x, w));
    return -1;
}

static bool read_number(Forced *x, const char *what, const char *text, size_t len, int64_t least, int64_t most,
                        int64_t *v) {
    char *end;
    *v = strtoll(text, &end, 10);
    if (len && end == text + len && *v >= least && *v <= most) return true;
    return forced_fail(x, "%s takes a whole number from %lld to %lld, not '%.*s'", what, (long long)least,
                       (long long)most, (int)len, text);
}

/* "V/N": without /N `none` (-1: all values). */
static bool read_var(Forced *x, const Task *w, const char *text, size_t len, int64_t none, int *v, int64_t *step) {
    const char *slash = memchr(text, '/', len);
    size_t      name = slash ? (size_t)(slash - text) : len;
    *v = find_var(x, w, text, name);
    if (*v < 0) return false;
    int64_t size = x->n->var[*v].size;
    *step = none < 0 ? size : none;
    return !slash || read_number(x, nest_var_name(x->a, x->n, *v), slash + 1, len - name - 1, 1, size, step);
}

static bool has(int n, const int *list, int v) {
    for (int i = 0; i < n; i++)
        if (list[i] == v) return true;
    return false;
}

/* lanes= stands first: what is named behind it is added to it. */
static void only_lanes(Forced *x) {
    for (int v = 0; v < x->n->nvar; v++) x->c.step[v] = 1;
    x->c.nlane = 0;
    x->c.across = false;
    x->c.chains = 1;
    x->c.cut = 0;
    x->c.inside = 0;
    x->lanes = x->steps = true;
}

static bool take_lane(Forced *x, const Task *w, int v, int64_t step) {
    bool red = task_reduction(w, v);
    if (x->c.nlane == MAX_LANE_VARS) return forced_fail(x, "at most %d variables can be in the lanes", MAX_LANE_VARS);
    if (x->c.nlane && red != x->c.across)
        return forced_fail(x, "lanes are outs (and the window's), or reductions, not both");
    if (has(x->c.nlane, x->c.lane, v)) return forced_fail(x, "a variable twice in the lanes");
    x->c.across = red;
    x->c.lane[x->c.nlane++] = v;
    x->c.step[v] = step;
    return true;
}

static bool take_tile(Forced *x, int v, int64_t step) {
    if (v >= x->n->nout || has(x->c.nlane, x->c.lane, v))
        return forced_fail(x, "%s is no out beside the lanes; tile= takes those", nest_var_name(x->a, x->n, v));
    x->c.step[v] = step;
    return true;
}

static bool take_order(Forced *x, int v) {
    if (v >= x->n->nout) return forced_fail(x, "%s is no out; order= takes those", nest_var_name(x->a, x->n, v));
    if (has(x->norder, x->order, v)) return forced_fail(x, "%s twice in order=", nest_var_name(x->a, x->n, v));
    x->order[x->norder++] = v;
    return true;
}

static bool take_over(Forced *x, const Task *w, int v, int64_t step) {
    if (!task_reduction(w, v)) return forced_fail(x, "%s is no reduction; over= takes those", nest_var_name(x->a, x->n,
                                                                                                            v));
    if (has(x->nover, x->over, v)) return forced_fail(x, "%s twice in over=", nest_var_name(x->a, x->n, v));
    x->over[x->nover++] = v;
    if (!has(x->c.nlane, x->c.lane, v)) x->c.step[v] = step;
    return true;
}

typedef enum { LANES, TILE, ORDER, OVER, CHAINS, CUT, WIDTH, SHARED, LIST, INSIDE, CHAINED, FIELDS } Field;
static const char *const NAMES[FIELDS] = {"lanes=", "tile=", "order=", "over=", "chains=", "cut=", "width=", "shared=",
                                          "list", "inside", "chained"};

/* Lists of variables begin anew where they are named. */
static void begin(Forced *x, Field f) {
    const Nest *n = x->n;
    if (f == LANES) only_lanes(x);
    if (f == TILE || f == OVER) x->steps = true;
    for (int v = 0; f == TILE && v < n->nout; v++)
        if (!has(x->c.nlane, x->c.lane, v)) x->c.step[v] = 1;
}

static bool take_one(Forced *x, const Task *w, Field f, const char *text, size_t len) {
    int     v;
    int64_t step;
    if (!read_var(x, w, text, len, f == OVER ? 1 : -1, &v, &step)) return false;
    switch (f) {
    case LANES: return take_lane(x, w, v, step);
    case TILE: return take_tile(x, v, step);
    case ORDER: return take_order(x, v);
    case OVER: return take_over(x, w, v, step);
    default: break;
    }
    if (v != x->n->cut_var || step == x->n->var[v].size)
        return x->n->cut_var < 0 ? forced_fail(x, "no reduction of this kernel can be cut into turns")
                                 : forced_fail(x, "cut=%s/N, N below its size, is what can be cut",
                                               nest_var_name(x->a, x->n, x->n->cut_var));
    x->c.cut = step;
    x->c.inside = 0;
    return true;
}

static bool read_field(Forced *x, const Task *w, const char *text, size_t len) {
    int f = 0;
    while (f < FIELDS && strncmp(text, NAMES[f], strlen(NAMES[f]))) f++;
    if (f == FIELDS || (f >= LIST && len != strlen(NAMES[f])))
        return forced_fail(
            x, "'%.*s'? It has lanes=, width=, tile=, order=, over=, chains=, cut=, shared=, list, inside, chained",
            (int)len, text);
    text += strlen(NAMES[f]);
    len -= strlen(NAMES[f]);
    int64_t v = 0;
    bool    ok = true;
    if (f == LIST) return x->list = true;
    if (f == CHAINED) return x->chained = true;
    if (f == INSIDE) {
        x->c.inside = 1;                                /* of the loop that forced_order makes the outermost */
        return true;
    }
    if (f == CHAINS) ok = read_number(x, "chains", text, len, 1, 8, &v), x->c.chains = (int)v;
    else if (f == WIDTH) ok = read_number(x, "width", text, len, 1, 2 * w->t->width, &v), x->width = (int)v;
    else if (f == SHARED) ok = read_number(x, "shared", text, len, 0, x->n->nout, &v), x->shared = (int)v;
    if (f == CHAINS || f == WIDTH || f == SHARED) {
        if (f == WIDTH && ok) x->c.width = v > w->t->width ? w->t->width : (int)v;
        if (f == WIDTH && ok && (v & (v - 1))) return forced_fail(x, "width is a power of two");
        return ok;
    }
    begin(x, (Field)f);
    for (const char *end = text + len; text < end;) {
        const char *comma = memchr(text, ',', (size_t)(end - text)), *stop = comma ? comma : end;
        if (!take_one(x, w, (Field)f, text, (size_t)(stop - text))) return false;
        text = stop + 1;
    }
    return true;
}

bool forced_read(Forced *x, const Task *w, const Choice *chosen) {
    x->n = w->n;
    x->c = *chosen;
    for (const char *p = x->fields; *p;) {
        size_t len = strcspn(p, ":");
        if (!read_field(x, w, p, len)) return false;
        p += len + (p[len] == ':');
    }
    return true;
}

/* ---- what can be -------------------------------------------------------------------------------------- */

static bool check_lanes(Forced *x, const Task *w) {
    int64_t lanes = 1;
    for (int i = 0; i < x->c.nlane; i++) {
        int            v = x->c.lane[i];
        const NestVar *var = &x->n->var[v];
        const char    *name = nest_var_name(x->a, x->n, v);
        bool           last = i + 1 == x->c.nlane;
        if (var->bound && !last)
            return forced_fail(x, "%s has a bound at run time: it can be the last in the lanes", name);
        if (var->apart) return forced_fail(x, "%s is a remainder: it can be in the tile, not in the lanes", name);
        if ((!last || task_window(w, v)) && x->c.step[v] < var->size)
            return forced_fail(x, "%s is in the lanes with all of its %lld values or as the last (of outs)", name,
                               (long long)var->size);
        lanes *= x->c.step[v];
    }
    if (x->c.across && !can_go_across(w))
        return forced_fail(x, "lanes along reductions: not with a window or a guarded extreme");
    if (lanes > MAX_VECTORS * w->t->width)
        return forced_fail(x, "%lld lanes; at most %d", (long long)lanes, MAX_VECTORS * w->t->width);
    return true;
}

bool forced_check(Forced *x, Task *w) {
    const Nest *n = x->n;
    if (!check_lanes(x, w)) return false;
    for (int v = 0; v < n->nout; v++)
        if (n->var[v].apart && x->c.step[v] > 1 && x->c.step[v] < n->var[v].size)
            return forced_fail(x, "%s is a remainder: one value or all %lld", nest_var_name(x->a, n, v),
                               (long long)n->var[v].size);
    for (int i = 0; x->c.cut && i < x->c.nlane; i++)
        if (x->c.lane[i] == n->cut_var) return forced_fail(x, "a reduction in the lanes cannot be cut");
    if (x->c.inside && !x->c.cut) return forced_fail(x, "inside goes with cut=V/N");
    double cost = choice_cost(w, &x->c);
    if (cost < 0)
        return forced_fail(
            x, "more sums than registers (%d), or too much code: fewer lanes, a smaller tile, less unrolling",
            w->t->registers);
    x->c.cost = cost;
    const int64_t cut = x->c.cut;
    const int     inside = x->c.inside;
    if (w->count) traffic_cost(w, &x->c, cost);
    x->c.cut = cut;
    x->c.inside = inside;
    return true;
}

/* ---- loops -------------------------------------------------------------------------------------------- */

/* The named ones outside, the others in the order in which they were; loops of one value stay where they are. */
static void put_first(const Nest *nest, int count, const int *named, int n, int *loop) {
    int order[MAX_VARS], at = 0;
    for (int i = 0; i < count; i++) order[at++] = named[i];
    for (int i = 0; i < n; i++)
        if (nest->var[loop[i]].size > 1 && !has(count, named, loop[i])) order[at++] = loop[i];
    at = 0;
    for (int i = 0; i < n; i++)
        if (nest->var[loop[i]].size > 1) loop[i] = order[at++];
}

void forced_order(const Forced *x, Nest *n, int main, int count) {
    put_first(n, x->norder, x->order, n->nloop, n->loop);
    for (int i = main; i < main + count; i++) put_first(n, x->nover, x->over, n->stage[i].nloop, n->stage[i].loop);
}

void forced_share(Forced *x, Nest *n) {
    int most = n->list.on ? n->list.level : n->nloop;
    x->n = n;
    n->fixed = x->shared >= 0 || x->norder;
    n->chained = x->chained;
    if (x->shared < 0) return;
    for (int i = 0; i < most && n->kind == NEST_LOOPS; i++)
        if (n->var[n->loop[i]].adds || n->var[n->loop[i]].apart) most = i;
    if (n->kind == NEST_SCATTER && x->shared != n->nout) forced_fail(x, "shared=%d", n->nout);
    else if (n->cut_inside && x->shared > 1) forced_fail(x, "with turns inside of the outermost loop, shared=0 or 1");
    else if (n->kind == NEST_LOOPS && x->shared > most) forced_fail(x, "its first %d loops can be shared out", most);
    n->npar = x->shared;
}
