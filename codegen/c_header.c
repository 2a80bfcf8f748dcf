/* The header of a C interface, and what its code must agree with it on (c_impl.h). */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "codegen/c_impl.h"

/* ---- sizes --------------------------------------------------------------------------------------- */

static int64_t product(int rank, const int64_t *dim) {
    int64_t n = 1;
    for (int i = 0; i < rank; i++) n *= dim[i];
    return n;
}

int64_t c_row_count(const CPort *p) { return product(p->rank, p->dim); }
int64_t c_tensor_count(const CTensor *t) { return product(t->rank, t->dim); }

static int64_t aligned(int64_t bytes) { return (bytes + C_ALIGN - 1) / C_ALIGN * C_ALIGN; }

int64_t c_room(const CModel *m, const CPort *p) {
    return aligned(c_row_count(p) * (p->rows ? m->batch : 1) * dtype_size(p->dtype) + C_SLACK);
}

int64_t c_arena_size(const CModel *m, const CFunction *f) {
    int64_t size = aligned(f->arena);
    for (int i = 0; i < f->nin; i++) size += c_room(m, &f->in[i]);
    for (int i = 0; i < f->nout; i++) size += c_room(m, &f->out[i]);
    return size;
}

/* A block with the bytes that may be read past its end; a block that the model does not have stays empty. */
static int64_t block_size(int64_t bytes) { return bytes ? aligned(bytes + C_SLACK) : 0; }

typedef struct {
    const CTensor *t;
    bool           is_state;
} FileTensor;

static int by_key(const void *a, const void *b) {
    return strcmp(((const FileTensor *)a)->t->key, ((const FileTensor *)b)->t->key);
}

const CTensor **c_file_tensors(Arena *a, const CModel *m, int *n, bool **is_state) {
    FileTensor *all = ARENA_ARRAY(a, FileTensor, m->nparam + m->nstate);
    *n = 0;
    for (int i = 0; i < m->nparam; i++) all[(*n)++] = (FileTensor){&m->param[i], false};
    for (int i = 0; i < m->nstate; i++)
        if (m->state[i].in_file) all[(*n)++] = (FileTensor){&m->state[i], true};
    if (*n) qsort(all, (size_t)*n, sizeof *all, by_key);
    const CTensor **t = ARENA_ARRAY(a, const CTensor *, *n);
    *is_state = ARENA_ARRAY(a, bool, *n);
    for (int i = 0; i < *n; i++) t[i] = all[i].t, (*is_state)[i] = all[i].is_state;
    return t;
}

/* ---- names --------------------------------------------------------------------------------------- */

static bool is_word(const char *s, const char *const *words) {
    for (; *words; words++)
        if (!strcmp(s, *words)) return true;
    return false;
}

/* Words of C99 and C++ that a field cannot be called. */
static const char *const KEYWORDS[] = {
    "alignas", "alignof", "and", "and_eq", "asm", "auto", "bitand", "bitor", "bool", "break", "case", "catch",
    "char", "char16_t", "char32_t", "char8_t", "class", "co_await", "co_return", "co_yield", "compl", "concept",
    "const", "const_cast", "consteval", "constexpr", "constinit", "continue", "decltype", "default", "delete", "do",
    "double", "dynamic_cast", "else", "enum", "explicit", "export", "extern", "false", "float", "for", "friend",
    "goto", "if", "inline", "int", "long", "mutable", "namespace", "new", "noexcept", "not", "not_eq", "nullptr",
    "operator", "or", "or_eq", "private", "protected", "public", "register", "reinterpret_cast", "requires",
    "restrict", "return", "short", "signed", "sizeof", "static", "static_assert", "static_cast", "struct", "switch",
    "template", "this", "thread_local", "throw", "true", "try", "typedef", "typeid", "typename", "typeof", "union",
    "unsigned", "using", "virtual", "void", "volatile", "wchar_t", "while", "xor", "xor_eq", NULL};

/* Functions and fields of every interface. */
static const char *const FUNCTIONS[] = {"pack", "unpack", "reset", "init", "train_step", NULL};
static const char *const FIELDS[] = {"size", "count", "step", "seed", "epoch", "batches", "progress", NULL};

static bool is_identifier(const char *s) {
    if (!isalpha((unsigned char)*s) && *s != '_') return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && *s != '_') return false;
    return true;
}

static bool is_prefix(const char *s) {
    size_t n = strlen(s);
    if (n < 1 || n > 48 || !islower((unsigned char)*s)) return false;
    return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

/* The entry before i that has the same name, but for case; NULL: none. */
static const char *twin(const CModel *m, int i) {
    for (int k = 0; k < i; k++)
        if (m->function[k].kind == C_ENTRY && !strcasecmp(m->function[k].name, m->function[i].name))
            return m->function[k].name;
    return NULL;
}

bool c_model_check(Arena *a, const CModel *m, const char **why) {
    if (!is_prefix(m->name)) {
        *why = arena_printf(a, "'%s' cannot be the name of a C interface: [a-z][a-z0-9_]{0,47} (see --name)", m->name);
        return false;
    }
    for (int i = 0; i < m->nfunction; i++) {
        const char *name = m->function[i].name, *other = NULL;
        if (m->function[i].kind != C_ENTRY) continue;
        if (!is_identifier(name) || is_word(name, FUNCTIONS)) {
            *why = arena_printf(a, "entry '%s' cannot be a C function: %s_%s means something else", name, m->name,
                                name);
            return false;
        }
        if ((other = twin(m, i))) {
            *why = arena_printf(a, "entries '%s' and '%s' differ in case only, which a C header cannot", other, name);
            return false;
        }
    }
    return true;
}

static char *upper(Arena *a, const char *s) {
    char *t = arena_strdup(a, s);
    for (char *p = t; *p; p++) *p = (char)toupper((unsigned char)*p);
    return t;
}

/* The user's name as a field: other characters become underscores, a name that begins with none of C's letters (a
 * result's number, a formula) gets "out" before it, a word that is taken an underscore behind it. */
static char *field_name(Arena *a, const char *name) {
    char *s = arena_printf(a, "%s%s", isalpha((unsigned char)*name) || *name == '_' ? "" : "out", name);
    for (char *p = s; *p; p++)
        if (!isalnum((unsigned char)*p)) *p = '_';
    return is_word(s, KEYWORDS) || is_word(s, FIELDS) ? arena_printf(a, "%s_", s) : s;
}

/* Names of the fields of f: inputs, outputs, then (a training step) hypers; one that is there already gets "out_" or
 * "hyper_" before it, then underscores behind. Case does not
 * tell names apart, since macros are made of them. */
static char **field_names(Arena *a, const CModel *m, const CFunction *f) {
    int    nport = f->nin + f->nout, n = nport + (f->kind == C_TRAIN ? m->nhyper : 0);
    char **name = ARENA_ARRAY(a, char *, n + 1);
    for (int i = 0; i < n; i++) {
        const char *user = i < f->nin ? f->in[i].name : i < nport ? f->out[i - f->nin].name : m->hyper[i - nport].name;
        name[i] = field_name(a, user);
        for (int k = 0, tries = 0; k < i; k++) {
            if (strcasecmp(name[k], name[i])) continue;
            name[i] = tries++ || i < f->nin ? arena_printf(a, "%s_", name[i])
                                            : arena_printf(a, "%s_%s", i < nport ? "out" : "hyper", name[i]);
            k = -1;                                      /* compare with all of them again */
        }
    }
    return name;
}

/* ---- text ---------------------------------------------------------------------------------------- */

typedef struct {
    Buf           b;
    Arena        *a;
    const CModel *m;
    const char   *up;               /* the name in upper case */
} Header;

static void define(Header *h, const char *name, int64_t value, const char *text) {
    buf_printf(&h->b, "#define %s_%-28s %-10lld /* %s */\n", h->up, name, (long long)value, text);
}

static const char *const C_TYPE[DT_COUNT] = {
    [DT_F32] = "float", [DT_I32] = "int32_t", [DT_U8] = "uint8_t", [DT_PRED] = "uint8_t"};

/* "float [count][1][28][28]" */
static char *shape_text(Arena *a, const CPort *p) {
    Buf b = buf_new(a);
    buf_puts(&b, C_TYPE[p->dtype]);
    if (p->rows || p->rank) buf_putc(&b, ' ');
    if (p->rows) buf_puts(&b, "[count]");
    for (int i = 0; i < p->rank; i++) buf_printf(&b, "[%lld]", (long long)p->dim[i]);
    return b.s;
}

static const char *function_name(const CFunction *f) {
    return f->kind == C_ENTRY ? f->name : f->kind == C_TRAIN ? "train_step" : "init";
}

static void head(Header *h) {
    const CModel *m = h->m;
    Buf          *b = &h->b;
    buf_printf(b, "/* %s.h: made by netc %s from %s for %s (%s). Do not edit.\n *\n", m->name, m->version, m->source,
               m->target.text, m->target.triple);
    buf_puts(b, " * Functions return 0 or a code below. They keep nothing between calls, allocate nothing and\n"
                " * call nothing: all memory is the caller's. Blocks (weights, opt, state, arena) are aligned to\n"
                " * 64 bytes and as large as the sizes below. Threads may call at the same time with the same\n"
                " * weights if opt, state and arena are not shared. Arrays are dense, in C order, the row (example)\n"
                " * first; they must not overlap a block or each other, but a result may lie in the place of an\n"
                " * input of its shape. docs/c-api.md of netc says more.\n");
    buf_printf(b, " */\n#ifndef NETC_%s_H\n#define NETC_%s_H\n", h->up, h->up);
    buf_puts(b, "#include <stddef.h>\n#include <stdint.h>\n\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
}

static void sizes(Header *h) {
    const CModel *m = h->m;
    int           n;
    bool         *is_state;
    int64_t       plain = 0;
    const CTensor **t = c_file_tensors(h->a, m, &n, &is_state);
    for (int i = 0; i < n; i++) plain += c_tensor_count(t[i]);
    buf_printf(&h->b, "#define %s_%-28s \"%s\" /* processor features it needs */\n", h->up, "CPU", m->target.needs);
    define(h, "BATCH", m->batch, "most rows of a call");
    define(h, "ALIGN", C_ALIGN, "of every block");
    define(h, "WEIGHTS_SIZE", block_size(m->weights_size), "bytes; 0, as for the next two: may be NULL");
    define(h, "STATE_SIZE", block_size(m->state_size), "bytes; what the model carries from call to call");
    define(h, "OPT_SIZE", block_size(m->opt_size), "bytes; what the optimizer carries from step to step");
    define(h, "PLAIN_COUNT", plain, arena_printf(h->a, "floats that %s_pack reads", m->name));
    buf_putc(&h->b, '\n');
}

static void codes(Header *h) {
    buf_puts(&h->b, "enum {\n");
#define X(id, value, text) \
    buf_printf(&h->b, "    %s_%s = %d%s /* %s */\n", h->up, #id, value, value == C_LAST ? "" : ",", text);
    C_CODES(X)
#undef X
    buf_puts(&h->b, "};\n\n");
}

static void port_line(Header *h, const CPort *p, const char *name, bool in) {
    buf_printf(&h->b, "    %s%s *%s; /* %s: %s", in ? "const " : "", C_TYPE[p->dtype], name, in ? "in" : "out",
               shape_text(h->a, p));
    if (p->longest) buf_printf(&h->b, ", lengths, each 1 .. %lld", (long long)p->longest);
    if (p->found) buf_printf(&h->b, ", the length %s of each row", p->name);
    for (int i = 0; i < p->rank; i++)
        if (p->axis[i]) buf_printf(&h->b, ", axis %d up to the length %s of the row", i + 1, p->axis[i]);
    if (in && p->range && p->dtype == DT_I32) buf_printf(&h->b, ", each 0 .. %lld", (long long)p->range - 1);
    if (!in) buf_puts(&h->b, "; NULL: not wanted");
    buf_puts(&h->b, " */\n");
}

/* The order of fields is that of io_struct in c_api.c. */
static void io_struct(Header *h, const CFunction *f, char **name) {
    const char *what = function_name(f), *prefix = h->m->name;
    buf_printf(&h->b, "typedef struct %s_%s_io {\n", prefix, what);
    buf_printf(&h->b, "    uint32_t size; /* sizeof(%s_%s_io) */\n", prefix, what);
    buf_printf(&h->b, "    uint32_t count; /* rows of this call: 1 .. %s_BATCH */\n", h->up);
    for (int i = 0; i < f->nin; i++) port_line(h, &f->in[i], name[i], true);
    for (int i = 0; i < f->nout; i++) port_line(h, &f->out[i], name[f->nin + i], false);
    bool train = f->kind == C_TRAIN;
    if (train) buf_puts(&h->b, "    uint64_t step; /* 0, 1, 2 ...: steps done before this one */\n");
    if (train || f->random)
        buf_puts(&h->b, "    uint64_t seed; /* key of the random numbers, the same in every step */\n");
    for (int i = 0; train && i < h->m->nhyper; i++)
        buf_printf(&h->b, "    float %s; /* hyper, %g in the source */\n", name[f->nin + f->nout + i],
                   h->m->hyper[i].value);
    if (train)
        buf_puts(&h->b, "    float epoch; /* 0, 1, 2 ...: passes over the data done */\n"
                        "    float batches; /* steps of a pass */\n"
                        "    float progress; /* 0 .. 1: share of all steps done, for schedules */\n");
    buf_printf(&h->b, "} %s_%s_io;\n", prefix, what);
}

static void port_macros(Header *h, const CFunction *f, char **name) {
    for (int i = 0; i < f->nin + f->nout; i++) {
        const CPort *p = i < f->nin ? &f->in[i] : &f->out[i - f->nin];
        char *id = arena_printf(h->a, "%s_%s_COUNT", upper(h->a, function_name(f)), upper(h->a, name[i]));
        define(h, id, c_row_count(p), p->rows ? "elements of a row" : "elements");
    }
}

static void function(Header *h, const CFunction *f) {
    const char *name = h->m->name, *what = function_name(f);
    char      **field = field_names(h->a, h->m, f);
    define(h, arena_printf(h->a, "%s_ARENA_SIZE", upper(h->a, what)), c_arena_size(h->m, f), "bytes; scratch");
    if (f->kind == C_INIT) {
        buf_puts(&h->b, "/* First weights, drawn with a seed: those of `netc init`. */\n");
        buf_printf(&h->b, "int %s_init(void *weights, uint64_t seed, void *arena, size_t arena_size);\n\n", name);
        return;
    }
    port_macros(h, f, field);
    io_struct(h, f, field);
    bool train = f->kind == C_TRAIN;
    if (train) buf_puts(&h->b, "/* One step on a batch: weights, opt and state are updated. */\n");
    else if (h->m->state_size && !f->state) buf_puts(&h->b, "/* The state is not used: it may be NULL. */\n");
    buf_printf(&h->b, "int %s_%s(const %s_%s_io *io, %s *state,\n    void *arena, size_t arena_size);\n\n", name,
               what, name, what, train ? "void *weights, void *opt, void" : "const void *weights, void");
}

/* As a C literal. Other bytes than printable ASCII in octal, which no digit behind can lengthen; no trigraphs. */
static void literal(Buf *b, const char *s) {
    buf_putc(b, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c < 0x20 || c > 0x7e) buf_printf(b, "\\%03o", c);
        else if (strchr("\"\\?", c)) buf_printf(b, "\\%c", c);
        else buf_putc(b, (char)c);
    }
    buf_putc(b, '"');
}

static void symbols(Header *h, const CVocab *v) {
    enum { WIDTH = 110 };
    buf_printf(&h->b, "/* The symbols of %s, 0 .. %lld: const char *const symbol[] = %s_SYMBOLS_%s; */\n", v->dim,
               (long long)v->n - 1, h->up, v->dim);
    buf_printf(&h->b, "#define %s_SYMBOLS_%s { \\\n    ", h->up, v->dim);
    for (int64_t i = 0, line = h->b.n; i < v->n; i++) {
        literal(&h->b, v->symbol[i]);
        bool full = h->b.n - line > WIDTH;
        buf_puts(&h->b, i + 1 == v->n ? "}\n\n" : full ? ", \\\n    " : ", ");
        if (full) line = h->b.n;
    }
}

static void tensors(Header *h) {
    const char *name = h->m->name;
    int         n;
    bool       *is_state;
    int64_t     at = 0;
    const CTensor **t = c_file_tensors(h->a, h->m, &n, &is_state);
    buf_puts(&h->b, "/* Between blocks and plain numbers: the tensors one after the other, each in C order, which is\n"
                    " * the data part of a weights file (.safetensors) that netc writes. First float, key, shape:\n");
    for (int i = 0; i < n; i++) {
        buf_printf(&h->b, " *   %lld: %s%s", (long long)at, t[i]->key, t[i]->rank ? " " : "");
        for (int k = 0; k < t[i]->rank; k++) buf_printf(&h->b, "[%lld]", (long long)t[i]->dim[k]);
        buf_puts(&h->b, is_state[i] ? " (state)\n" : "\n");
        at += c_tensor_count(t[i]);
    }
    buf_printf(&h->b, " */\nint %s_pack(const float *plain, void *weights, void *state);\n", name);
    buf_printf(&h->b, "int %s_unpack(float *plain, const void *weights, const void *state);\n\n", name);
    buf_puts(&h->b, "/* First values of the optimizer's and the model's states; NULL: leave that block alone. */\n");
    buf_printf(&h->b, "int %s_reset(void *opt, void *state);\n\n", name);
}

char *c_header(Arena *a, const CModel *m) {
    Header h = {.b = buf_new(a), .a = a, .m = m, .up = upper(a, m->name)};
    head(&h);
    sizes(&h);
    codes(&h);
    for (int i = 0; i < m->nfunction; i++) function(&h, &m->function[i]);
    for (int i = 0; i < m->nvocab; i++) symbols(&h, &m->vocab[i]);
    tensors(&h);
    buf_puts(&h.b, "#ifdef __cplusplus\n}\n#endif\n#endif\n");
    return h.b.s;
}
