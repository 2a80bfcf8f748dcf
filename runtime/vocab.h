/* Vocabularies: the symbols of `dim V = vocab(file, by=, col=, min=, eos=)`.
 *
 * Symbols are UTF-8 characters, blank-separated words, or lines. Order: sorted by code point; the
 * lines of a text file in the order of the file; then <unk> (min > 1), then <bos>, <eos> (eos=true).
 * With col >= 0 in a .csv or .tsv the symbols are those of that column (by="line": whole cells, sorted).
 */
#ifndef NETC_RUNTIME_VOCAB_H
#define NETC_RUNTIME_VOCAB_H
#include "runtime/rt_util.h"

typedef struct {
    int64_t  count;             /* all symbols, the special ones too: the dim's size */
    int64_t  plain;             /* symbols that stand in the text: 0 .. plain-1 */
    char   **symbol;            /* count texts; special ones as "<unk>" */
    int64_t  unk, bos, eos;     /* indices, -1: absent */
    uint64_t *slot;             /* hash table of `nslot` indices + 1 */
    uint64_t nslot;
} netc_vocab;

/* Reads the symbols from a file; col -1: the whole text. */
int     netc_vocab_read(netc_vocab *v, const char *path, const char *by, int col, int64_t min, bool eos);
/* From a list of plain symbols (a description's table). Refuses duplicates. */
int     netc_vocab_make(netc_vocab *v, const char *const *symbol, int64_t plain, bool unk, bool eos);
void    netc_vocab_free(netc_vocab *v);                 /* {0} is allowed */
/* Index of the symbol text[0..size), unk if there is one, else -1. */
int64_t netc_vocab_find(const netc_vocab *v, const char *text, size_t size);
/* For the compiler: the number of symbols; false with a text in *why (valid until the next message). */
bool    netc_vocab_size(const char *path, const char *by, int col, int64_t min, bool eos, int64_t *size,
                        const char **why);

#endif
