/* Dims and forms: what a size is, when two are the same, how they print. */
#include "frontend/dims.h"

#include "base/str.h"

Dim *dim_number(Arena *a, int64_t size) {
    Dim *d = ARENA_NEW(a, Dim);
    d->size = size;
    return d;
}

Form form_number(int64_t c) { return (Form){.c = c}; }

static Form form_atom(Arena *a, Dim *d) {
    Form f = {.n = 1, .atom = ARENA_NEW(a, Atom)};
    f.atom[0] = (Atom){d, 1};
    return f;
}

Form form_of(Arena *a, Dim *d) {
    if (d->derived) return d->form;
    if (!d->name && !d->floored) return form_number(d->size);
    return form_atom(a, d);
}

Form form_add(Arena *a, Form x, Form y, int64_t scale) {
    Form r = {.atom = ARENA_ARRAY(a, Atom, x.n + y.n), .bad = x.bad || y.bad};
    for (int i = 0; i < x.n; i++) r.atom[r.n++] = x.atom[i];
    for (int i = 0; i < y.n; i++) {
        int64_t k;
        r.bad |= __builtin_mul_overflow(y.atom[i].k, scale, &k);
        int j = 0;
        while (j < r.n && r.atom[j].dim != y.atom[i].dim) j++;
        if (j == r.n) r.atom[r.n++] = (Atom){y.atom[i].dim, 0};
        r.bad |= __builtin_add_overflow(r.atom[j].k, k, &r.atom[j].k);
    }
    int n = 0;
    for (int i = 0; i < r.n; i++)
        if (r.atom[i].k) r.atom[n++] = r.atom[i];
    r.n = n;
    int64_t c;
    r.bad |= __builtin_mul_overflow(y.c, scale, &c);
    r.bad |= __builtin_add_overflow(x.c, c, &r.c);
    return r;
}

Form form_scale(Arena *a, Form x, int64_t k) { return form_add(a, form_number(0), x, k); }

bool form_ragged(Form f) {
    for (int i = 0; i < f.n; i++)
        if (f.atom[i].dim->ragged) return true;
    return false;
}

bool form_equal(Form x, Form y) {
    if (x.n != y.n || x.c != y.c) return false;
    for (int i = 0; i < x.n; i++) {
        int j = 0;
        while (j < y.n && y.atom[j].dim != x.atom[i].dim) j++;
        if (j == y.n || y.atom[j].k != x.atom[i].k) return false;
    }
    return true;
}

int64_t form_size(Form f, bool *bad) {
    int64_t s = f.c;
    *bad = f.bad;
    for (int i = 0; i < f.n; i++) {
        int64_t k;
        *bad |= __builtin_mul_overflow(f.atom[i].k, f.atom[i].dim->size, &k);
        *bad |= __builtin_add_overflow(s, k, &s);
    }
    return s;
}

static int64_t floor_div(int64_t x, int64_t k) { return x / k - (x % k < 0); }

Form form_div(Arena *a, FloorTable *t, Form f, int64_t k) {
    bool exact = f.c % k == 0, bad;
    for (int i = 0; i < f.n; i++) exact = exact && f.atom[i].k % k == 0;
    if (exact) {
        Form r = {.n = f.n, .atom = ARENA_ARRAY(a, Atom, f.n), .c = f.c / k, .bad = f.bad};
        for (int i = 0; i < f.n; i++) r.atom[i] = (Atom){f.atom[i].dim, f.atom[i].k / k};
        return r;
    }
    int64_t size = floor_div(form_size(f, &bad), k);
    if (!form_ragged(f)) {
        Form r = form_number(size);
        r.bad = bad;
        return r;
    }
    for (int i = 0; i < t->n; i++)
        if (t->at[i]->div == k && form_equal(t->at[i]->over, f)) return form_atom(a, t->at[i]);
    Dim *d = ARENA_NEW(a, Dim);
    d->size = size;
    d->ragged = d->floored = true;
    d->over = f;
    d->div = k;
    vec_push(a, t, d);
    Form r = form_atom(a, d);
    r.bad = bad;
    return r;
}

Dim *form_dim(Arena *a, Form f) {
    bool one = f.n == 1 && f.c == 0 && f.atom[0].k == 1, bad;
    if (one && !f.atom[0].dim->floored) return f.atom[0].dim;
    Dim *d = dim_number(a, form_size(f, &bad));
    if (!form_ragged(f)) return d;
    d->ragged = d->derived = true;
    d->form = f;
    return d;
}

const char *form_text(Arena *a, Form f) {
    Buf b = buf_new(a);
    for (int i = 0; i < f.n; i++) {
        if (i) buf_putc(&b, '+');
        if (f.atom[i].k != 1) buf_printf(&b, "%lld*", (long long)f.atom[i].k);
        buf_puts(&b, dim_text(a, f.atom[i].dim));
    }
    if (!f.n) buf_printf(&b, "%lld", (long long)f.c);
    else if (f.c) buf_printf(&b, "%+lld", (long long)f.c);
    return b.s;
}

const char *dim_text(Arena *a, const Dim *d) {
    if (!d) return "?";                              /* not known yet */
    if (d->name) return d->name;
    bool one = d->over.n == 1 && d->over.c == 0 && d->over.atom[0].k == 1;
    if (d->floored) return arena_printf(a, one ? "%s/%lld" : "(%s)/%lld", form_text(a, d->over), (long long)d->div);
    if (d->derived) return form_text(a, d->form);
    return arena_printf(a, "%lld", (long long)d->size);
}

/* The form of a ragged dim without making atoms: `atom` is storage for the one it may need. */
static Form ragged_form(const Dim *d, Atom *atom) {
    if (d->derived) return d->form;
    *atom = (Atom){(Dim *)d, 1};
    return (Form){.n = 1, .atom = atom};
}

bool dim_same(const Dim *a, const Dim *b) {
    if (a == b || !a || !b) return true;
    if (a->ragged || b->ragged) {
        if (!a->ragged || !b->ragged) return false;
        Atom x, y;
        return form_equal(ragged_form(a, &x), ragged_form(b, &y));
    }
    return (!a->name || !b->name) && a->size == b->size;
}

Dim *dim_join(Dim *a, Dim *b) { return !a || (b && !a->name && b->name) ? b : a; }

bool dim_uses(const Dim *d, bool (*f)(const Dim *, void *), void *cx) {
    if (!d->floored && !d->derived) return d->ragged && f(d, cx);
    Form g = d->floored ? d->over : d->form;
    for (int i = 0; i < g.n; i++)
        if (dim_uses(g.atom[i].dim, f, cx)) return true;
    return false;
}

/* ---- types ------------------------------------------------------------------------------------- */

Ty ty_scalar(Base b) { return (Ty){.base = b}; }
Ty ty_element(Dim *d) { return (Ty){.base = d ? B_ELEMENT : B_UNKNOWN, .elem = d}; }

Ty ty_base(Ty t) {
    t.rank = 0;
    return t;
}

bool ty_same(const Ty *a, const Ty *b) {
    if (a->base == B_UNKNOWN || b->base == B_UNKNOWN) return true;
    if (a->base != b->base || a->rank != b->rank) return false;
    if (a->base == B_ELEMENT && !dim_same(a->elem, b->elem)) return false;
    for (int i = 0; i < a->rank; i++)
        if (!dim_same(a->dim[i], b->dim[i])) return false;
    return true;
}

Ty ty_join(const Ty *a, const Ty *b) {
    if (a->base == B_UNKNOWN) return *b;
    if (b->base == B_UNKNOWN) return *a;
    Ty r = *a;
    if (r.base == B_ELEMENT) r.elem = dim_join(a->elem, b->elem);
    for (int i = 0; i < r.rank && i < b->rank; i++) r.dim[i] = dim_join(a->dim[i], b->dim[i]);
    return r;
}

bool ty_equal(const Ty *a, const Ty *b) {
    if (a->base != b->base || a->rank != b->rank || (a->base == B_ELEMENT && a->elem != b->elem)) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

const char *ty_text(Arena *a, const Ty *t) {
    static const char *const NAME[] = {[B_F32] = "f32", [B_I32] = "i32", [B_U8] = "u8", [B_BOOL] = "bool"};
    if (t->base == B_UNKNOWN) return "?";
    Buf b = buf_new(a);
    if (t->base == B_ELEMENT) buf_puts(&b, dim_text(a, t->elem));
    else if (t->base != B_F32 || !t->rank) buf_puts(&b, NAME[t->base]);
    for (int i = 0; i < t->rank; i++) {
        buf_puts(&b, i ? ", " : "[");
        buf_puts(&b, dim_text(a, t->dim[i]));
    }
    if (t->rank) buf_putc(&b, ']');
    return b.s;
}
