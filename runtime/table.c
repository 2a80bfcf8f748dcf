#include "runtime/table.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_TABLE (UINT64_C(1) << 34)

/* ---- numbers -------------------------------------------------------------------------------------- */

static const double TEN[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                             1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* [digits][.digits][e[+-]digits] at p; returns its end, or NULL. *exact: mantissa and power are such
 * that one rounding gives the right double (Clinger's fast path). */
static const char *scan_decimal(const char *p, double *value, bool *exact) {
    uint64_t mantissa = 0;
    int digits = 0, power = 0, exponent = 0;
    bool any = false, point = false;
    for (;; p++) {
        if (*p == '.' && !point) {
            point = true;
            continue;
        }
        if (*p < '0' || *p > '9') break;
        any = true;
        if (digits < 18) {
            mantissa = mantissa * 10 + (uint64_t)(*p - '0');
            digits += mantissa > 0;
            power -= point;
        } else {
            digits++;                       /* too many: strtod decides */
        }
    }
    if (!any) return NULL;
    if (*p == 'e' || *p == 'E') {
        int sign = p[1] == '-' ? -1 : 1;
        p += p[1] == '-' || p[1] == '+' ? 2 : 1;
        if (*p < '0' || *p > '9') return NULL;
        for (; *p >= '0' && *p <= '9'; p++) exponent = exponent < 100000 ? exponent * 10 + (*p - '0') : exponent;
        power += sign * exponent;
    }
    *exact = digits <= 18 && mantissa <= UINT64_C(1) << 53 && power >= -22 && power <= 22;
    if (*exact) *value = power < 0 ? (double)mantissa / TEN[-power] : (double)mantissa * TEN[power];
    return p;
}

bool netc_cell_number(const netc_cell *c, double *value) {
    const char *p = c->text;
    while (*p == ' ') p++;
    const char *start = p;
    bool negative = *p == '-', exact = true;
    p += *p == '-' || *p == '+';
    const char *end = scan_decimal(p, value, &exact);
    if (!end && (!strncasecmp(p, "nan", 3) || !strncasecmp(p, "inf", 3))) {
        *value = p[0] == 'n' || p[0] == 'N' ? NAN : INFINITY;
        end = p + (!strncasecmp(p, "infinity", 8) ? 8 : 3);
    }
    if (!end) return false;
    if (!exact) *value = fabs(strtod(start, NULL));
    if (negative) *value = -*value;
    while (*end == ' ') end++;
    return !*end;
}

/* ---- records -------------------------------------------------------------------------------------- */

static int broken(const netc_table *t, const char *at, const char *what) {
    return netc_error(NETC_EXIT_DATA, "%s:%d:%d: %s", t->path, t->line, (int)(at - t->line_start) + 1, what);
}

static netc_cell *add_cell(netc_table *t, netc_record *r) {
    if (r->count == r->room) {
        r->room = r->room ? 2 * r->room : 16;
        r->cell = netc_resize(r->cell, (size_t)r->room, sizeof *r->cell);
    }
    netc_cell *c = &r->cell[r->count++];
    *c = (netc_cell){.text = t->p, .column = (int)(t->p - t->line_start) + 1, .line = t->line};
    return c;
}

static void end_line(netc_table *t) {
    t->p++;
    t->line++;
    t->line_start = t->p;
}

/* From the opening quote to after the closing one. The text moves together in place. */
static int read_quoted(netc_table *t, netc_cell *c) {
    int line = t->line;
    t->p++;
    char *to = c->text;
    for (;;) {
        if (t->p == t->end) {
            return netc_error(NETC_EXIT_DATA, "%s:%d:%d: a quote is not closed", t->path, line, c->column);
        }
        if (*t->p == '"') {
            if (t->p[1] != '"') break;
            t->p++;
        }
        *to++ = *t->p;
        if (*t->p == '\n') end_line(t);
        else t->p++;
    }
    t->p++;
    c->size = (size_t)(to - c->text);
    return NETC_EXIT_OK;
}

static void read_plain(netc_table *t, netc_cell *c) {
    char delimiter = t->tabs ? '\t' : ',';
    while (t->p < t->end && *t->p != delimiter && *t->p != '\n') t->p++;
    c->size = (size_t)(t->p - c->text);
    bool line_end = t->p == t->end || *t->p == '\n';
    if (line_end && c->size && c->text[c->size - 1] == '\r') c->size--;
}

/* One record at t->p; its cells end in NULs only when all of it is read. */
static int read_record(netc_table *t, netc_record *r) {
    char delimiter = t->tabs ? '\t' : ',';
    r->count = 0;
    for (;;) {
        netc_cell *c = add_cell(t, r);
        if (!t->tabs && *t->p == '"' && t->p < t->end) {
            int code = read_quoted(t, c);
            if (code) return code;
            if (*t->p == '\r' && t->p[1] == '\n') t->p++;
        } else {
            read_plain(t, c);
        }
        bool more = t->p < t->end && *t->p == delimiter;
        if (t->p < t->end && !more && *t->p != '\n') return broken(t, t->p, "text follows a closing quote");
        if (memchr(c->text, 0, c->size)) return broken(t, t->p, "a NUL byte in the text");
        if (more) {
            t->p++;
            continue;
        }
        if (t->p < t->end) end_line(t);
        break;
    }
    for (int i = 0; i < r->count; i++) r->cell[i].text[r->cell[i].size] = 0;
    return NETC_EXIT_OK;
}

/* *got = false at the end of the file. */
static int read_next(netc_table *t, netc_record *r, bool *got) {
    *got = false;
    while (t->p < t->end && (*t->p == '\n' || (*t->p == '\r' && t->p[1] == '\n'))) {
        t->p += *t->p == '\r';
        end_line(t);
    }
    if (t->p == t->end) return NETC_EXIT_OK;
    if (t->line == INT_MAX) return broken(t, t->p, "too many lines");
    *got = true;
    return read_record(t, r);
}

/* One number or more, with blanks between; "nan" and "inf" may be words. */
static bool is_numeric(const netc_cell *c) {
    const char *p = c->text, *end = p + c->size;
    bool any = false;
    for (p += strspn(p, " "); p < end; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        char word[64];
        double v;
        if (n >= sizeof word) return false;
        memcpy(word, p, n);
        word[n] = 0;
        if (!netc_cell_number(&(netc_cell){.text = word, .size = n}, &v) || !isfinite(v)) return false;
        any = true;
        p += n;
    }
    return any;
}

static bool has_number(const netc_record *r) {
    for (int i = 0; i < r->count; i++) {
        if (is_numeric(&r->cell[i])) return true;
    }
    return false;
}

int netc_table_open(netc_table *t, const char *path, bool tabs) {
    size_t size = 0;
    *t = (netc_table){.path = path, .tabs = tabs, .line = 1};
    int code = netc_read_file(path, MAX_TABLE, &t->text, &size);
    if (code) return code;
    t->p = t->text;
    t->end = t->text + size;
    if (size >= 3 && !memcmp(t->p, "\xef\xbb\xbf", 3)) t->p += 3;      /* the mark of UTF-8 */
    t->line_start = t->p;
    for (bool got = true; !code && got && t->nahead < 2;) {
        code = read_next(t, &t->ahead[t->nahead], &got);
        if (!code && got) t->nahead++;
    }
    if (t->nahead == 2 && !has_number(&t->ahead[0]) && has_number(&t->ahead[1])) t->next = 1;
    return code;
}

int netc_table_next(netc_table *t, const netc_record **r) {
    bool got = false;
    *r = NULL;
    if (t->next < t->nahead) {
        *r = &t->ahead[t->next++];
        return NETC_EXIT_OK;
    }
    int code = read_next(t, &t->now, &got);
    if (!code && got) *r = &t->now;
    return code;
}

void netc_table_close(netc_table *t) {
    free(t->text);
    free(t->ahead[0].cell);
    free(t->ahead[1].cell);
    free(t->now.cell);
    *t = (netc_table){0};
}

bool netc_path_is_table(const char *path, bool *tabs) {
    size_t n = strlen(path);
    *tabs = n >= 4 && !strcasecmp(path + n - 4, ".tsv");
    return *tabs || (n >= 4 && !strcasecmp(path + n - 4, ".csv"));
}
