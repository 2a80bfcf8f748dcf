/* The check of a whole program: every function of every model over types alone, then data and train. */
#include <string.h>

#include "frontend/lower.h"
#include "frontend/program.h"

enum { ROUNDS = 4 };

/* ---- models ------------------------------------------------------------------------------------ */

static const Ast *objective_of(Program *p, const Ast *m) {
    const Ast *found = NULL;
    for (int i = 0; i < m->items.n; i++) {
        if (m->items.at[i]->kind != AST_OBJECTIVE) continue;
        if (found) {
            report(&p->cx, m->items.at[i]->loc, E_OBJECTIVE, "a second objective");
            break;
        }
        found = m->items.at[i];
    }
    return found;
}

static bool typed(const Ast *fn) {
    for (int i = 0; i < fn->params.n; i++)
        if (!fn->params.at[i]->type) return false;
    return true;
}

/* The metrics of an objective with a mistake in it: what a train block names is there. */
static void written_metrics(Program *p, const Ast *item, FuncInfo *info) {
    info->metric = ARENA_ARRAY(p->arena, const char *, item->items.n);
    for (int i = 0; i < item->items.n; i++)
        if (item->items.at[i]->kind == AST_METRIC) info->metric[info->nmetric++] = item->items.at[i]->name;
}

static void note_lengths(Program *p, FuncInfo *info) {
    const Cx *cx = &p->cx;
    info->length = ARENA_ARRAY(p->arena, const char *, cx->known.n);
    info->found = ARENA_ARRAY(p->arena, const char *, cx->until.n);
    info->nlength = info->nfound = 0;
    for (int i = 0; i < cx->until.n; i++) info->found[info->nfound++] = cx->until.at[i]->name;
    for (int i = 0; i < cx->known.n; i++) {
        bool there = false;
        for (int k = 0; k < info->nlength; k++) there |= !strcmp(info->length[k], cx->known.at[i]->name);
        for (int k = 0; k < info->nfound; k++) there |= !strcmp(info->found[k], cx->known.at[i]->name);
        if (!there) info->length[info->nlength++] = cx->known.at[i]->name;
    }
}

static void note_function(Program *p, Function *f, const Ast *item, const Walk *w) {
    *f = (Function){.item = item, .sequence = p->cx.sequence};
    f->info.name = item->kind == AST_OBJECTIVE ? "objective" : item->name;
    f->info.recurrent = p->cx.sequence.src != NULL;
    f->info.sequence = p->cx.sequence;
    note_lengths(p, &f->info);
    f->info.wrong = !w->ok;
    if (w->ok) walk_ports(p, item, w, &f->info);
    else written_metrics(p, item, &f->info);
}

static void check_objective(Program *p, Model *m, const Ast *obj) {
    for (int training = 1; training >= 0; training--) {
        Walk w = walk_function(p, m->item, obj, training);
        if (w.ok && !w.frame->out->loss) report(&p->cx, obj->loc, E_OBJECTIVE, "the objective has no loss");
        note_function(p, &m->objective, obj, &w);
    }
}

static const Inst *owner_of(const Cx *cx, const char *key) {
    const Inst *best = NULL;
    for (int i = 0; i < cx->insts.list.n; i++) {
        const Inst *x = cx->insts.list.at[i].value->u.inst;
        size_t n = strlen(x->path);
        if (!strncmp(key, x->path, n) && key[n] == '.' && (!best || n < strlen(best->path))) best = x;
    }
    return best;
}

/* A parameter that appeared after `trained` of them were known is used by an entry alone. */
static bool all_trained(Program *p, const Ast *entry, int trained) {
    const Param *first = NULL;
    for (int i = trained; i < p->cx.params.n; i++)
        if (!first || strcmp(p->cx.params.at[i]->key, first->key) < 0) first = p->cx.params.at[i];
    if (!first) return true;
    const Inst *site = owner_of(&p->cx, first->key);
    int errors = p->diag->errors;
    report(&p->cx, site ? site->loc : first->item->loc, E_UNTRAINED,
           "%s is used by entry %s alone and is never trained", first->key, entry->name);
    advise(&p->cx, errors, "an instance that is named in the model (d = Dense(3)) serves the objective and the entry");
    return false;
}

static bool check_round(Program *p, Model *m, const Ast *obj) {
    int errors = p->diag->errors;
    if (obj) check_objective(p, m, obj);
    int trained = p->cx.params.n;
    bool reported = p->diag->errors > errors;
    m->entries.n = 0;
    for (int i = 0; i < m->item->items.n; i++) {
        const Ast *it = m->item->items.at[i];
        if (it->kind != AST_ENTRY && (it->kind != AST_FN || !typed(it))) continue;
        Walk w = walk_function(p, m->item, it, false);
        if (it->kind != AST_ENTRY) continue;
        Function f;
        note_function(p, &f, it, &w);
        vec_push(p->arena, &m->entries, f);
        if (obj && !reported) reported = !all_trained(p, it, trained);
    }
    return p->diag->errors == errors;
}

static InitInfo init_info(const Ast *it) {
    const Ast *e = it->a, *bad;
    Num n = num_int(0);
    if (!it->flag) {
        num_const(e, &n, &bad);
        double v = num_value(n);
        return (InitInfo){v == 0 ? "zeros" : "constant", v};
    }
    InitInfo i = {(e->kind == AST_CALL ? e->a : e)->name, 1};
    if (e->kind == AST_CALL && e->args.n && num_const(e->args.at[0]->a, &n, &bad)) i.arg = num_value(n);
    return i;
}

/* The parameters of a model: what nothing reads does not exist. */
static void model_params(Program *p, Model *m) {
    size_t n = strlen(m->item->name);
    VEC(ParamInfo) list = {0};
    for (int i = 0; i < p->cx.params.n; i++) {
        const Param *q = p->cx.params.at[i];
        if (!q->read || strncmp(q->key, m->item->name, n) || q->key[n] != '.') continue;
        ParamInfo info = {.key = q->key, .layer = q->path, .decl = q->decl->name, .loc = q->item->loc};
        info.type = lower_type(&p->cx, &q->ty, false);
        info.init = init_info(q->item);
        vec_push(p->arena, &list, info);
    }
    m->info.param = list.at;
    m->info.nparam = list.n;
}

/* A state that nothing moves is a constant: a `next` was forgotten. */
static void check_states(Program *p, int from) {
    for (int i = from; i < p->cx.states.n; i++) {
        const State *s = p->cx.states.at[i];
        const char *name = strrchr(s->key, '.');
        if (!s->moves)
            diag_warning(p->diag, s->loc, W_STATE_UNMOVED, "state %s has no 'next': it stays at its first value",
                         name ? name + 1 : s->key);
    }
}

static void check_model(Program *p, Model *m) {
    int states = p->cx.states.n;
    const Ast *obj = objective_of(p, m->item);
    bool ok = true;
    for (int round = 0; ok && round < ROUNDS; round++) {
        p->cx.changed = false;
        ok = check_round(p, m, obj);
        if (!p->cx.changed) break;
    }
    if (!obj && !m->entries.n) walk_model(p, m->item);
    if (ok) check_states(p, states);
    m->info.name = m->item->name;
    m->info.objective = m->objective.info;
    m->info.nentry = m->entries.n;
    m->info.entry = ARENA_ARRAY(p->arena, FuncInfo, m->entries.n);
    for (int i = 0; i < m->entries.n; i++) m->info.entry[i] = m->entries.at[i].info;
    model_params(p, m);
}

/* ---- data -------------------------------------------------------------------------------------- */

static bool host_number(void *cx, const Ast *e, double *value) {
    Program *p = cx;
    p->cx.muted++;
    Num n;
    Value *v = eval(&p->cx, e, frame_new(&p->cx, p->file, F_OTHER, NULL, NULL));
    bool ok = v && as_static(&p->cx, v, e->loc, &n);
    p->cx.muted--;
    if (ok) *value = num_value(n);
    return ok;
}

static const Ast *host_function(void *cx, const char *name) {
    Program *p = cx;
    Value *v = lookup(p->file, name);
    return v && v->kind == V_FUNC && v->u.func.decl->kind == AST_FN ? v->u.func.decl : NULL;
}

static const char *host_suggest(void *cx, const char *name) {
    Program *p = cx;
    VEC(const char *) names = {0};
    for (Frame *f = p->file; f; f = f->parent)
        for (int i = 0; i < f->env.list.n; i++)
            if (host_function(p, f->env.list.at[i].name)) vec_push(p->arena, &names, f->env.list.at[i].name);
    return suggest(&p->cx, name, names.at, names.n);
}

static BlockHost *block_host(Program *p) {
    BlockHost *h = ARENA_NEW(p->arena, BlockHost);
    *h = (BlockHost){host_number, host_function, host_suggest, p};
    return h;
}

/* Rows say how long they are, so a field is over dims that have lengths of their own. */
static bool field_type(Program *p, const Ast *q, Frame *f, Ty *ty) {
    if (!q->type) return report(&p->cx, q->loc, E_TYPE, "the type of '%s' is missing", q->name);
    if (!type_read(&p->cx, q->type, f, ty)) return false;
    for (int i = 0; i < ty->rank; i++)
        if (ty->dim[i]->derived || ty->dim[i]->floored)
            return report(&p->cx, q->type->loc, E_TYPE, "a field of data has declared dims, and %s is made of others: "
                          "declare a dim for it (dim U <= %lld)", dim_text(p->arena, ty->dim[i]),
                          (long long)ty->dim[i]->size);
    return true;
}

/* A text over a dim that no vocab declares is a text of bytes. */
static void mark_bytes(Program *p, const PortInfo *field, int n) {
    for (int i = 0; i < n; i++)
        for (int k = 0; field[i].dim && k < p->dims.n; k++) {
            DimInfo *d = &p->dims.at[k];
            d->bytes |= !strcmp(d->name, field[i].dim) && !d->vocab && d->size == 256;
        }
}

static void check_data(Program *p, Data *d) {
    int n = d->item->params.n;
    Frame *f = frame_new(&p->cx, p->file, F_OTHER, NULL, d->item);
    bool ok = true;
    d->field = ARENA_ARRAY(p->arena, PortInfo, n);
    d->ty = ARENA_ARRAY(p->arena, Ty, n);
    for (int i = 0; i < n; i++) {
        const Ast *q = d->item->params.at[i];
        d->ty[i] = ty_scalar(B_UNKNOWN);
        ok &= field_type(p, q, f, &d->ty[i]);
        d->field[i] = port_info(p, q->name, &d->ty[i]);
    }
    if (ok) d->block = data_block_check(p->arena, p->diag, d->item, d->field, n, block_host(p));
    if (d->block && data_block_has_text(d->block)) mark_bytes(p, d->field, n);
}

/* ---- train ------------------------------------------------------------------------------------- */

static int model_number(const Program *p, const char *name) {
    for (int i = 0; i < p->models.n; i++)
        if (!strcmp(p->models.at[i].item->name, name)) return i;
    return -1;
}

static int data_number(const Program *p, const char *name) {
    for (int i = 0; i < p->datas.n; i++)
        if (!strcmp(p->datas.at[i].item->name, name)) return i;
    return -1;
}

static bool find_targets(Program *p, const Ast *t, int *m, int *d) {
    const char **names = ARENA_ARRAY(p->arena, const char *, p->models.n + p->datas.n);
    *m = model_number(p, t->name);
    *d = data_number(p, t->text);
    for (int i = 0; i < p->models.n; i++) names[i] = p->models.at[i].item->name;
    if (*m < 0)
        return report(&p->cx, t->loc, E_NAME, "unknown model '%s'%s", t->name,
                      suggest(&p->cx, t->name, names, p->models.n));
    for (int i = 0; i < p->datas.n; i++) names[i] = p->datas.at[i].item->name;
    if (*d < 0)
        return report(&p->cx, t->loc, E_NAME, "unknown data '%s'%s", t->text,
                      suggest(&p->cx, t->text, names, p->datas.n));
    return true;
}

static const char *field_names(Program *p, const Ast *data) {
    Buf b = buf_new(p->arena);
    for (int i = 0; i < data->params.n; i++) buf_printf(&b, "%s%s", i ? ", " : "", data->params.at[i]->name);
    return b.n ? b.s : "nothing";
}

/* The objective's arguments are fields of the data, with equal types. */
static bool check_fields(Program *p, const Ast *t, const Ast *obj, const Data *d) {
    Frame *f = frame_new(&p->cx, p->file, F_OTHER, NULL, NULL);
    bool ok = true;
    for (int i = 0; obj && i < obj->params.n; i++) {
        const Ast *q = obj->params.at[i];
        int k = 0;
        while (k < d->item->params.n && strcmp(d->item->params.at[k]->name, q->name)) k++;
        if (k == d->item->params.n) {
            ok = report(&p->cx, q->loc, E_MATCH, "the objective needs '%s'; data %s has %s", q->name, t->text,
                        field_names(p, d->item));
            continue;
        }
        Ty ty;
        if (!q->type || !type_read(&p->cx, q->type, f, &ty) || ty_same(&ty, &d->ty[k])) continue;
        ok = report(&p->cx, q->loc, E_MATCH, "'%s' is %s here and %s in data %s", q->name, ty_text(p->arena, &ty),
                    ty_text(p->arena, &d->ty[k]), t->text);
        remark(&p->cx, d->item->params.at[k]->loc, "'%s' is declared here", q->name);
    }
    return ok;
}

static void check_train(Program *p, const Ast *t) {
    int m, d;
    if (!find_targets(p, t, &m, &d)) return;
    const Model *model = &p->models.at[m];
    p->trained = m;
    p->trained_data = d;
    if (!check_fields(p, t, model->objective.item, &p->datas.at[d])) return;
    TrainNames *names = ARENA_NEW(p->arena, TrainNames);
    *names = (TrainNames){.metric = model->info.objective.metric, .nmetric = model->info.objective.nmetric,
                          .hyper = p->hypers.at, .nhyper = p->hypers.n, .dim = p->dims.at, .ndim = p->dims.n,
                          .entry = model->info.entry, .nentry = model->info.nentry,
                          .field = p->datas.at[d].block ? p->datas.at[d].field : NULL,
                          .nfield = p->datas.at[d].item->params.n,
                          .host = block_host(p)};
    p->train = train_block_check(p->arena, p->diag, t, names, p->option.override, p->option.noverride);
    if (p->train) check_optimizer(p);
}

/* ---- the whole --------------------------------------------------------------------------------- */

static void check_overrides(Program *p) {
    VEC(const char *) names = {0};
    for (int i = 0; i < p->dims.n; i++) vec_push(p->arena, &names, p->dims.at[i].name);
    for (int i = 0; i < p->hypers.n; i++) vec_push(p->arena, &names, p->hypers.at[i].name);
    /* The first is known without a train block, too. */
    static const char *const KEYS[] = {"train.batch", "train.seed", "train.epochs", "train.l2", "train.l1",
                                       "train.clip", "train.ensemble"};
    size_t n = p->trains.n ? sizeof KEYS / sizeof *KEYS : 1;
    for (size_t i = 0; i < n; i++) vec_push(p->arena, &names, KEYS[i]);
    for (int i = 0; i < p->option.noverride; i++) {
        const Override *o = &p->option.override[i];
        bool unread = p->trains.n && !p->train && !strncmp(o->name, "train.", 6);      /* after a mistake */
        if (!o->used && !unread && !p->option.keep_unknown)
            report(&p->cx, (Loc){0}, E_OVERRIDE, "%s=%s: the program has no dim, hyper or train key '%s'%s", o->name,
                   o->value, o->name, suggest(&p->cx, o->name, names.at, names.n));
    }
}

bool program_check(Program *p) {
    if (p->checked) return p->diag->errors == 0;
    p->checked = true;
    for (int i = 0; i < p->models.n; i++) check_model(p, &p->models.at[i]);
    for (int i = 0; i < p->datas.n; i++) check_data(p, &p->datas.at[i]);
    for (int i = 0; i < p->trains.n; i++) check_train(p, p->trains.at[i]);
    const FrontOptions *o = &p->option;
    if (!p->trains.n) p->batch = train_batch(p->arena, p->diag, block_host(p), o->override, o->noverride);
    check_overrides(p);
    return p->diag->errors == 0;
}
