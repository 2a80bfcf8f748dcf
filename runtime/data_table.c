/* csv and tsv: fields take columns from left to right. A field of numbers [n] takes n columns; one of
 * symbols is matched as text; a picture [c, h, w] is the path of an image (relative to the table), or,
 * when the table has that many columns, its c * h * w numbers. A field [T] over a ragged dim is one column: the
 * symbols of its text (characters, words; <eos> is added if the vocab has it), or numbers with blanks between. A clip
 * [T, c, h, w] is the path of a folder with a picture for each step.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/clip.h"
#include "runtime/data_impl.h"
#include "runtime/image.h"
#include "runtime/table.h"

typedef struct {
    netc_column *c;
    netc_vocab   own;
    const netc_vocab *vocab;    /* NULL: numbers */
    bool         image;         /* a path, of a picture or a clip */
    int          columns;
    /* a sequence */
    int32_t     *length;        /* of every row, those of its dim */
    int64_t      numbers, full; /* in c->data; its room */
    netc_symbols symbols;       /* of one cell */
} table_field;

typedef struct {
    data_load   *l;
    const char  *path;
    char        *folder;        /* of the table: where its pictures are looked up */
    table_field *field;
    int          columns;
    int64_t      rows, room;
} table_load;

/* [c, h, w] or frames of that, whose number may differ from row to row. */
static bool may_be_image(const netc_port *p) {
    bool frames = p->rank == 4;
    if ((p->rank != 3 && !frames) || p->dtype == NETC_I32) return false;
    for (int k = frames; k < p->rank; k++)
        if (p->axis[k]) return false;
    return true;
}

/* Columns that all fields need, pictures as paths or as numbers. */
static int64_t count_columns(const table_load *t, bool paths) {
    int64_t n = 0;
    for (int i = 0; i < t->l->s->ncolumn; i++) {
        const netc_port *p = t->field[i].c->port;
        n += p->ragged || (paths && may_be_image(p)) ? 1 : p->count;
    }
    return n;
}

static int plan_columns(table_load *t, const netc_record *r) {
    int64_t as_paths = count_columns(t, true), as_numbers = count_columns(t, false);
    bool paths = r->count == as_paths;
    if (!paths && r->count != as_numbers) {
        int64_t wanted = as_paths < as_numbers ? as_paths : as_numbers;
        return netc_error(NETC_EXIT_DATA, "%s:%d: has %d columns, the fields of data %s take %lld", t->path,
                          r->cell[0].line, r->count, t->l->m->data_name, (long long)wanted);
    }
    t->columns = r->count;
    for (int i = 0; i < t->l->s->ncolumn; i++) {
        table_field *f = &t->field[i];
        const netc_port *p = f->c->port;
        f->image = paths && may_be_image(p);
        f->columns = f->image || p->ragged ? 1 : (int)p->count;
        f->c->dtype = f->image ? NETC_U8 : p->dtype;
        f->c->scale = f->image && p->dtype == NETC_F32;
    }
    return NETC_EXIT_OK;
}

static void grow(table_load *t) {
    if (t->rows < t->room) return;
    t->room = t->room ? 2 * t->room : 64;
    for (int i = 0; i < t->l->s->nlengths; i++) {
        netc_lengths *n = &t->l->s->lengths[i];
        n->length = netc_resize(n->length, (size_t)t->room, sizeof *n->length);
    }
    for (int i = 0; i < t->l->s->ncolumn; i++) {
        netc_column *c = t->field[i].c;
        if (c->port->ragged) {
            bool first = !c->start;
            c->start = netc_resize(c->start, (size_t)t->room + 1, sizeof *c->start);
            if (first) c->start[0] = 0;
            continue;
        }
        c->data = netc_resize(c->data, (size_t)t->room, (size_t)c->port->count * (size_t)netc_dtype_size(c->dtype));
    }
}

/* ---- cells ---------------------------------------------------------------------------------------- */

static int bad_cell(const table_load *t, const netc_cell *c, const char *fmt, const char *a, const char *b) {
    char what[256];
    snprintf(what, sizeof what, fmt, a, b);
    return netc_error(NETC_EXIT_DATA, "%s:%d:%d: %s", t->path, c->line, c->column, what);
}

static int read_number(const table_load *t, const table_field *f, const netc_cell *c, double *v) {
    const char *name = f->c->port->name;
    if (!c->size) return bad_cell(t, c, "an empty cell, %s%s needs a number", name, "");
    if (!netc_cell_number(c, v)) {
        const char *hint = f->c->port->dim ? "; a dim of symbols is declared with vocab(...)" : "";
        return bad_cell(t, c, "'%.60s' is not a number%s", c->text, hint);
    }
    return isfinite(*v) ? NETC_EXIT_OK : bad_cell(t, c, "'%.60s' is not a finite number (%s)", c->text, name);
}

static int read_integer(const table_load *t, const table_field *f, const netc_cell *c, double v, int64_t *to) {
    const netc_port *p = f->c->port;
    char where[512];
    if (v != floor(v) || fabs(v) > INT32_MAX || (p->dtype == NETC_U8 && (v < 0 || v > 255))) {
        return bad_cell(t, c, "'%.60s' is not an integer that %s can hold", c->text, p->name);
    }
    *to = (int64_t)v;
    snprintf(where, sizeof where, "%s:%d:%d", t->path, c->line, c->column);
    return data_check_element(p, *to, where);
}

/* Cell number k of a field of this row. */
static int read_cell(const table_load *t, const table_field *f, const netc_cell *c, int64_t at) {
    const netc_port *p = f->c->port;
    double v;
    int64_t integer = 0;
    if (f->vocab) {
        integer = netc_vocab_find(f->vocab, c->text, c->size);
        if (integer < 0) return bad_cell(t, c, "'%.60s' is no symbol of dim %s", c->text, p->dim);
    } else {
        int code = read_number(t, f, c, &v);
        if (code) return code;
        if (p->dtype == NETC_F32) {
            ((float *)f->c->data)[at] = (float)v;
            if (isfinite((float)v)) return NETC_EXIT_OK;
            return bad_cell(t, c, "'%.60s' is too large for f32 (%s)", c->text, p->name);
        }
        code = read_integer(t, f, c, v, &integer);
        if (code) return code;
    }
    if (p->dtype == NETC_U8) ((uint8_t *)f->c->data)[at] = (uint8_t)integer;
    else ((int32_t *)f->c->data)[at] = (int32_t)integer;
    return NETC_EXIT_OK;
}

/* The next number of a sequence, from text with a blank or the end behind it. */
static int add_number(table_load *t, table_field *f, const netc_cell *c, const netc_cell *word) {
    netc_column *column = f->c;
    if (f->numbers == f->full) {
        f->full = f->full ? 2 * f->full : 1024;
        column->data = netc_resize(column->data, (size_t)f->full, (size_t)netc_dtype_size(column->dtype));
    }
    netc_cell at = *word;
    at.line = c->line;
    return read_cell(t, f, &at, f->numbers++);
}

static int read_words(table_load *t, table_field *f, const netc_cell *c) {
    char *text = netc_strdup(c->text), *rest = text, *word;
    int code = NETC_EXIT_OK;
    while (!code && (word = strsep(&rest, " "))) {
        netc_cell cell = {.text = word, .size = strlen(word), .column = c->column + (int)(word - text)};
        if (cell.size) code = add_number(t, f, c, &cell);
    }
    free(text);
    return code;
}

static int read_text(table_load *t, table_field *f, const netc_cell *c) {
    const char *bad;
    size_t      size;
    netc_column *to = f->c;
    f->symbols.n = 0;
    if (!netc_vocab_encode(f->vocab, c->text, c->size, &f->symbols, &bad, &size)) {
        netc_cell at = {.text = (char *)(uintptr_t)bad, .line = c->line, .column = c->column + (int)(bad - c->text)};
        char *symbol = netc_format("%.*s", size < 60 ? (int)size : 60, bad);
        int code = size ? bad_cell(t, &at, "'%s' is no symbol of dim %s", symbol, to->port->dim)
                        : bad_cell(t, &at, "the text of %s%s is not UTF-8", to->port->name, "");
        free(symbol);
        return code;
    }
    if (f->numbers + f->symbols.n > f->full) {
        f->full = 2 * (f->numbers + f->symbols.n);
        to->data = netc_resize(to->data, (size_t)f->full, sizeof(int32_t));
    }
    if (f->symbols.n)
        memcpy((int32_t *)to->data + f->numbers, f->symbols.at, (size_t)f->symbols.n * sizeof(int32_t));
    f->numbers += f->symbols.n;
    return NETC_EXIT_OK;
}

/* One length per row and dim: 0 as long as no field before has set it. */
static int set_length(const table_load *t, const table_field *f, const netc_cell *c, int64_t n) {
    const netc_port *p = f->c->port;
    char what[224];
    int32_t *length = &f->length[t->rows];
    if (!n) return bad_cell(t, c, "%s is empty; a sequence has at least one step of %s", p->name, p->axis[0]);
    if (n > p->shape[0]) {
        snprintf(what, sizeof what, "%.40s has %lld steps%s, but dim %.40s goes to %lld", p->name, (long long)n,
                 f->vocab && f->vocab->eos >= 0 ? " (with <eos>)" : "", p->axis[0], (long long)p->shape[0]);
        return bad_cell(t, c, "%s%s", what, "");
    }
    if (*length && *length != n) {
        snprintf(what, sizeof what, "%.40s has %lld steps of %.40s, a field before it has %d", p->name, (long long)n,
                 p->axis[0], *length);
        return bad_cell(t, c, "%s%s", what, "");
    }
    *length = (int32_t)n;
    return NETC_EXIT_OK;
}

static int read_sequence(table_load *t, table_field *f, const netc_cell *c) {
    int64_t from = f->numbers;
    int code = f->vocab ? read_text(t, f, c) : read_words(t, f, c);
    if (!code) code = set_length(t, f, c, f->numbers - from);
    f->c->start[t->rows + 1] = f->numbers;
    return code;
}

/* A picture, or the pictures of a folder. */
static int read_pixels(const table_field *f, const char *path, netc_tensor *t) {
    const netc_port *p = f->c->port;
    if (p->rank == 3) return netc_image_read(path, p->shape, t);
    int code = netc_clip_read(path, p->shape + 1, p->shape[0], t);
    if (code || p->ragged || t->shape[0] == p->shape[0]) return code;
    code = netc_error(NETC_EXIT_DATA, "%s: has %lld picture%s, %s takes %lld", path, (long long)t->shape[0],
                      t->shape[0] == 1 ? "" : "s", p->name, (long long)p->shape[0]);
    netc_tensor_free(t);
    return code;
}

/* What is wrong with a picture is said with its name and where the table names it. */
static int read_path(const table_load *t, const table_field *f, const netc_cell *c, netc_tensor *pixels) {
    *pixels = (netc_tensor){0};
    if (!c->size)
        return bad_cell(t, c, "an empty cell, %s needs the path of a %s", f->c->port->name,
                        f->c->port->rank == 3 ? "picture" : "folder of pictures");
    FILE *out = netc_messages_to(NULL);
    char *path = netc_data_path(t->folder, c->text);
    int   code = path ? read_pixels(f, path, pixels) : NETC_EXIT_IO;
    netc_messages_to(out);
    if (code) code = netc_error(code, "%s:%d:%d: %s", t->path, c->line, c->column, netc_error_text());
    free(path);
    return code;
}

static int read_image(table_load *t, table_field *f, const netc_cell *c) {
    netc_column *to = f->c;
    netc_tensor  pixels;
    int          code = read_path(t, f, c, &pixels);
    if (!code && to->port->ragged) {
        int64_t end = f->numbers + (int64_t)pixels.bytes;
        if (end > f->full) to->data = netc_resize(to->data, (size_t)(f->full = 2 * end), 1);
        memcpy((char *)to->data + f->numbers, pixels.data, pixels.bytes);
        to->start[t->rows + 1] = f->numbers = end;
        code = set_length(t, f, c, pixels.shape[0]);
    } else if (!code) {
        memcpy((char *)to->data + (size_t)t->rows * pixels.bytes, pixels.data, pixels.bytes);
    }
    netc_tensor_free(&pixels);
    return code;
}

static int read_row(table_load *t, const netc_record *r) {
    if (r->count != t->columns) {
        return netc_error(NETC_EXIT_DATA, "%s:%d: has %d columns, the lines before have %d", t->path, r->cell[0].line,
                          r->count, t->columns);
    }
    const netc_cell *c = r->cell;
    int code = NETC_EXIT_OK;
    grow(t);
    for (int i = 0; i < t->l->s->nlengths; i++) t->l->s->lengths[i].length[t->rows] = 0;
    for (int i = 0; i < t->l->s->ncolumn && !code; i++) {
        table_field *f = &t->field[i];
        if (f->c->port->ragged)
            f->length = (int32_t *)(uintptr_t)netc_lengths_of(t->l->s->lengths, t->l->s->nlengths, f->c->port->axis[0]);
        if (f->image) {
            code = read_image(t, f, c);
        } else if (f->c->port->ragged) {
            code = read_sequence(t, f, c);
        } else {
            for (int k = 0; k < f->columns && !code; k++) code = read_cell(t, f, &c[k], t->rows * f->columns + k);
        }
        c += f->columns;
    }
    t->rows++;
    return code;
}

/* ---- the file ------------------------------------------------------------------------------------- */

static int read_table(table_load *t) {
    netc_table table;
    const netc_record *r;
    int code = netc_table_open(&table, t->path, !strcmp(t->l->kind, "tsv"));
    while (!code && !(code = netc_table_next(&table, &r)) && r) {
        if (!t->columns) code = plan_columns(t, r);
        if (!code) code = read_row(t, r);
    }
    netc_table_close(&table);
    return code ? code : data_set_rows(t->l, t->rows, t->path);
}

int data_load_table(data_load *l) {
    if (l->nfile != 1) return netc_error(NETC_EXIT_DATA, "%s: one file is needed, not %d", l->kind, l->nfile);
    table_load t = {.l = l, .path = l->file[0], .folder = netc_folder_of(l->file[0])};
    t.field = netc_array((size_t)l->s->ncolumn, sizeof *t.field);
    int code = NETC_EXIT_OK;
    for (int i = 0; i < l->s->ncolumn && !code; i++) {
        const netc_port *p = l->s->column[i].port;
        t.field[i].c = &l->s->column[i];
        if (p->ragged && p->rank != 1 && !may_be_image(p))
            code = netc_error(NETC_EXIT_DATA, "%s: %s has %d axes, a sequence in a table has one, or is a folder of "
                              "pictures [%s,c,h,w]; use npz", t.path, p->name, p->rank, p->axis[0] ? p->axis[0] : "T");
        if (!code) code = data_vocab(l, p, &t.field[i].own, &t.field[i].vocab);
    }
    if (!code) code = read_table(&t);
    for (int i = 0; i < l->s->ncolumn; i++) {
        netc_vocab_free(&t.field[i].own);
        free(t.field[i].symbols.at);
    }
    free(t.field);
    free(t.folder);
    return code;
}
