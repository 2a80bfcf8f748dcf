/* The train block: keys and their values. What goes into the training graph (optimizer, l2, l1, clip) is kept as
 * written; the rest becomes TrainInfo.
 *
 *   seed = 1;  batch = 10;  epochs = 40
 *   optimizer = sgd(eta)
 *   keep = best(accuracy)         best(-bpc): the smaller the better
 *   stop = patience(10)
 *   sweep = grid(eta, lmbda)
 *   ensemble = vote(5)
 *   every = [1000, sample("T", N=200)]
 */
#include <math.h>
#include <string.h>

#include "base/str.h"
#include "frontend/blocks.h"

typedef struct {
    Arena            *arena;
    Diag             *diag;
    const TrainNames *names;
    TrainBlock       *block;
} Reader;

/* Reads one key's value, written at `e`. */
typedef bool ReadKey(Reader *r, const Ast *e);

/* Reports what is wrong with a value and gives false. */
#define WRONG(at, ...) diag_error(r->diag, (at), E_TRAIN_VALUE, __VA_ARGS__)

/* ---- helpers ------------------------------------------------------------------------------------- */

static const char *near_name(Reader *r, const char *name, const char *const *names, int n) {
    const char *near = str_nearest(name, names, n);
    return near ? arena_printf(r->arena, "; did you mean '%s'?", near) : "";
}

static bool read_whole(Reader *r, const Ast *e, const char *key, int64_t lo, int64_t hi, int64_t *v) {
    const BlockHost *host = r->names->host;
    double           x;
    if (!host->number(host->cx, e, &x)) return WRONG(e->loc, "%s is a number known at compile time", key);
    if (x != floor(x) || x < (double)lo || x > (double)hi)
        return WRONG(e->loc, "%s is a whole number from %lld to %lld, this is %g", key, (long long)lo,
                     (long long)hi, x);
    *v = (int64_t)x;
    return true;
}

/* Is e a call of `name` with at least one argument, all of them without names? */
static bool is_call_of(const Ast *e, const char *name) {
    if (e->kind != AST_CALL || e->a->kind != AST_ID || strcmp(e->a->name, name) || !e->args.n) return false;
    for (int i = 0; i < e->args.n; i++)
        if (e->args.at[i]->name) return false;
    return true;
}

static const Ast *only_arg(const Ast *e, const char *name) {
    return is_call_of(e, name) && e->args.n == 1 ? e->args.at[0]->a : NULL;
}

/* ---- the keys ------------------------------------------------------------------------------------ */

static bool read_seed(Reader *r, const Ast *e) {
    return read_whole(r, e, "seed", 0, INT64_C(1) << 53, &r->block->info.seed);
}

static bool read_batch(Reader *r, const Ast *e) { return read_whole(r, e, "batch", 1, 1000000, &r->block->info.batch); }

static bool read_epochs(Reader *r, const Ast *e) {
    return read_whole(r, e, "epochs", 0, 1000000000, &r->block->info.epochs);
}

static bool read_optimizer(Reader *r, const Ast *e) {
    bool call = e->kind == AST_CALL && e->a->kind == AST_ID;
    if (!call && e->kind != AST_ID) return WRONG(e->loc, "optimizer is an optimizer with its arguments, as sgd(0.1)");
    r->block->optimizer = e;
    r->block->info.has_optimizer = true;
    return true;
}

static bool read_l2(Reader *r, const Ast *e) { return (r->block->l2 = e) != NULL; }

static bool read_l1(Reader *r, const Ast *e) { return (r->block->l1 = e) != NULL; }

static bool read_clip(Reader *r, const Ast *e) {
    const Ast *bound = only_arg(e, "value");
    r->block->clip = bound ? bound : e;
    r->block->info.clip_by_norm = !bound;
    return true;
}

/* best(accuracy), best(-bpc), best(-loss), or last. */
static bool read_keep(Reader *r, const Ast *e) {
    const TrainNames *names = r->names;
    const Ast        *what = only_arg(e, "best");
    if (e->kind == AST_ID && !strcmp(e->name, "last")) return true;
    if (!what) return WRONG(e->loc, "keep is best(metric), best(-metric) if less is better, or last");
    bool       less = what->kind == AST_NEG;
    const Ast *id = less ? what->a : what;
    const char **known = ARENA_ARRAY(r->arena, const char *, names->nmetric + 1);
    if (id->kind != AST_ID) return WRONG(id->loc, "keep takes the name of a metric of the objective, or loss");
    for (int i = 0; i < names->nmetric; i++) known[i] = names->metric[i];
    known[names->nmetric] = "loss";
    for (int i = 0; i <= names->nmetric; i++) {
        if (strcmp(known[i], id->name)) continue;
        if (i == names->nmetric && !less) return WRONG(id->loc, "the best loss is the least: write best(-loss)");
        r->block->info.keep = (KeepInfo){id->name, less ? -1 : 1};
        return true;
    }
    return diag_error(r->diag, id->loc, E_NAME, "the objective has no metric '%s'%s", id->name,
                      near_name(r, id->name, known, names->nmetric + 1));
}

static bool read_stop(Reader *r, const Ast *e) {
    const Ast *n = only_arg(e, "patience");
    if (!n) return WRONG(e->loc, "stop is patience(n): n epochs without a better value of what 'keep' keeps");
    return read_whole(r, n, "patience", 1, 1000000000, &r->block->info.patience);
}

static bool read_ensemble(Reader *r, const Ast *e) {
    const Ast *n = only_arg(e, "vote");
    if (!n) return WRONG(e->loc, "ensemble is vote(n): n networks that differ in their seed");
    return read_whole(r, n, "vote", 1, 1000, &r->block->info.ensemble);
}

/* A hyper or dim that was declared with a list of values. */
static bool check_swept(Reader *r, const Ast *id) {
    const TrainNames *names = r->names;
    const char      **known = ARENA_ARRAY(r->arena, const char *, names->nhyper + names->ndim + 1);
    int               n = 0, values = -1;
    if (id->kind != AST_ID) return WRONG(id->loc, "grid takes names of hypers and dims");
    for (int i = 0; i < names->nhyper; i++) {
        known[n++] = names->hyper[i].name;
        if (!strcmp(id->name, names->hyper[i].name)) values = names->hyper[i].ngrid;
    }
    for (int i = 0; i < names->ndim; i++) {
        known[n++] = names->dim[i].name;
        if (!strcmp(id->name, names->dim[i].name)) values = names->dim[i].ngrid;
    }
    if (values < 0)
        return diag_error(r->diag, id->loc, E_NAME, "unknown hyper or dim '%s'%s", id->name,
                          near_name(r, id->name, known, n));
    if (values) return true;
    return WRONG(id->loc, "'%s' has no list of values to sweep: declare it with 'in [..]'", id->name);
}

static bool read_sweep(Reader *r, const Ast *e) {
    TrainInfo *info = &r->block->info;
    if (!is_call_of(e, "grid")) return WRONG(e->loc, "sweep is grid(names), of hypers and dims");
    info->sweep = ARENA_ARRAY(r->arena, const char *, e->args.n);
    for (int i = 0; i < e->args.n; i++) {
        const Ast *id = e->args.at[i]->a;
        if (!check_swept(r, id)) return false;
        for (int k = 0; k < info->nsweep; k++)
            if (!strcmp(info->sweep[k], id->name)) return WRONG(id->loc, "'%s' is named twice", id->name);
        info->sweep[info->nsweep++] = id->name;
    }
    return true;
}

/* ---- every: [steps, call of an entry] ------------------------------------------------------------ */

/* The entry that `call` calls, or NULL after a message. */
static const FuncInfo *find_entry(Reader *r, const Ast *call) {
    const TrainNames *names = r->names;
    const char      **known = ARENA_ARRAY(r->arena, const char *, names->nentry + 1);
    const char       *name = call->a->kind == AST_ID ? call->a->name : "";
    for (int i = 0; i < names->nentry; i++) {
        known[i] = names->entry[i].name;
        if (!strcmp(known[i], name)) return &names->entry[i];
    }
    diag_error(r->diag, call->a->loc, E_NAME, "the model has no entry '%s'%s", name,
               near_name(r, name, known, names->nentry));
    return NULL;
}

/* The name that argument i of the call gives a value to: a parameter, or a dim whose length the entry is told. */
static const char *argument_name(Reader *r, const FuncInfo *f, const AstList *args, int i) {
    const Ast   *e = args->at[i];
    const char **known = ARENA_ARRAY(r->arena, const char *, f->nin + f->nlength + 1);
    int          n = 0;
    for (int k = 0; k < f->nin; k++) known[n++] = f->in[k].name;
    for (int k = 0; k < f->nlength; k++) known[n++] = f->length[k];
    for (int k = 0; e->name && k < n; k++)
        if (!strcmp(known[k], e->name)) return e->name;
    if (!e->name && i < f->nin) return f->in[i].name;
    if (e->name)
        diag_error(r->diag, e->loc, E_ARGUMENTS, "%s has no parameter '%s'%s", f->name, e->name,
                   near_name(r, e->name, known, n));
    else
        diag_error(r->diag, e->loc, E_ARGUMENTS, "%s takes %d arguments", f->name, f->nin);
    return NULL;
}

/* "NAME=VALUE" as on a command line. */
static bool read_argument(Reader *r, const FuncInfo *f, const AstList *args, int i, const char **setting) {
    const char *name = argument_name(r, f, args, i);
    const Ast  *e = args->at[i]->a;
    double      v;
    if (!name) return false;
    if (e->kind == AST_STR) {
        *setting = arena_printf(r->arena, "%s=%s", name, e->name);
        return true;
    }
    if (!r->names->host->number(r->names->host->cx, e, &v))
        return WRONG(e->loc, "%s gets a text in quotes or a number known at compile time", name);
    Buf b = buf_new(r->arena);
    buf_printf(&b, "%s=", name);
    buf_number(&b, v);
    *setting = b.s;
    return true;
}

static bool gets_all(Reader *r, const FuncInfo *f, const TrainInfo *t, const Ast *call) {
    for (int i = 0; i < f->nin; i++) {
        size_t n = strlen(f->in[i].name);
        bool   given = f->in[i].has_default;
        for (int k = 0; k < t->nsample_arg; k++)
            given |= !strncmp(t->sample_arg[k], f->in[i].name, n) && t->sample_arg[k][n] == '=';
        if (!given)
            return diag_error(r->diag, call->loc, E_ARGUMENTS, "%s lacks its argument '%s'", f->name, f->in[i].name);
    }
    return true;
}

static bool read_every(Reader *r, const Ast *e) {
    TrainInfo *t = &r->block->info;
    int64_t    steps;
    if (e->kind != AST_LIST || e->args.n != 2 || e->args.at[1]->kind != AST_CALL)
        return WRONG(e->loc, "every is a number of steps and an entry to run then, as [1000, sample(\"T\", N=200)]");
    if (!read_whole(r, e->args.at[0], "every", 1, 1000000000, &steps)) return false;
    const Ast      *call = e->args.at[1];
    const FuncInfo *f = find_entry(r, call);
    if (!f || f->wrong) return false;
    t->sample_arg = ARENA_ARRAY(r->arena, const char *, call->args.n);
    for (int i = 0; i < call->args.n; i++)
        if (!read_argument(r, f, &call->args, i, &t->sample_arg[t->nsample_arg++])) return false;
    t->every = steps;
    t->sample = f->name;
    return gets_all(r, f, t, call);
}

static bool has_axis(const PortInfo *field, int n, const char *dim) {
    for (int i = 0; i < n; i++)
        for (int k = 0; k < field[i].type.rank; k++)
            if (field[i].axis[k] && !strcmp(field[i].axis[k], dim)) return true;
    return false;
}

static bool read_bucket(Reader *r, const Ast *e) {
    const TrainNames *names = r->names;
    if (e->kind != AST_ID) return WRONG(e->loc, "bucket is the name of a ragged dim");
    const char **known = ARENA_ARRAY(r->arena, const char *, names->ndim + 1);
    for (int i = 0; i < names->ndim; i++) {
        known[i] = names->dim[i].name;
        if (strcmp(e->name, names->dim[i].name)) continue;
        if (!names->dim[i].ragged) return WRONG(e->loc, "'%s' is not ragged: all examples have its size", e->name);
        if (names->field && !has_axis(names->field, names->nfield, e->name))
            return WRONG(e->loc, "no field of the data is a sequence over '%s'", e->name);
        r->block->info.bucket = e->name;
        return true;
    }
    return diag_error(r->diag, e->loc, E_NAME, "unknown dim '%s'%s", e->name,
                      near_name(r, e->name, known, names->ndim));
}

static const struct {
    const char *name;
    ReadKey    *read;
} KEYS[] = {
    {"seed", read_seed}, {"batch", read_batch}, {"epochs", read_epochs}, {"optimizer", read_optimizer},
    {"l2", read_l2}, {"l1", read_l1}, {"clip", read_clip}, {"keep", read_keep}, {"stop", read_stop},
    {"sweep", read_sweep}, {"ensemble", read_ensemble}, {"every", read_every}, {"bucket", read_bucket},
};
enum { NKEYS = sizeof KEYS / sizeof *KEYS };

/* The key's row, or -1 after a message of that code. */
static int find_key(Reader *r, const char *name, Loc at, DiagCode code) {
    const char *names[NKEYS];
    for (int i = 0; i < NKEYS; i++) {
        names[i] = KEYS[i].name;
        if (!strcmp(names[i], name)) return i;
    }
    diag_error(r->diag, at, code, "unknown train key '%s'%s", name, near_name(r, name, names, NKEYS));
    return -1;
}

/* ---- overrides ----------------------------------------------------------------------------------- */

/* "train.KEY=VALUE" as a statement; patience and ensemble may be given as plain numbers. */
static const char *override_text(Reader *r, const char *key, const char *value) {
    bool number = value[strspn(value, "0123456789")] == 0;
    if (!strcmp(key, "patience")) return arena_printf(r->arena, "stop = patience(%s)", value);
    if (!strcmp(key, "ensemble") && number) return arena_printf(r->arena, "ensemble = vote(%s)", value);
    return arena_printf(r->arena, "%s = %s", key, value);
}

/* The key's number and its value as an expression; false after a message. */
static bool parse_override(Reader *r, const Override *o, int *k, const Ast **value) {
    Source *src = ARENA_NEW(r->arena, Source);
    src->name = src->path = "command line";
    src->text = override_text(r, o->name + 6, o->value);
    src->size = strlen(src->text);
    AstList   *items = ast_parse(r->arena, r->diag, src);
    const Ast *it = items && items->n == 1 ? items->at[0] : NULL;
    if (!items) return false;
    if (!it || it->kind != AST_ASSIGN || it->params.n != 1 || it->params.at[0]->flag || it->args.n != 1 || it->from.n)
        return diag_error(r->diag, (Loc){src, 1, 1, 1}, E_OVERRIDE_VALUE, "%s takes one value", o->name);
    *k = find_key(r, it->params.at[0]->name, it->loc, E_OVERRIDE);
    *value = it->args.at[0];
    return *k >= 0;
}

/* value[k] becomes what the command line sets key k to; the block's own value is then not read. */
static void read_overrides(Reader *r, Override *o, int n, const Ast **value) {
    for (int i = 0; i < n; i++) {
        int        k = -1;
        const Ast *e = NULL;
        if (strncmp(o[i].name, "train.", 6)) continue;
        o[i].used = true;
        if (parse_override(r, &o[i], &k, &e)) value[k] = e;
    }
}

/* ---- the block ----------------------------------------------------------------------------------- */

static void read_item(Reader *r, const Ast *it, const Ast *const *override, Loc *set) {
    const Ast  *lhs = it->kind == AST_ASSIGN ? it->params.at[0] : NULL;
    const char *key = lhs ? lhs->name : ast_kind_name(it->kind);
    int         k = find_key(r, key, it->loc, E_TRAIN_KEY);
    if (k < 0) return;
    if (!lhs || it->params.n != 1 || it->args.n != 1 || lhs->flag || it->from.n) {
        WRONG(it->loc, "a train key is set as %s = value", key);
    } else if (set[k].src) {
        diag_error(r->diag, it->loc, E_TRAIN_KEY, "'%s' is set twice", key);
        diag_note(r->diag, set[k], "it is set here first");
    } else {
        set[k] = it->loc;
        if (!override[k]) KEYS[k].read(r, it->args.at[0]);
    }
}

TrainBlock *train_block_check(Arena *a, Diag *d, const Ast *train, const TrainNames *names, Override *override,
                              int noverride) {
    TrainBlock *b = ARENA_NEW(a, TrainBlock);
    Reader      r = {a, d, names, b};
    const Ast  *value[NKEYS] = {NULL};
    Loc         set[NKEYS] = {{NULL, 0, 0, 0}};
    int         errors = d->errors;
    b->info = (TrainInfo){.loc = train->loc, .model = train->name, .data = train->text,
                          .seed = 1, .batch = DEFAULT_BATCH, .epochs = 10, .ensemble = 1};
    read_overrides(&r, override, noverride, value);
    for (int i = 0; i < train->items.n && d->errors - errors < DIAG_LIMIT; i++)
        read_item(&r, train->items.at[i], value, set);
    for (int k = 0; k < NKEYS; k++)
        if (value[k]) KEYS[k].read(&r, value[k]);
    if (b->info.patience && !b->info.keep.key && d->errors == errors)
        diag_error(d, train->loc, E_TRAIN_VALUE, "stop = patience(..) needs keep = best(..): what has to get better");
    return d->errors == errors ? b : NULL;
}

int64_t train_batch(Arena *a, Diag *d, const BlockHost *host, Override *override, int noverride) {
    TrainNames names = {.host = host};
    TrainBlock b = {.info.batch = DEFAULT_BATCH};
    Reader     r = {a, d, &names, &b};
    for (int i = 0; i < noverride; i++) {
        int        k;
        const Ast *e;
        if (strcmp(override[i].name, "train.batch")) continue;
        override[i].used = true;
        if (parse_override(&r, &override[i], &k, &e)) read_batch(&r, e);
    }
    return b.info.batch;
}
