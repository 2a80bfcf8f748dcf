/* A view as SVG: a row for each place in the order of computation, from the bottom up, a column for each step, from
 * left to right; what has no step stands left if it comes before them, else right. */
#include <math.h>
#include <string.h>

#include "ir/view_impl.h"

/* All lengths in pixels; the font has letters of one width. */
enum { LETTER = 7, TEXT = 14, PAD = 8, BOX = 38, ROW = 78, GAP = 26, COLUMN_GAP = 34, TITLE = 26, MARGIN = 16 };

typedef struct {
    double x, y, w;                /* left, top */
    int    row, column;
} Spot;

typedef struct {
    int    time, step;             /* time 0: what has no step */
    double x, w;
} Column;

typedef struct {
    const Drawing *d;
    Arena         *a;
    Buf           *b;
    Spot          *spot;
    VEC(Column)    columns;
    int            rows;
    double         width, height;
} Svg;

static const Box *box_at(const Svg *s, int shape) { return &s->d->v->boxes.at[s->d->shapes.at[shape].box]; }

/* ---- places ------------------------------------------------------------------------------------ */

/* A row above all that is read, the same for every step; what reads nothing but steps before stands just below its
 * first reader. */
static void find_rows(Svg *s) {
    const View *v = s->d->v;
    int        *row = ARENA_ARRAY(s->a, int, v->boxes.n), rounds = v->boxes.n;
    for (bool again = true; again && rounds-- > 0;) {
        again = false;
        for (int i = 0; i < v->arrows.n; i++) {
            const Arrow *a = &v->arrows.at[i];
            if (a->reach.carried || a->from == a->to || row[a->to] > row[a->from]) continue;
            row[a->to] = row[a->from] + 1;
            again = true;
        }
    }
    for (int k = 0; k < v->boxes.n; k++) {
        int low = -1;
        for (int i = 0; i < v->arrows.n && !row[k]; i++) {
            const Arrow *a = &v->arrows.at[i];
            if (a->from == k && a->to != k && !a->reach.carried && (low < 0 || row[a->to] < low)) low = row[a->to];
        }
        if (low > 0) row[k] = low - 1;
    }
    for (int k = 0; k < s->d->shapes.n; k++) {
        s->spot[k].row = row[s->d->shapes.at[k].box];
        if (s->spot[k].row >= s->rows) s->rows = s->spot[k].row + 1;
    }
}

/* Reads a step, by whatever way. */
static bool after_steps(const Svg *s, int shape, int depth) {
    for (int i = 0; i < s->d->lines.n && depth < s->d->shapes.n; i++) {
        const Line *l = &s->d->lines.at[i];
        if (l->to == shape && l->from != shape && (box_at(s, l->from)->time || after_steps(s, l->from, depth + 1)))
            return true;
    }
    return false;
}

static void add_column(Svg *s, int time, int step) {
    Column c = {.time = time, .step = step};
    vec_push(s->a, &s->columns, c);
}

static void find_columns(Svg *s) {
    const Drawing *d = s->d;
    add_column(s, 0, 0);
    for (int t = 1; t <= d->v->times.n; t++)
        for (int k = 0; k < (d->steps ? d->steps : 1); k++) add_column(s, t, k);
    add_column(s, 0, 1);
    for (int i = 0; i < d->shapes.n; i++) {
        int time = box_at(s, i)->time, step = d->shapes.at[i].step < 0 ? 0 : d->shapes.at[i].step;
        if (!time) step = after_steps(s, i, 0);
        for (int c = 0; c < s->columns.n; c++)
            if (s->columns.at[c].time == time && s->columns.at[c].step == step) s->spot[i].column = c;
    }
}

static double row_width(const Svg *s, int column, int row) {
    double w = 0;
    for (int i = 0; i < s->d->shapes.n; i++)
        if (s->spot[i].column == column && s->spot[i].row == row) w += s->spot[i].w + (w > 0 ? GAP : 0);
    return w;
}

static void place_all(Svg *s) {
    const Drawing *d = s->d;
    double x = MARGIN;
    for (int i = 0; i < d->shapes.n; i++) {
        size_t n = strlen(d->shapes.at[i].label), m = strlen(box_at(s, i)->note);
        s->spot[i].w = (double)(LETTER * (n > m ? n : m) + 2 * PAD);
    }
    find_rows(s);
    find_columns(s);
    for (int c = 0; c < s->columns.n; c++) {
        Column *k = &s->columns.at[c];
        for (int r = 0; r < s->rows; r++) k->w = fmax(k->w, row_width(s, c, r));
        k->x = x + (k->w > 0 ? GAP : 0);
        for (int r = 0; r < s->rows; r++) {
            double at = k->x + (k->w - row_width(s, c, r)) / 2;
            for (int i = 0; i < d->shapes.n; i++) {
                if (s->spot[i].column != c || s->spot[i].row != r) continue;
                s->spot[i].x = at;
                s->spot[i].y = MARGIN + ROW * (s->rows - r);
                at += s->spot[i].w + GAP;
            }
        }
        if (k->w > 0) x += k->w + 2 * GAP + COLUMN_GAP;
    }
    s->width = x + MARGIN;
    s->height = 2 * MARGIN + ROW * (s->rows + 1) + TITLE;
}

/* ---- drawing ----------------------------------------------------------------------------------- */

static void put_text(Svg *s, double x, double y, const char *anchor, const char *color, const char *text) {
    if (!*text) return;
    buf_printf(s->b, "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"%s\" fill=\"%s\">", x, y, anchor, color);
    for (; *text; text++) {
        if (*text == '<') buf_puts(s->b, "&lt;");
        else if (*text == '>') buf_puts(s->b, "&gt;");
        else if (*text == '&') buf_puts(s->b, "&amp;");
        else buf_putc(s->b, *text);
    }
    buf_puts(s->b, "</text>\n");
}

static void put_column(Svg *s, const Column *c) {
    if (!c->time || !(c->w > 0)) return;
    double top = MARGIN + ROW - GAP / 2, height = s->height - top - MARGIN / 2;
    buf_printf(
        s->b,
        "<rect x=\"%.0f\" y=\"%.0f\" width=\"%.0f\" height=\"%.0f\" rx=\"10\" fill=\"#fafafa\" stroke=\"#999999\"/>\n",
        c->x - GAP, top, c->w + 2 * GAP, height);
    put_text(s, c->x + c->w / 2, s->height - MARGIN, "middle", "#555555", drawing_title(s->d, c->time, c->step));
}

static void put_shape(Svg *s, int i) {
    const Spot *p = &s->spot[i];
    const Box  *box = box_at(s, i);
    buf_printf(s->b, "<rect x=\"%.0f\" y=\"%.0f\" width=\"%.0f\" height=\"%d\" fill=\"%s\" stroke=\"#333333\"/>\n",
               p->x, p->y, p->w, BOX, box_color(box));
    put_text(s, p->x + p->w / 2, p->y + (*box->note ? TEXT + 1 : TEXT + 8), "middle", "#000000",
             s->d->shapes.at[i].label);
    put_text(s, p->x + p->w / 2, p->y + 2 * TEXT + 2, "middle", "#555555", box->note);
}

static void put_curve(Svg *s, const Line *l, double x0, double y0, double x1, double y1, double dx, double dy) {
    const char *color = l->carried ? "#cc0000" : "#333333";
    buf_printf(s->b,
               "<path d=\"M%.0f,%.0f C%.0f,%.0f %.0f,%.0f %.0f,%.0f\" fill=\"none\" stroke=\"%s\"%s "
               "marker-end=\"url(#%s)\"/>\n",
               x0, y0, x0 + dx, y0 - dy, x1 + (l->carried ? (x1 > x0 ? -dx : dx) : dx), y1 + dy, x1, y1, color,
               l->carried ? " stroke-dasharray=\"5,3\"" : "", l->carried ? "back" : "on");
    double side = l->carried && x1 <= x0 ? dx : 0.75 * dx;
    put_text(s, (x0 + x1) / 2 + (l->carried && x1 > x0 ? 0 : side) + 2, (y0 + y1) / 2 - 3, "start",
             l->carried ? color : "#555555", l->mark);
}

/* Feedback leaves at the right and enters at the left, within a column at the right; else from top to bottom. What
 * passes a row in its own column goes round it. */
static void put_line(Svg *s, const Line *l) {
    const Spot *p = &s->spot[l->from], *q = &s->spot[l->to];
    if (l->carried && p->column < q->column)
        put_curve(s, l, p->x + p->w, p->y + BOX / 2, q->x, q->y + BOX / 2, COLUMN_GAP, 0);
    else if (l->carried && p->column > q->column)
        put_curve(s, l, p->x, p->y + BOX / 2 + 6, q->x + q->w, q->y + BOX / 2 + 6, -COLUMN_GAP, 0);
    else if (l->carried)
        put_curve(s, l, p->x + p->w, p->y + BOX / 4, q->x + q->w, q->y + 3 * BOX / 4,
                  GAP + 8 * fabs((double)(p->row - q->row)), 0);
    else {
        bool round =
            p->column == q->column && q->row > p->row + 1 && fabs(p->x + p->w / 2 - q->x - q->w / 2) < q->w / 2;
        put_curve(s, l, p->x + p->w / 2, p->y, q->x + q->w / 2, q->y + BOX, round ? fmax(p->w, q->w) / 2 : 0, ROW / 2);
    }
}

static void put_exit(Svg *s, const Exit *e) {
    const Spot *p = &s->spot[e->shape];
    double x = p->x + p->w / 2;
    buf_printf(s->b, "<path d=\"M%.0f,%.0f L%.0f,%.0f\" stroke=\"#333333\" marker-end=\"url(#on)\"/>\n", x, p->y, x,
               p->y - 16);
    put_text(s, x + 4, p->y - 20, "middle", "#000000", e->name);
}

void drawing_svg(const Drawing *d, Buf *b) {
    Svg s = {.d = d, .a = d->v->arena, .b = b, .spot = ARENA_ARRAY(d->v->arena, Spot, d->shapes.n + 1)};
    place_all(&s);
    buf_printf(b,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" font-family=\"monospace\" "
               "font-size=\"11\">\n"
               "<defs>",
               s.width, s.height);
    for (int k = 0; k < 2; k++)
        buf_printf(b,
                   "<marker id=\"%s\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" "
                   "orient=\"auto\">"
                   "<path d=\"M0,0 L8,4 L0,8 z\" fill=\"%s\"/></marker>",
                   k ? "back" : "on", k ? "#cc0000" : "#333333");
    buf_puts(b, "</defs>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
    for (int i = 0; i < s.columns.n; i++) put_column(&s, &s.columns.at[i]);
    for (int i = 0; i < d->lines.n; i++) put_line(&s, &d->lines.at[i]);
    for (int i = 0; i < d->shapes.n; i++) put_shape(&s, i);
    for (int i = 0; i < d->exits.n; i++) put_exit(&s, &d->exits.at[i]);
    buf_puts(b, "</svg>\n");
}
