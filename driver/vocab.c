/* The symbols of vocab dims. A model that is used answers with those that it was trained with, which its weights
 * hold; else they are those of the vocab's file. They go into the description. */
#include <stdlib.h>
#include <string.h>

#include "driver/build.h"
#include "runtime/model.h"

/* The first weights file that the command is given, or NULL. Training begins with the file's symbols. */
static const char *given_weights(const Build *b) {
    static const Command USES[] = {CMD_run, CMD_eval, CMD_grad, CMD_filters};
    const Options *o = b->options;
    bool           uses = false;
    for (size_t i = 0; i < sizeof USES / sizeof *USES; i++) uses |= o->command == USES[i];
    for (int i = 0; uses && i < o->rest.n; i++) {
        const char *s = o->rest.at[i];
        bool        next = !strcmp(s, "--weights") || !strcmp(s, "-w");
        if (next && i + 1 < o->rest.n) s = o->rest.at[i + 1];
        else if (!strncmp(s, "--weights=", 10)) s += 10;
        else continue;
        return arena_strndup(b->arena, s, strcspn(s, ","));
    }
    return NULL;
}

/* Where the program's data files are. */
static const char *data_folder(const Build *b) {
    const char *data = b->options->value[OPT_DATA], *slash = strrchr(b->path, '/');
    return data ? data : slash ? arena_strndup(b->arena, b->path, (size_t)(slash - b->path) + 1) : ".";
}

static bool declared_so(const DimInfo *d, const netc_vocab *v) {
    netc_unit by;
    return netc_unit_find(d->vocab_by, &by) && by == v->by && d->vocab_eos == (v->eos >= 0) &&
           (d->vocab_min > 1) == (v->unk >= 0);
}

/* An exit code, after a message that nobody sees. */
static int find_symbols(const Build *b, const DimInfo *d, netc_vocab *v) {
    const char *weights = given_weights(b);
    *v = (netc_vocab){0};
    if (weights && !netc_weights_vocab(weights, d->name, v) && v->count) {
        if (declared_so(d, v)) return NETC_EXIT_OK;
        return netc_error(NETC_EXIT_DATA, "%s was trained with another declaration of %s (by, min or eos)", weights,
                          d->name);
    }
    char *path = netc_data_path(data_folder(b), d->vocab_file);
    int   code = path ? netc_vocab_read(v, path, d->vocab_by, d->vocab_col, d->vocab_min, d->vocab_eos) : NETC_EXIT_IO;
    free(path);
    return code;
}

bool build_vocab(void *cx, const DimInfo *d, int64_t *size, const char **why) {
    Build  *b = cx;
    Symbols s = {.dim = d->name};
    FILE   *before = netc_messages_to(NULL);
    int     code = find_symbols(b, d, &s.symbols);
    netc_messages_to(before);
    if (code) netc_vocab_free(&s.symbols);
    if (code) *why = arena_strdup(b->arena, netc_error_text());
    if (code) return false;
    *size = s.symbols.count;
    vec_push(b->arena, &b->vocabs, s);
    return true;
}

const netc_vocab *build_symbols(const Build *b, const char *dim) {
    for (int i = 0; i < b->vocabs.n; i++)
        if (!strcmp(b->vocabs.at[i].dim, dim)) return &b->vocabs.at[i].symbols;
    return NULL;
}
