/* Loading: the library, the file and the files that it uses; dims, hypers and their overrides. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/lower.h"
#include "frontend/program.h"
#include "frontend/std_files.h"

/* What some editors put before UTF-8 text. */
#define BYTE_ORDER_MARK "\xEF\xBB\xBF"

enum { FILE_LIMIT = 16 << 20, USE_DEPTH = 16, USE_FILES = 64 };

Override *find_override(Program *p, const char *name) {
    for (int i = 0; i < p->option.noverride; i++)
        if (!strcmp(p->option.override[i].name, name)) return &p->option.override[i];
    return NULL;
}

/* ---- dims -------------------------------------------------------------------------------------- */

static bool override_size(Program *p, const char *name, int64_t *size) {
    Override *o = find_override(p, name);
    if (!o) return false;
    char *end;
    errno = 0;
    long long v = strtoll(o->value, &end, 10);
    o->used = true;
    if (errno || end == o->value || *end || v < 1 || v > SIZE_LIMIT) {
        report(&p->cx, (Loc){0}, E_OVERRIDE_VALUE, "%s=%s: a dim is a whole number from 1 to %d", name, o->value,
               SIZE_LIMIT);
        v = 1;
    }
    *size = v;
    return true;
}

static bool is_vocab(const Ast *e) { return e->kind == AST_CALL && ast_is_id(e->a, "vocab"); }

static bool vocab_argument(Program *p, const Ast *e, DimInfo *d) {
    static const char *const NAMES[] = {"by", "col", "min", "eos", NULL};
    Cx *cx = &p->cx;
    Num n;
    const Ast *bad, *v = e->a;
    if (!e->name || !strcmp(e->name, "by")) {
        if (v->kind != AST_STR) return report(cx, v->loc, E_STATIC, "vocab needs a text in quotes here");
        if (!e->name) d->vocab_file = v->name;
        else d->vocab_by = v->name;
        bool unit = !e->name || !strcmp(v->name, "char") || !strcmp(v->name, "word") || !strcmp(v->name, "line");
        return unit || report(cx, v->loc, E_STATIC, "a vocab is by \"char\", \"word\" or \"line\"");
    }
    if (!num_const(v, &n, &bad)) return report(cx, bad->loc, E_STATIC, "a number known at compile time is needed here");
    int64_t k = (int64_t)num_value(n);
    if (!strcmp(e->name, "col")) d->vocab_col = (int)k;
    else if (!strcmp(e->name, "min")) d->vocab_min = k;
    else if (!strcmp(e->name, "eos")) d->vocab_eos = k != 0;
    else return report(cx, v->loc, E_ARGUMENTS, "vocab has no parameter '%s'%s", e->name,
                       suggest_in(cx, e->name, NAMES));
    return true;
}

static bool vocab_size(Program *p, const Ast *it, DimInfo *d) {
    Cx *cx = &p->cx;
    const Ast *v = it->a;
    d->vocab = true;
    d->vocab_by = "char";
    d->vocab_min = 1;
    for (int i = 0; i < v->args.n; i++)
        if (!vocab_argument(p, v->args.at[i], d)) return false;
    if (!d->vocab_file) return report(cx, v->loc, E_ARGUMENTS, "vocab needs the name of a file");
    if (override_size(p, it->name, &d->size)) return true;
    if (!p->option.vocab)
        return report(cx, v->loc, E_FILE, "the file of vocab %s is needed to know its size", it->name);
    const char *why = "it cannot be read";
    if (p->option.vocab(p->option.cx, d, &d->size, &why))
        return d->size >= 1 || report(cx, v->loc, E_FILE, "vocab %s: %s has no symbols", it->name, d->vocab_file);
    const char *file = strstr(why, d->vocab_file) ? "" : arena_printf(p->arena, "%s: ", d->vocab_file);
    return report(cx, v->loc, E_FILE, "vocab %s: %s%s (%s=SIZE gives the size without the file)", it->name, file, why,
                  it->name);
}

/* The numbers of `in [..]`. */
static bool read_grid(Program *p, const Ast *list, const double **grid, int *n) {
    if (!list) return true;
    if (list->kind != AST_LIST) return report(&p->cx, list->loc, E_TABLE, "'in' takes a list of numbers: in [1, 2, 3]");
    double *v = ARENA_ARRAY(p->arena, double, list->args.n);
    for (int i = 0; i < list->args.n; i++) {
        Num k;
        const Ast *bad;
        if (!num_const(list->args.at[i], &k, &bad))
            return report(&p->cx, bad->loc, E_STATIC, "a number known at compile time is needed here");
        v[i] = num_value(k);
    }
    *grid = v;
    *n = list->args.n;
    return true;
}

static bool dim_size(Program *p, const Ast *it, Frame *f, DimInfo *d) {
    if (is_vocab(it->a)) return vocab_size(p, it, d);
    if (override_size(p, it->name, &d->size)) return true;
    Frame *g = frame_new(&p->cx, f, F_OTHER, NULL, NULL);
    Form form;
    bool bad;
    if (!size_form(&p->cx, it->a, g, &form)) return false;
    if (!dim_fits(&p->cx, form, it->a->loc, ast_text(p->arena, it->a))) return false;
    d->size = form_size(form, &bad);
    return true;
}

static Value *load_dim(Program *p, const Ast *it, Frame *f) {
    DimInfo d = {.name = it->name, .ragged = it->flag};
    if (!dim_size(p, it, f, &d) || !read_grid(p, it->b, &d.grid, &d.ngrid)) return value_poison(&p->cx);
    for (int i = 0; i < d.ngrid; i++)
        if (d.grid[i] < 1 || d.grid[i] != floor(d.grid[i]) || d.grid[i] > SIZE_LIMIT) {
            report(&p->cx, it->b->loc, E_SIZE, "the values of a dim are whole numbers of at least 1");
            return value_poison(&p->cx);
        }
    Dim *dim = ARENA_NEW(p->arena, Dim);
    *dim = (Dim){.name = it->name, .size = d.size, .ragged = it->flag, .vocab = d.vocab, .eos = d.vocab_eos,
                 .loc = it->loc};
    if (!it->loc.src->std) vec_push(p->arena, &p->dims, d);
    return value_dim(&p->cx, dim);
}

static Value *load_hyper(Program *p, const Ast *it) {
    Cx *cx = &p->cx;
    HyperInfo h = {.name = it->name};
    Num n;
    const Ast *bad;
    if (!num_const(it->a, &n, &bad)) {
        report(cx, bad->loc, E_STATIC, "a number known at compile time is needed here");
        return value_poison(cx);
    }
    h.value = num_value(n);
    Override *o = find_override(p, it->name);
    if (o) {
        char *end;
        h.value = strtod(o->value, &end);
        o->used = true;
        if (end == o->value || *end || !isfinite(h.value))
            report(cx, (Loc){0}, E_OVERRIDE_VALUE, "%s=%s: a hyper is a number", it->name, o->value);
    }
    if (!read_grid(p, it->b, &h.grid, &h.ngrid)) return value_poison(cx);
    vec_push(p->arena, &p->hypers, h);
    Value *v = value_tensor(cx, ty_scalar(B_F32));
    v->scalar = arena_printf(p->arena, "hyper.%s", it->name);
    return v;
}

/* ---- items ------------------------------------------------------------------------------------- */

static bool is_top(AstKind k) {
    static const AstKind TOP[] = {AST_USE, AST_NET, AST_DIM, AST_HYPER, AST_FN, AST_LAYER, AST_OPTIM, AST_DATA,
                                  AST_MODEL, AST_TRAIN};
    for (size_t i = 0; i < sizeof TOP / sizeof *TOP; i++)
        if (TOP[i] == k) return true;
    return false;
}

static Value *load_named(Program *p, const Ast *it, Frame *f) {
    Cx *cx = &p->cx;
    Value *v;
    switch (it->kind) {
    case AST_DIM: return load_dim(p, it, f);
    case AST_HYPER: return load_hyper(p, it);
    case AST_FN: case AST_LAYER: case AST_OPTIM:
        v = value_new(cx, V_FUNC);
        v->u.func = (Func){it, f};
        return it->kind != AST_FN || no_parameters(cx, &it->items) ? v : value_poison(cx);
    default:
        v = value_new(cx, V_ITEM);
        v->u.item = it;
        if (it->kind == AST_MODEL) vec_push(p->arena, &p->models, ((Model){.item = it}));
        else vec_push(p->arena, &p->datas, ((Data){.item = it}));
        return v;
    }
}

static void load_item(Program *p, const Ast *it, Frame *f) {
    Cx *cx = &p->cx;
    if (!is_top(it->kind)) {
        if (it->kind == AST_ASSIGN)
            report(cx, it->loc, E_PLACE, "an equation cannot stand at the top of a file: dim and hyper name numbers, "
                   "and values are computed in a body");
        else
            report(cx, it->loc, E_PLACE, "'%s' cannot stand at the top of a file: it belongs in a body",
                   ast_kind_name(it->kind));
        return;
    }
    if (it->kind == AST_USE || it->kind == AST_NET) return;
    if (it->kind == AST_TRAIN) {
        vec_push(p->arena, &p->trains, it);
        return;
    }
    if (is_reserved(it->name)) {
        report(cx, it->loc, E_BUILTIN, "'%s' is built in and cannot be redefined", it->name);
        return;
    }
    Entry *old = env_find(&f->env, it->name);
    if (old) {
        report(cx, it->loc, E_TWICE, "'%s' is declared twice", it->name);
        remark(cx, old->loc, "'%s' is declared here", it->name);
        return;
    }
    bool hides = (it->kind == AST_FN || it->kind == AST_LAYER || it->kind == AST_OPTIM) && lookup(f->parent, it->name);
    if (hides) remark(cx, it->loc, "this '%s' is used instead of the library's", it->name);
    Value *v = load_named(p, it, f);
    define(cx, f, it->name, v, it->loc);
}

static bool load_source(Program *p, const Source *src, int depth);

static const char *beside(Program *p, const char *path, const char *file) {
    const char *slash = strrchr(path, '/');
    if (!slash || file[0] == '/') return file;
    return arena_printf(p->arena, "%.*s/%s", (int)(slash - path), path, file);
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static const Source *open_source(Program *p, const char *path) {
    Source *s = ARENA_NEW(p->arena, Source);
    s->text = file_read(p->arena, path, FILE_LIMIT, &s->size);
    s->name = base_name(path);
    s->path = path;
    if (s->text && !strncmp(s->text, BYTE_ORDER_MARK, 3)) {
        s->text += 3;
        s->size -= 3;
    }
    return s->text ? s : NULL;
}

/* After open_source failed: false. */
static bool cannot_open(Program *p, Loc at, const char *path) {
    if (errno == EFBIG) return report(&p->cx, at, E_LIMIT_TEXT, "%s has more than %d MiB", path, FILE_LIMIT >> 20);
    return report(&p->cx, at, E_FILE, "cannot open %s: %s", path, strerror(errno));
}

static bool load_used(Program *p, const Ast *it, const Source *from, int depth) {
    const char *path = beside(p, from->path, it->name);
    for (int i = 0; i < p->loaded.n; i++)
        if (!strcmp(p->loaded.at[i], path)) return true;
    if (depth >= USE_DEPTH || p->loaded.n >= USE_FILES)
        return report(&p->cx, it->loc, E_LIMIT_DEPTH, "more than %d files, or 'use' more than %d deep", USE_FILES,
                      USE_DEPTH);
    const Source *s = open_source(p, path);
    if (!s) return cannot_open(p, it->loc, it->name);
    vec_push(p->arena, &p->loaded, path);
    return load_source(p, s, depth + 1);
}

/* Used files first, then the file's own items. False if its text does not parse. */
static bool load_source(Program *p, const Source *src, int depth) {
    AstList *items = ast_parse(p->arena, p->diag, src);
    if (!items) return false;
    bool ok = true;
    for (int i = 0; i < items->n; i++) {
        const Ast *it = items->at[i];
        if (it->kind == AST_USE) ok = load_used(p, it, src, depth) && ok;
        if (it->kind == AST_NET && it->num != 1)
            report(&p->cx, it->loc, E_FILE, "unknown language version %g: this compiler knows 1", it->num);
    }
    for (int i = 0; i < items->n; i++) load_item(p, items->at[i], src->std ? p->std : p->file);
    return ok;
}

/* ---- programs ---------------------------------------------------------------------------------- */

static Program *program_new(Arena *a, Diag *d, const FrontOptions *o) {
    Program *p = ARENA_NEW(a, Program);
    p->arena = a;
    p->diag = d;
    if (o) p->option = *o;
    p->trained = p->trained_data = -1;
    p->cx = (Cx){.arena = a, .diag = d, .next_var = VAR_FIRST};
    p->std = frame_new(&p->cx, NULL, F_FILE, NULL, NULL);
    p->file = frame_new(&p->cx, p->std, F_FILE, NULL, NULL);
    for (const StdFile *f = std_files; f->name; f++) {
        Source *s = ARENA_NEW(a, Source);
        *s = (Source){.name = f->name, .path = f->name, .text = f->text, .size = strlen(f->text), .std = true};
        int before = d->errors;
        if (!load_source(p, s, 0) || d->errors != before) ICE("the library file %s does not load", f->name);
    }
    return p;
}

static Program *finish(Program *p, const Source *src) {
    vec_push(p->arena, &p->loaded, src->path);
    return load_source(p, src, 0) ? p : NULL;
}

Program *program_load(Arena *a, Diag *d, const char *path, const FrontOptions *o) {
    Program *p = program_new(a, d, o);
    const Source *s = open_source(p, path);
    if (s) return finish(p, s);
    cannot_open(p, (Loc){0}, path);
    return NULL;
}

Program *program_load_text(Arena *a, Diag *d, const char *name, const char *text, const FrontOptions *o) {
    Program *p = program_new(a, d, o);
    Source *s = ARENA_NEW(a, Source);
    *s = (Source){.name = base_name(name), .path = name, .text = text, .size = strlen(text)};
    return finish(p, s);
}
