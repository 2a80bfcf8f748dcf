/* Metrics that are no means: metric perplexity = exp(ratio(sum[t](ce[t]), T)).
 *
 * ratio(a, b) is the sum of a over all examples of a split by the sum of b. The sums are outputs of the graph; the
 * arithmetic around them is a formula that the runtime evaluates, [[0], "exp"]: ratios by their numbers, numbers,
 * operators, in the order of a stack machine.
 */
#include <string.h>

#include "frontend/check.h"

static bool is_ratio(const Ast *e, void *cx) {
    (void)cx;
    return e->kind == AST_CALL && ast_is_id(e->a, "ratio");
}

/* A function of that name in the program is the user's. */
bool has_ratio(const Ast *e, const Frame *f) { return !lookup(f, "ratio") && ast_find(e, is_ratio, NULL); }

typedef struct {
    Cx     *cx;
    Frame  *frame;
    Metric *metric;
    Buf     out;
} Formula;

static bool put(Formula *m, const Ast *e);

static void word(Formula *m, const char *s) { buf_printf(&m->out, "%s\"%s\"", m->out.n ? "," : "", s); }

/* A number per example. */
static bool part(Formula *m, const Ast *e) {
    Value *v = eval_tensor(m->cx, e, m->frame);
    if (!v) return false;
    if (v->ty.rank || v->ty.base == B_ELEMENT)
        return report(m->cx, e->loc, E_LOSS, "ratio takes two numbers of each example, this is %s",
                      ty_text(m->cx->arena, &v->ty));
    vec_push(m->cx->arena, &m->metric->parts, v);
    return true;
}

static bool put_ratio(Formula *m, const Ast *e) {
    if (e->args.n != 2 || e->args.at[0]->name || e->args.at[1]->name)
        return report(m->cx, e->loc, E_ARGUMENTS, "ratio takes two arguments: ratio(a, b), the sum of a by that of b");
    buf_printf(&m->out, "%s[%d]", m->out.n ? "," : "", m->metric->parts.n / 2);
    return part(m, e->args.at[0]->a) && part(m, e->args.at[1]->a);
}

static bool put_number(Formula *m, const Ast *e) {
    Num    n;
    Value *v = eval(m->cx, e, m->frame);
    if (!v || !as_static(m->cx, v, e->loc, &n)) return false;
    if (m->out.n) buf_putc(&m->out, ',');
    buf_number(&m->out, num_value(n));
    return true;
}

static const char *function_of(const Ast *e) {
    static const char *const NAMES[] = {"exp", "log", "sqrt"};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (e->kind == AST_CALL && ast_is_id(e->a, NAMES[i]) && e->args.n == 1) return NAMES[i];
    return NULL;
}

static const char *operator_of(const Ast *e) {
    static const char *const NAMES[] = {[BIN_ADD] = "add", [BIN_SUB] = "sub", [BIN_MUL] = "mul", [BIN_EMUL] = "mul",
                                        [BIN_DIV] = "div", [BIN_EDIV] = "div", [BIN_POW] = "pow"};
    return e->kind == AST_BIN && e->op < sizeof NAMES / sizeof *NAMES ? NAMES[e->op] : NULL;
}

static bool put(Formula *m, const Ast *e) {
    const char *name = function_of(e), *op = operator_of(e);
    if (!ast_find(e, is_ratio, NULL)) return put_number(m, e);
    if (is_ratio(e, NULL)) return put_ratio(m, e);
    if (e->kind == AST_TUPLE && e->args.n == 1) return put(m, e->args.at[0]);
    if (op && (!put(m, e->a) || !put(m, e->b))) return false;
    if (name && !put(m, e->args.at[0]->a)) return false;
    if (e->kind == AST_NEG && !put(m, e->a)) return false;
    if (!op && !name && e->kind != AST_NEG)
        return report(m->cx, e->loc, E_LOSS, "around ratio(a, b) stand + - * / ^ exp log sqrt and numbers known at "
                      "compile time");
    word(m, op ? op : name ? name : "neg");
    return true;
}

bool ratio_metric(Cx *cx, const Ast *e, Frame *f, Metric *metric) {
    Formula m = {cx, f, metric, buf_new(cx->arena)};
    if (!put(&m, e)) return false;
    metric->formula = arena_printf(cx->arena, "[%s]", m.out.s);
    return true;
}
