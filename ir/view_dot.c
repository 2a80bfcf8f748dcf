/* The two views of a recurrent network. The cell: each box once, with the feedback edges, dashed, from a value to
 * the step that reads it. Unrolled: the boxes of a step N times, side by side. As text for graphviz here, as SVG
 * in view_svg.c. */
#include <ctype.h>
#include <string.h>

#include "ir/view_impl.h"

enum { CELL_DEPTH = 0, UNROLLED_DEPTH = 2 };

/* ---- what is drawn ----------------------------------------------------------------------------- */

const char *box_color(const Box *b) {
    if (b->op == OP_INPUT) return "#d9ead3";
    if (b->op == OP_STATE) return "#ffe0b3";
    return "#dbe9f7";
}

static bool is_letter(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* "h[t-1]" at step 2 with the variable t: "h[1]". */
static const char *at_step(Arena *a, const char *s, const char *var, int step) {
    Buf    b = buf_new(a);
    size_t n = strlen(var);
    for (const char *p = s; *p;) {
        bool opens = p > s && strchr("[, ", p[-1]) && memchr(s, '[', (size_t)(p - s));
        if (!opens || strncmp(p, var, n) || is_letter(p[n]) || !strchr("],+- ", p[n])) {
            buf_putc(&b, *p++);
            continue;
        }
        int at = step;
        p += n;
        if ((*p == '-' || *p == '+') && isdigit((unsigned char)p[1])) {
            int k = 0, sign = *p == '-' ? -1 : 1;
            for (p++; isdigit((unsigned char)*p) && k < 1000000; p++) k = 10 * k + (*p - '0');
            at += sign * k;
        }
        buf_printf(&b, "%d", at);
    }
    return b.n ? b.s : "";
}

static const char *var_of(const View *v, int time) {
    const char *var = time ? v->times.at[time - 1].var : NULL;
    return var ? var : "t";
}

const char *drawing_title(const Drawing *d, int time, int step) {
    const Time *t = &d->v->times.at[time - 1];
    const char *var = var_of(d->v, time);
    if (d->steps) return arena_printf(d->v->arena, "%s = %d", var, step);
    if (t->name) return arena_printf(d->v->arena, "each %s in %s", var, t->name);
    return arena_printf(d->v->arena, "each %s < %lld", var, (long long)t->trip.size);
}

static void add_shapes(Drawing *d) {
    const View *v = d->v;
    for (int i = 0; i < v->boxes.n; i++) {
        const Box *b = &v->boxes.at[i];
        bool       many = d->steps && b->time;
        for (int s = 0; s < (many ? d->steps : 1); s++) {
            Shape x = {i, many ? s : -1, many ? at_step(v->arena, b->label, var_of(v, b->time), s) : b->label};
            vec_push(v->arena, &d->shapes, x);
        }
    }
}

static int shape_of(const Drawing *d, int box, int step) {
    for (int i = 0; i < d->shapes.n; i++)
        if (d->shapes.at[i].box == box && (d->shapes.at[i].step < 0 || d->shapes.at[i].step == step)) return i;
    ICE("box %d has no step %d", box, step);
}

static void add_line(Drawing *d, const Arrow *a, int from, int to, const char *mark) {
    Line l = {shape_of(d, a->from, from), shape_of(d, a->to, to), a->reach.carried, mark};
    vec_push(d->v->arena, &d->lines, l);
}

/* How an arrow of the cell is marked. */
static const char *mark_of(const Drawing *d, const Arrow *a) {
    const Reach *r = &a->reach;
    Arena       *m = d->v->arena;
    const char  *var = var_of(d->v, d->v->boxes.at[a->from].time);
    if (r->kind == REACH_ALL) return "all";
    if (r->kind == REACH_LAST) return r->first ? "from last" : "last";
    if (r->first) return "from";
    if (r->name) return r->name;
    if (r->lo == r->hi) return r->lo ? arena_printf(m, "[%s%+d]", var, r->lo) : "";
    return arena_printf(m, "[%s%+d .. %s%+d]", var, r->lo, var, r->hi);
}

/* The copies of an arrow: which step it leaves, which it enters. */
static void unroll(Drawing *d, const Arrow *a) {
    const Reach *r = &a->reach;
    int  from = d->v->boxes.at[a->from].time, to = d->v->boxes.at[a->to].time, n = d->steps;
    for (int t = 0; t < (to ? n : 1); t++) {
        if (r->first && to && t != (r->first_back ? n - 1 : 0)) continue;
        for (int s = 0; s < (from ? n : 1); s++) {
            bool drawn = !from || r->kind == REACH_ALL;
            if (from && r->kind == REACH_LAST) drawn = s == (r->reverse ? 0 : n - 1);
            if (from && r->kind == REACH_STEPS) drawn = from != to || (s - t >= r->lo && s - t <= r->hi);
            if (from && r->kind == REACH_INNER) drawn = s == t;
            const char *mark = r->name ? at_step(d->v->arena, r->name, var_of(d->v, to), t) : r->first ? "from" : "";
            if (drawn) add_line(d, a, s, t, mark);
        }
    }
}

static void add_exits(Drawing *d, const Ending *e) {
    int  time = d->v->boxes.at[e->box].time, n = d->steps && time ? d->steps : 1;
    bool whole = time && e->reach.kind != REACH_LAST;
    for (int s = 0; s < n; s++) {
        Exit x = {shape_of(d, e->box, s), e->name};
        if (!whole && d->steps && time && s != (e->reach.reverse ? 0 : n - 1)) continue;
        if (whole && d->steps) x.name = arena_printf(d->v->arena, "%s[%d]", e->name, s);
        else if (whole) x.name = arena_printf(d->v->arena, "%s[%s]", e->name, var_of(d->v, time));
        vec_push(d->v->arena, &d->exits, x);
    }
}

Drawing drawing_of(const View *v, int steps) {
    Drawing d = {.v = v, .steps = steps};
    add_shapes(&d);
    for (int i = 0; i < v->arrows.n; i++) {
        if (steps) unroll(&d, &v->arrows.at[i]);
        else add_line(&d, &v->arrows.at[i], 0, 0, mark_of(&d, &v->arrows.at[i]));
    }
    for (int i = 0; i < v->endings.n; i++) add_exits(&d, &v->endings.at[i]);
    return d;
}

/* ---- as text for graphviz ---------------------------------------------------------------------- */

static void put_text(Buf *b, const char *s) {
    for (; *s; s++) {
        if (*s == '"' || *s == '\\') buf_putc(b, '\\');
        buf_putc(b, *s);
    }
}

static void put_shape(Buf *b, const Drawing *d, int i) {
    const Shape *x = &d->shapes.at[i];
    const Box   *box = &d->v->boxes.at[x->box];
    buf_printf(b, "    b%d [fillcolor=\"%s\", label=\"", i, box_color(box));
    put_text(b, x->label);
    if (*box->note) buf_printf(b, "\\n%s", box->note);
    buf_puts(b, "\"];\n");
}

static void put_column(Buf *b, const Drawing *d, int time, int step) {
    bool any = false;
    for (int i = 0; i < d->shapes.n; i++) {
        const Shape *x = &d->shapes.at[i];
        if (d->v->boxes.at[x->box].time != time || (x->step >= 0 && x->step != step)) continue;
        if (!any)
            buf_printf(b, "  subgraph cluster_%d_%d {\n    style=rounded; color=\"#999999\"; label=\"%s\";\n", time,
                       step, drawing_title(d, time, step));
        any = true;
        put_shape(b, d, i);
    }
    if (any) buf_puts(b, "  }\n");
}

static void drawing_dot(const Drawing *d, const char *name, Buf *b) {
    buf_puts(b, "digraph ");
    buf_json(b, name);
    buf_puts(b, " {\n  rankdir=BT; node [shape=box, style=filled, fontname=\"monospace\", fontsize=10];\n"
                "  edge [fontname=\"monospace\", fontsize=9];\n");
    for (int i = 0; i < d->shapes.n; i++)
        if (!d->v->boxes.at[d->shapes.at[i].box].time) put_shape(b, d, i);
    for (int t = 1; t <= d->v->times.n; t++)
        for (int s = 0; s < (d->steps ? d->steps : 1); s++) put_column(b, d, t, s);
    for (int i = 0; i < d->lines.n; i++) {
        const Line *l = &d->lines.at[i];
        buf_printf(b, "  b%d -> b%d [label=\"", l->from, l->to);
        put_text(b, l->mark);
        buf_printf(b, "\"%s];\n", l->carried ? ", style=dashed, color=\"#cc0000\", constraint=false" : "");
    }
    for (int i = 0; i < d->exits.n; i++) {
        buf_printf(b, "  o%d [shape=plaintext, style=\"\", label=\"", i);
        put_text(b, d->exits.at[i].name);
        buf_printf(b, "\"];\n  b%d -> o%d;\n", d->exits.at[i].shape, i);
    }
    buf_puts(b, "}\n");
}

void graph_view(const Graph *g, int steps, bool svg, FILE *out) {
    Arena  *a = arena_new();
    View    v = view_of(g, steps ? UNROLLED_DEPTH : CELL_DEPTH, a);
    Drawing d = drawing_of(&v, steps);
    Buf     b = buf_new(a);
    if (svg) drawing_svg(&d, &b);
    else drawing_dot(&d, g->name, &b);
    fputs(b.s, out);
    arena_free(a);
}
