/* Which point of a tile lies in which lane of which vector. */
#include "codegen/nest_impl.h"

Layout layout_of(const Emit *e, int nvar, const int *var, int nlane, const int *lane, int width) {
    Layout l = {.nlane = nlane, .lanes = 1, .rows = 1};
    bool   in_lane[MAX_VARS] = {false};
    for (int i = 0; i < nlane; i++) {
        l.lane[i] = lane[i];
        in_lane[lane[i]] = true;
        l.lanes *= (int)e->count[lane[i]];
    }
    for (int i = 0; i < nvar; i++) {
        l.count[var[i]] = e->count[var[i]];
        if (in_lane[var[i]] || e->count[var[i]] == 1) continue;
        l.row[l.nrow++] = var[i];
        l.rows *= (int)e->count[var[i]];
    }
    l.width = 1;
    while (l.width < width && l.width < l.lanes) l.width *= 2;
    l.nvec = (l.lanes + l.width - 1) / l.width;
    return l;
}

Point layout_point(Emit *e, const Layout *l, int row, int vec) {
    Point p;
    memset(&p, 0, sizeof p);
    p.serial = ++e->serial;
    p.width = l->width;
    p.valid = l->lanes - vec * l->width < l->width ? l->lanes - vec * l->width : l->width;
    for (int i = l->nrow - 1; i >= 0; i--) {
        int v = l->row[i];
        for (int k = 0; k < p.width; k++) p.off[v][k] = row % l->count[v];
        row /= (int)l->count[v];
    }
    for (int k = 0; k < p.width; k++) {
        int64_t at = vec * l->width + (k < p.valid ? k : p.valid - 1);
        for (int i = 0; i < l->nlane; i++) {
            p.off[l->lane[i]][k] = at % l->count[l->lane[i]];
            at /= l->count[l->lane[i]];
        }
    }
    return p;
}

void layout_find(const Layout *l, const Point *p, int lane, int *row, int *at) {
    int64_t r = 0, position = 0;
    for (int i = 0; i < l->nrow; i++) r = r * l->count[l->row[i]] + p->off[l->row[i]][lane];
    for (int i = l->nlane - 1; i >= 0; i--) position = position * l->count[l->lane[i]] + p->off[l->lane[i]][lane];
    *row = (int)r;
    *at = (int)position;
}

void lin_offsets(const Emit *e, const Lin *a, const Point *p, int64_t out[POINT_LANES]) {
    for (int k = 0; k < p->width; k++) {
        out[k] = a->c;
        for (int v = 0; v < e->n->nvar; v++)
            if (a->k[v]) out[k] += a->k[v] * (e->konst[v] + p->off[v][k]);
    }
}

bool all_equal(const int64_t *x, int n) {
    for (int i = 1; i < n; i++)
        if (x[i] != x[0]) return false;
    return true;
}

bool consecutive(const int64_t *x, int n) {
    for (int i = 1; i < n; i++)
        if (x[i] != x[0] + i) return false;
    return true;
}
