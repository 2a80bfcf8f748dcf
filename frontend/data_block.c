/* The data block: where examples come from and which of them train, choose and test.
 *
 *   all   = idx("images", "labels")                          source(files..)
 *   train = all[0:50000] |> expand(shift, img, [[0,0],[1,0]])
 *   valid = all[50000:60000]
 *
 * Every name is a chain of operations on a source; `train`, `valid` and `test` are the splits. What is here is
 * checked without opening a file: files are the runtime's business.
 */
#include <math.h>
#include <string.h>

#include "base/str.h"
#include "frontend/blocks.h"
#include "ir/ir.h"

typedef enum { D_SOURCE, D_SLICE, D_SPLIT, D_SHUFFLE, D_EXPAND, D_STREAM } DataOp;

enum { CHAIN_LIMIT = 100, NAMES_LIMIT = 1000, VARIANT_ARGS = 8, PARTS_LIMIT = 16 };

typedef struct DataNode DataNode;
struct DataNode {
    DataOp      op;
    DataNode   *of;                /* NULL: a source */
    int         length;            /* of the chain */
    bool        text, streamed;    /* it begins with a text; a stream is in it */
    bool        expanded;          /* this or an operation before it is an expand */
    const char *kind;              /* source: "idx" */
    const AstList *files;          /* source: ARG of STR */
    int         line;
    double      lo, hi;            /* slice */
    bool        fraction;
    double      parts[PARTS_LIMIT];
    int         nparts, part;      /* split: part -1 as long as the parts have no names */
    int64_t     seed;
    int         expand;            /* number of the DataExpand */
    const char *x, *y;             /* stream */
};

typedef struct {
    const char *name;
    DataNode   *node;              /* NULL after a mistake */
    Loc         loc;
    bool        used;
} DataName;

struct DataBlock {
    const Ast      *decl;
    const PortInfo *field;
    int             nfield;
    VEC(DataName)   names;
    VEC(DataExpand) expands;
};

typedef struct {
    Arena           *arena;
    Diag            *diag;
    const BlockHost *host;
    DataBlock       *block;
} Reader;

static const char *const SPLITS[] = {"train", "valid", "test"};
enum { NSPLITS = sizeof SPLITS / sizeof *SPLITS };

static DataNode *read_data(Reader *r, const Ast *e);

/* ---- helpers ------------------------------------------------------------------------------------- */

/* Reports what is wrong and gives false, or a NULL node. */
#define WRONG(at, ...) diag_error(r->diag, (at), E_DATA_ARGUMENT, __VA_ARGS__)
#define BAD(at, ...)   (WRONG(at, __VA_ARGS__), (void *)NULL)

static const char *near_name(Reader *r, const char *name, const char *const *names, int n) {
    const char *near = str_nearest(name, names, n);
    return near ? arena_printf(r->arena, "; did you mean '%s'?", near) : "";
}

static const char *plural(int n) { return n == 1 ? "" : "s"; }

static DataNode *node_new(Reader *r, DataOp op, DataNode *of, Loc at) {
    DataNode *n = ARENA_NEW(r->arena, DataNode);
    n->op = op;
    n->of = of;
    n->line = at.line;
    n->length = of ? of->length + 1 : 1;
    n->expanded = (of && of->expanded) || op == D_EXPAND;
    n->text = of && of->text;
    n->streamed = (of && of->streamed) || op == D_STREAM;
    if (of && of->streamed) return BAD(at, "stream is the last operation on a text");
    if (n->text && (op == D_SHUFFLE || op == D_EXPAND))
        return BAD(at, "a text keeps its order; what can be done with it is a range, split and stream");
    if (n->length <= CHAIN_LIMIT) return n;
    return BAD(at, "more than %d operations on one source", CHAIN_LIMIT);
}

/* A number known at compile time. */
static bool read_number(Reader *r, const Ast *e, const char *what, double *v) {
    if (r->host->number(r->host->cx, e, v)) return true;
    return WRONG(e->loc, "%s must be a number known at compile time", what);
}

static bool read_whole(Reader *r, const Ast *e, const char *what, int64_t lo, int64_t hi, int64_t *v) {
    double x;
    if (!read_number(r, e, what, &x)) return false;
    if (x != floor(x) || x < (double)lo || x > (double)hi)
        return WRONG(e->loc, "%s is a whole number from %lld to %lld, this is %g", what, (long long)lo,
                     (long long)hi, x);
    *v = (int64_t)x;
    return true;
}

static int find_field(const DataBlock *b, const char *name) {
    int i = 0;
    while (i < b->nfield && strcmp(b->field[i].name, name)) i++;
    return i < b->nfield ? i : -1;
}

/* A field of the block, by its name. */
static const char *read_field(Reader *r, const Ast *e) {
    const DataBlock *b = r->block;
    if (e->kind != AST_ID)
        return BAD(e->loc, "the name of a field is needed here");
    if (find_field(b, e->name) >= 0) return e->name;
    const char **names = ARENA_ARRAY(r->arena, const char *, b->nfield + 1);
    for (int i = 0; i < b->nfield; i++) names[i] = b->field[i].name;
    diag_error(r->diag, e->loc, E_NAME, "data %s has no field '%s'%s", b->decl->name, e->name,
               near_name(r, e->name, names, b->nfield));
    diag_note(r->diag, b->decl->loc, "its fields are declared here");
    return NULL;
}

/* `args` without names, between min and max of them. */
static bool check_args(Reader *r, const AstList *args, int from, int min, int max, Loc at, const char *name) {
    for (int i = from; i < args->n; i++)
        if (args->at[i]->name)
            return WRONG(args->at[i]->loc, "%s has no option '%s'", name, args->at[i]->name);
    int n = args->n - from;
    if (n >= min && n <= max) return true;
    if (min == max)
        return WRONG(at, "%s takes %d argument%s here, not %d", name, min, plural(min), n);
    return WRONG(at, "%s takes at least %d argument%s, not %d", name, min, plural(min), n);
}

/* ---- sources ------------------------------------------------------------------------------------- */

static bool leaves_folder(const char *name) {
    if (*name == '/' || !*name) return true;
    for (const char *s = name; s; s = strchr(s, '/')) {
        s += *s == '/';
        if (!strncmp(s, "..", 2) && (!s[2] || s[2] == '/')) return true;
    }
    return false;
}

/* The first field with an axis of a ragged dim, or NULL. */
static const PortInfo *ragged_field(const DataBlock *b) {
    for (int i = 0; i < b->nfield; i++)
        for (int k = 0; k < b->field[i].type.rank; k++)
            if (b->field[i].ragged[k]) return &b->field[i];
    return NULL;
}

/* How a text is cut into symbols is asked of the source by many: it stands with the dim of the symbols. */
static bool check_symbols(Reader *r, const char *kind, const AstList *args) {
    static const char *const OF_VOCAB[] = {"by", "col", "min", "eos"};
    for (int i = 0; i < args->n; i++)
        for (size_t k = 0; args->at[i]->name && k < sizeof OF_VOCAB / sizeof *OF_VOCAB; k++)
            if (!strcmp(args->at[i]->name, OF_VOCAB[k]))
                return WRONG(args->at[i]->loc, "%s has no option '%s': the dim of the fields says what a symbol is, "
                             "dim Word = vocab(\"FILE\", by=\"word\"), or dim Byte = 256 for the bytes of a text", kind,
                             OF_VOCAB[k]);
    return true;
}

static DataNode *read_source(Reader *r, const char *kind, const Ast *call) {
    const DataBlock *b = r->block;
    if (!check_symbols(r, kind, &call->args)) return NULL;
    bool by_field = !strcmp(kind, "idx") || !strcmp(kind, "npy");
    if (!check_args(r, &call->args, 0, 1, by_field ? 1 << 20 : 1, call->loc, kind)) return NULL;
    for (int i = 0; i < call->args.n; i++) {
        const Ast *file = call->args.at[i]->a;
        if (file->kind != AST_STR)
            return BAD(file->loc, "%s takes file names in quotes", kind);
        if (leaves_folder(file->name))
            return BAD(file->loc, "file names of data are relative and stay below the data folder; name the folder "
                       "with --data DIR");
    }
    if (by_field && call->args.n != b->nfield)
        return BAD(call->loc, "%s takes one file for each of the %d field%s of data %s, not %d", kind, b->nfield,
                   plural(b->nfield), b->decl->name, call->args.n);
    const PortInfo *ragged = by_field || !strcmp(kind, "images") ? ragged_field(b) : NULL;
    if (ragged)
        return BAD(call->loc, "%s does not say how long the rows of '%s' are; npz, safetensors, csv and tsv do", kind,
                   ragged->name);
    DataNode *n = node_new(r, D_SOURCE, NULL, call->loc);
    n->kind = kind;
    n->text = !strcmp(kind, "text");
    n->files = &call->args;
    return n;
}

/* ---- operations: `from` is the first of the call's own arguments ----------------------------------- */

static DataNode *read_shuffle(Reader *r, DataNode *of, const Ast *call, int from) {
    DataNode *n = node_new(r, D_SHUFFLE, of, call->loc);
    if (!n || !check_args(r, &call->args, from, 1, 1, call->loc, "shuffle")) return NULL;
    return read_whole(r, call->args.at[from]->a, "the seed", 0, INT64_C(1) << 53, &n->seed) ? n : NULL;
}

static DataNode *read_split(Reader *r, DataNode *of, const Ast *call, int from) {
    DataNode *n = node_new(r, D_SPLIT, of, call->loc);
    double    sum = 0;
    if (!n || !check_args(r, &call->args, from, 1, 1 << 20, call->loc, "split")) return NULL;
    if (call->args.n - from > PARTS_LIMIT) return BAD(call->loc, "split gives at most %d parts", PARTS_LIMIT);
    for (int i = from; i < call->args.n; i++) {
        const Ast *e = call->args.at[i]->a;
        double    *part = &n->parts[n->nparts++];
        if (!read_number(r, e, "a part", part)) return NULL;
        sum += *part;
        if (*part > 0 && sum <= 1 + 1e-9) continue;
        if (*part > 0) return BAD(e->loc, "the parts of a split add up to more than 1 (%g)", sum);
        return BAD(e->loc, "a part is more than 0, this is %g", *part);
    }
    n->part = -1;
    return n;
}

/* The fields x and y of a stream: sequences of the same symbols over the same dim. */
static DataNode *read_stream(Reader *r, DataNode *of, const Ast *call, int from) {
    DataNode *n = node_new(r, D_STREAM, of, call->loc);
    if (!n || !check_args(r, &call->args, from, 2, 2, call->loc, "stream")) return NULL;
    const Ast *ex = call->args.at[from]->a, *ey = call->args.at[from + 1]->a;
    n->x = read_field(r, ex);
    n->y = n->x ? read_field(r, ey) : NULL;
    if (!n->y) return NULL;
    const PortInfo *x = &r->block->field[find_field(r->block, n->x)], *y = &r->block->field[find_field(r->block, n->y)];
    bool sequences = x->dim && y->dim && x->type.rank == 1 && y->type.rank == 1 && x->axis[0] && y->axis[0];
    if (!sequences || strcmp(x->dim, y->dim) || strcmp(x->axis[0], y->axis[0]) || x == y)
        return BAD(call->loc, "stream needs two fields of one type, symbols over a dim, as x: Char[T], y: Char[T]");
    if (!of->text) return BAD(call->loc, "stream follows a text(..) or a range of one");
    if (r->block->nfield == 2) return n;
    return BAD(call->loc, "a text fills the two fields of its stream; data %s has %d", r->block->decl->name,
               r->block->nfield);
}

static bool read_variant(Reader *r, const Ast *row, DataExpand *e, int64_t *to) {
    if (row->kind != AST_LIST)
        return WRONG(row->loc, "a variant is a list of whole numbers, as [1, 0]");
    if (row->args.n != e->narg)
        return WRONG(row->loc, "%s takes %d number%s after the field, this variant has %d", e->function, e->narg,
                     plural(e->narg), row->args.n);
    for (int i = 0; i < e->narg; i++)
        if (!read_whole(r, row->args.at[i], "a number of a variant", -INT64_C(1000000000), 1000000000, &to[i]))
            return false;
    return true;
}

static bool read_function(Reader *r, const Ast *e, DataExpand *to) {
    if (e->kind != AST_ID) return WRONG(e->loc, "expand takes the name of a function first");
    to->function = e->name;
    to->decl = r->host->function(r->host->cx, e->name);
    if (!to->decl)
        return diag_error(r->diag, e->loc, E_NAME, "unknown function '%s'%s", e->name,
                          r->host->suggest(r->host->cx, e->name));
    to->narg = to->decl->params.n - 1;
    if (to->narg >= 1 && to->narg <= VARIANT_ARGS) return true;
    WRONG(e->loc, "expand needs a function of the field and 1 to %d whole numbers", VARIANT_ARGS);
    diag_note(r->diag, to->decl->loc, "'%s' is declared here", e->name);
    return false;
}

static DataNode *read_expand(Reader *r, DataNode *of, const Ast *call, int from) {
    if (of->expanded) return BAD(call->loc, "what is expanded cannot be expanded again: list all variants at once");
    if (!check_args(r, &call->args, from, 3, 3, call->loc, "expand")) return NULL;
    DataExpand e = {.loc = call->loc};
    const Ast *list = call->args.at[from + 2]->a;
    if (!read_function(r, call->args.at[from]->a, &e)) return NULL;
    e.field = read_field(r, call->args.at[from + 1]->a);
    if (!e.field) return NULL;
    const PortInfo *f = &r->block->field[find_field(r->block, e.field)];
    for (int k = 0; k < f->type.rank; k++)
        if (f->ragged[k]) return BAD(call->loc, "expand changes fields of a fixed size; '%s' has the ragged dim %s",
                                     f->name, f->axis[k] ? f->axis[k] : "");
    if (list->kind != AST_LIST) return BAD(list->loc, "the variants are a list of lists, as [[0,0],[1,0]]");
    e.nvariant = list->args.n;
    e.variant = arena_alloc(r->arena, sizeof *e.variant * (size_t)e.nvariant);
    for (int i = 0; i < e.nvariant; i++)
        if (!read_variant(r, list->args.at[i], &e, e.variant[i])) return NULL;
    DataNode *n = node_new(r, D_EXPAND, of, call->loc);
    if (!n) return NULL;
    n->expand = r->block->expands.n;
    vec_push(r->arena, &r->block->expands, e);
    return n;
}

/* ---- expressions --------------------------------------------------------------------------------- */

typedef DataNode *ReadOp(Reader *r, DataNode *of, const Ast *call, int from);

/* Sources have no function of their own: read_source. */
static const struct {
    const char *name;
    ReadOp     *read;
} FUNCTIONS[] = {
    {"idx", NULL},    {"csv", NULL},  {"tsv", NULL},    {"npy", NULL},
    {"npz", NULL},    {"safetensors", NULL}, {"text", NULL}, {"images", NULL},
    {"expand", read_expand}, {"stream", read_stream}, {"shuffle", read_shuffle}, {"split", read_split},
};
enum { NFUNCTIONS = sizeof FUNCTIONS / sizeof *FUNCTIONS };

static int find_function(Reader *r, const Ast *f) {
    const char *names[NFUNCTIONS];
    for (int i = 0; i < NFUNCTIONS; i++) {
        names[i] = FUNCTIONS[i].name;
        if (f->kind == AST_ID && !strcmp(f->name, names[i])) return i;
    }
    if (f->kind == AST_ID) {
        const char *near = near_name(r, f->name, names, NFUNCTIONS);
        diag_error(r->diag, f->loc, E_DATA_FUNCTION, "unknown data function '%s'%s", f->name, near);
        if (!*near)
            diag_note(r->diag, (Loc){0}, "sources are idx, csv, tsv, npy, npz, safetensors, text and images; expand, "
                      "stream, shuffle and split follow them; the size of batches is set in the train block");
    } else WRONG(f->loc, "the name of a data function is needed here");
    return -1;
}

/* A chain whose parts, after a split, have no names yet can only be assigned. */
static DataNode *read_operand(Reader *r, const Ast *e, Loc at) {
    DataNode *n = read_data(r, e);
    if (!n || n->op != D_SPLIT || n->part >= 0) return n;
    return BAD(at, "split gives several parts: name them first, as train, valid = d |> split(0.9, 0.1)");
}

/* `call` is f(..), or after |> also a lone f; `piped` is what stands before the |>, or NULL. */
static DataNode *read_call(Reader *r, const Ast *call, const Ast *piped) {
    const Ast *f = call->kind == AST_CALL ? call->a : call;
    int        k = find_function(r, f), from = piped ? 0 : 1;
    if (k < 0) return NULL;
    if (call->kind != AST_CALL)
        return BAD(f->loc, "%s needs its arguments in brackets", FUNCTIONS[k].name);
    if (!FUNCTIONS[k].read) {
        if (piped) return BAD(f->loc, "%s is a source: it cannot stand after |>", FUNCTIONS[k].name);
        return read_source(r, FUNCTIONS[k].name, call);
    }
    if (!piped && (!call->args.n || call->args.at[0]->name))
        return BAD(call->loc, "%s needs the data that it works on, as d |> %s(..)", FUNCTIONS[k].name,
                   FUNCTIONS[k].name);
    DataNode *of = read_operand(r, piped ? piped : call->args.at[0]->a, f->loc);
    return of ? FUNCTIONS[k].read(r, of, call, from) : NULL;
}

static DataName *find_name(DataBlock *b, const char *name) {
    for (int i = b->names.n - 1; i >= 0; i--)
        if (!strcmp(b->names.at[i].name, name)) return &b->names.at[i];
    return NULL;
}

static DataNode *read_name(Reader *r, const Ast *e) {
    DataBlock *b = r->block;
    DataName  *n = find_name(b, e->name);
    if (n) {
        n->used = true;
        return n->node;
    }
    const char **names = ARENA_ARRAY(r->arena, const char *, b->names.n + 1);
    for (int i = 0; i < b->names.n; i++) names[i] = b->names.at[i].name;
    diag_error(r->diag, e->loc, E_NAME, "unknown name '%s'%s", e->name, near_name(r, e->name, names, b->names.n));
    return NULL;
}

static bool written_real(const Ast *e) {
    return e && ((e->kind == AST_NUM && !e->flag) || (e->a && written_real(e->a)) || (e->b && written_real(e->b)));
}

/* d[0:50000] are rows, d[0.0:0.9] a share of them. */
static DataNode *read_slice(Reader *r, const Ast *e) {
    DataNode *of = read_operand(r, e->a, e->loc);
    if (!of) return NULL;
    const Ast *s = e->args.at[0];
    if (e->args.n != 1 || s->kind != AST_SLICE)
        return BAD(e->loc, "rows are taken as a range, d[0:50000] or d[0.0:0.9]");
    if (!s->a) return of;
    DataNode *n = node_new(r, D_SLICE, of, e->loc);
    if (!n || !read_number(r, s->a, "a bound", &n->lo) || !read_number(r, s->b, "a bound", &n->hi)) return NULL;
    n->fraction = written_real(s->a) || written_real(s->b);
    if (!n->fraction && (n->lo != floor(n->lo) || n->hi != floor(n->hi)))
        return BAD(s->loc, "a row number is a whole number");
    if (n->fraction && n->hi > 1)
        return BAD(s->loc, "a share is at most 1.0; row numbers are written without a point");
    if (n->lo < 0 || n->hi <= n->lo || n->hi > 9e15)
        return BAD(s->loc, "the range %g:%g is empty", n->lo, n->hi);
    return n;
}

static DataNode *read_data(Reader *r, const Ast *e) {
    switch (e->kind) {
    case AST_ID: return read_name(r, e);
    case AST_CALL: return read_call(r, e, NULL);
    case AST_INDEX: return read_slice(r, e);
    case AST_PIPE:
        if (e->name) return BAD(e->loc, "'as' names layers, not data");
        return read_call(r, e->b, e->a);
    default:
        return BAD(e->loc, "data is needed here: a source such as npy(\"x.npy\"), or a name given before");
    }
}

/* ---- statements ---------------------------------------------------------------------------------- */

static void name_data(Reader *r, const Ast *lhs, DataNode *node) {
    DataBlock *b = r->block;
    DataName  *old = find_name(b, lhs->name);
    DataName   n = {lhs->name, node, lhs->loc, false};
    if (old) *old = n;
    else if (b->names.n < NAMES_LIMIT) vec_push(r->arena, &b->names, n);
    else WRONG(lhs->loc, "more than %d names in a data block", NAMES_LIMIT);
}

/* Part k of a split, for the k-th name on the left. */
static DataNode *take_part(Reader *r, const DataNode *split, int k) {
    DataNode *n = arena_copy(r->arena, split, sizeof *split);
    n->part = k;
    return n;
}

static void read_assign(Reader *r, const Ast *it) {
    const AstList *lhs = &it->params, *rhs = &it->args;
    for (int i = 0; i < lhs->n; i++)
        if (lhs->at[i]->flag) WRONG(lhs->at[i]->loc, "a name in a data block has no subscripts");
    if (it->from.n) WRONG(it->from.at[0]->loc, "'from' belongs to the equations of a scan");
    DataNode *first = read_data(r, rhs->at[0]);
    bool      split = first && first->op == D_SPLIT && first->part < 0;
    if (split && rhs->n == 1) {
        if (first->nparts != lhs->n) {
            diag_error(r->diag, rhs->at[0]->loc, E_DATA_SPLIT, "split gives %d part%s for %d name%s on the left",
                       first->nparts, plural(first->nparts), lhs->n, plural(lhs->n));
            split = false;
        }
        for (int i = 0; i < lhs->n; i++) name_data(r, lhs->at[i], split ? take_part(r, first, i) : NULL);
        return;
    }
    if (first && rhs->n != lhs->n)
        diag_error(r->diag, it->loc, E_DATA_SPLIT, "%d name%s on the left, %d value%s on the right", lhs->n,
                   plural(lhs->n), rhs->n, plural(rhs->n));
    for (int i = 0; i < lhs->n; i++) {
        DataNode *n = i >= rhs->n || rhs->n != lhs->n ? NULL : i ? read_operand(r, rhs->at[i], rhs->at[i]->loc) : first;
        name_data(r, lhs->at[i], split ? NULL : n);
    }
    if (split) WRONG(rhs->at[0]->loc, "split gives several parts: it stands alone on the right");
}

static bool is_split(const char *name) {
    for (int i = 0; i < NSPLITS; i++)
        if (!strcmp(name, SPLITS[i])) return true;
    return false;
}

/* What is in front of a split's name: texts as streams. */
static void check_splits(Reader *r) {
    const DataBlock *b = r->block;
    for (int i = 0; i < b->names.n; i++) {
        const DataName *n = &b->names.at[i];
        if (is_split(n->name) && n->node && n->node->text && !n->node->streamed)
            WRONG(n->loc, "a text is trained on in windows: %s = .. |> stream(x, y)", n->name);
    }
}

static void warn_unused(Reader *r) {
    const DataBlock *b = r->block;
    for (int i = 0; i < b->names.n; i++) {
        const DataName *n = &b->names.at[i];
        if (n->used || is_split(n->name)) continue;
        diag_warning(r->diag, n->loc, W_DATA_UNUSED, "'%s' is not used%s", n->name,
                     near_name(r, n->name, SPLITS, NSPLITS));
    }
}

DataBlock *data_block_check(Arena *a, Diag *d, const Ast *data, const PortInfo *field, int nfield,
                            const BlockHost *host) {
    DataBlock *b = ARENA_NEW(a, DataBlock);
    Reader     r = {a, d, host, b};
    int        errors = d->errors;
    b->decl = data;
    b->field = field;
    b->nfield = nfield;
    for (int i = 0; i < nfield; i++)
        for (int k = 0; k < field[i].type.rank; k++)
            if (field[i].ragged[k] && !field[i].axis[k])
                diag_error(d, data->params.at[i]->loc, E_DATA_ARGUMENT, "a ragged axis of a field is a dim as it is "
                           "declared, as in x: Char[T]");
    for (int i = 0; i < data->items.n && d->errors - errors < DIAG_LIMIT; i++) {
        const Ast *it = data->items.at[i];
        if (it->kind == AST_ASSIGN) read_assign(&r, it);
        else diag_error(d, it->loc, E_PLACE, "'%s' cannot stand in a data block", ast_kind_name(it->kind));
    }
    if (!find_name(b, "train")) diag_error(d, data->loc, E_DATA_SPLIT, "data %s does not set 'train'", data->name);
    check_splits(&r);
    if (d->errors > errors) return NULL;
    warn_unused(&r);
    return b;
}

bool data_block_has_text(const DataBlock *b) {
    for (int i = 0; i < b->names.n; i++)
        if (b->names.at[i].node && b->names.at[i].node->text) return true;
    return false;
}

const DataExpand *data_block_expands(const DataBlock *b, int *n) {
    *n = b->expands.n;
    return b->expands.at;
}

/* ---- JSON ---------------------------------------------------------------------------------------- */

static void put_field(Buf *out, const PortInfo *f) {
    buf_puts(out, "{\"name\":");
    buf_json(out, f->name);
    buf_printf(out, ",\"dtype\":\"%s\",\"shape\":[", dtype_text(f->type.dtype));
    for (int i = 0; i < f->type.rank; i++) buf_printf(out, "%s%lld", i ? "," : "", (long long)f->type.dim[i].size);
    buf_putc(out, ']');
    bool ragged = false;
    for (int i = 0; i < f->type.rank; i++) ragged |= f->ragged[i];
    for (int i = 0; i < f->type.rank && ragged; i++) {
        buf_puts(out, i ? "," : ",\"axes\":[");
        if (f->ragged[i]) buf_json(out, f->axis[i]);
        else buf_puts(out, "null");
    }
    if (ragged) buf_putc(out, ']');
    if (f->dim) {
        buf_puts(out, ",\"dim\":");
        buf_json(out, f->dim);
        buf_printf(out, ",\"size\":%lld", (long long)f->dim_size);
    }
    buf_putc(out, '}');
}

static void put_source(Buf *out, const DataNode *n) {
    buf_printf(out, "{\"op\":\"source\",\"kind\":\"%s\",\"files\":[", n->kind);
    for (int i = 0; i < n->files->n; i++) {
        if (i) buf_putc(out, ',');
        buf_json(out, n->files->at[i]->a->name);
    }
    buf_printf(out, "],\"args\":{},\"line\":%d}", n->line);
}

static void put_expand(Buf *out, const DataExpand *e, int number) {
    buf_printf(out, ",\"function\":\"expand.%d\",\"field\":", number);
    buf_json(out, e->field);
    buf_puts(out, ",\"variants\":[");
    for (int i = 0; i < e->nvariant; i++) {
        buf_puts(out, i ? ",[" : "[");
        for (int k = 0; k < e->narg; k++) buf_printf(out, "%s%lld", k ? "," : "", (long long)e->variant[i][k]);
        buf_putc(out, ']');
    }
    buf_putc(out, ']');
}

/* Row numbers are printed in full, shares of rows as shortly as they read back. */
static void put_bound(Buf *out, const char *key, double v, bool fraction) {
    buf_printf(out, ",\"%s\":", key);
    if (fraction) buf_number(out, v);
    else buf_printf(out, "%lld", (long long)v);
}

static void put_node(const DataBlock *b, const DataNode *n, Buf *out) {
    static const char *const NAME[] = {"source", "slice", "split", "shuffle", "expand", "stream"};
    if (n->op == D_SOURCE) {
        put_source(out, n);
        return;
    }
    buf_printf(out, "{\"op\":\"%s\",\"of\":", NAME[n->op]);
    put_node(b, n->of, out);
    switch (n->op) {
    case D_SLICE:
        put_bound(out, "lo", n->lo, n->fraction);
        put_bound(out, "hi", n->hi, n->fraction);
        buf_printf(out, ",\"fraction\":%s", n->fraction ? "true" : "false");
        break;
    case D_SPLIT:
        buf_puts(out, ",\"parts\":[");
        for (int i = 0; i < n->nparts; i++) {
            if (i) buf_putc(out, ',');
            buf_number(out, n->parts[i]);
        }
        buf_printf(out, "],\"part\":%d", n->part);
        break;
    case D_SHUFFLE: buf_printf(out, ",\"seed\":%lld", (long long)n->seed); break;
    case D_EXPAND: put_expand(out, &b->expands.at[n->expand], n->expand); break;
    case D_STREAM: buf_printf(out, ",\"x\":\"%s\",\"y\":\"%s\"", n->x, n->y); break;
    case D_SOURCE: break;
    }
    buf_putc(out, '}');
}

void data_block_json(const DataBlock *b, Buf *out) {
    buf_puts(out, "{\"name\":");
    buf_json(out, b->decl->name);
    buf_puts(out, ",\"fields\":[");
    for (int i = 0; i < b->nfield; i++) {
        if (i) buf_putc(out, ',');
        put_field(out, &b->field[i]);
    }
    buf_puts(out, "],\"splits\":{");
    bool first = true;
    for (int i = 0; i < b->names.n; i++) {
        const DataName *n = &b->names.at[i];
        if (!is_split(n->name)) continue;
        buf_printf(out, "%s\"%s\":", first ? "" : ",", n->name);
        put_node(b, n->node, out);
        first = false;
    }
    buf_puts(out, "}}");
}
