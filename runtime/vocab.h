/* Vocabularies: the symbols of `dim V = vocab(file, by=, col=, min=, eos=)`.
 *
 * Symbols are UTF-8 characters, blank-separated words, or lines; or, of a dim that no vocab declares, bytes. Order:
 * sorted by code point; the lines of a text file in the order of the file; then <unk> (min > 1), then <bos>, <eos>
 * (eos=true). With col >= 0 in a .csv or .tsv the symbols are those of that column (by="line": whole cells, sorted).
 */
#ifndef NETC_RUNTIME_VOCAB_H
#define NETC_RUNTIME_VOCAB_H
#include "runtime/json.h"

/* What one symbol is. */
typedef enum { NETC_BY_CHAR, NETC_BY_WORD, NETC_BY_LINE, NETC_UNITS, NETC_BY_BYTE = NETC_UNITS } netc_unit;

typedef struct {
    netc_unit by;
    int64_t  count;             /* all symbols, the special ones too: the dim's size */
    int64_t  plain;             /* symbols that stand in the text: 0 .. plain-1 */
    char   **symbol;            /* count texts; special ones as "<unk>" */
    int64_t  unk, bos, eos;     /* indices, -1: absent */
    uint64_t *slot;             /* hash table of `nslot` indices + 1 */
    uint64_t nslot;
    int64_t  ascii[128];        /* index + 1 of the symbols of one byte, 0: none. Most of a text by characters */
} netc_vocab;

/* Reads the symbols from a file; col -1: the whole text. */
int     netc_vocab_read(netc_vocab *v, const char *path, const char *by, int col, int64_t min, bool eos);
/* From a list of plain symbols (a description's table). Refuses duplicates. */
int     netc_vocab_make(netc_vocab *v, netc_unit by, const char *const *symbol, int64_t plain, bool unk, bool eos);
void    netc_vocab_bytes(netc_vocab *v);                /* the 256 bytes in their order */
void    netc_vocab_free(netc_vocab *v);                 /* {0} is allowed */
/* Index of the symbol text[0..size), unk if there is one, else -1. */
int64_t netc_vocab_find(const netc_vocab *v, const char *text, size_t size);
/* {"by":"char","min":1,"eos":false,"symbols":[plain ones]}, as the description and weights files have it.
 * Reading: NETC_EXIT_DATA after a message; further members are passed over. */
void    netc_vocab_put_json(netc_buf *b, const netc_vocab *v);
int     netc_vocab_from_json(netc_vocab *v, const netc_json *json);
/* Index of the first symbol that differs, -1: none. */
int64_t netc_vocab_difference(const netc_vocab *a, const netc_vocab *b);

/* ---- text as symbols ------------------------------------------------------------------------------ */
bool    netc_unit_find(const char *text, netc_unit *by);          /* "char" */
/* The next symbol of *p .. end (the byte there is 0): 1, with its place, *p moved behind it; 0: none is left;
 * -1: a byte at *p that is no UTF-8. */
int     netc_next_symbol(netc_unit by, const char **p, const char *end, const char **symbol, size_t *size);
/* A growing list of symbols. {0} is empty; free(at). */
typedef struct {
    int32_t *at;
    int64_t  n, room;
} netc_symbols;
void    netc_symbols_add(netc_symbols *s, int64_t symbol);
/* Appends the symbols of text[0..size), and eos if the vocabulary has it. False at what is no symbol: *bad, of
 * *bad_size bytes, 0 where the text is no UTF-8. */
bool    netc_vocab_encode(const netc_vocab *v, const char *text, size_t size, netc_symbols *to, const char **bad,
                          size_t *bad_size);
/* Symbols as text, up to the first eos: characters and bytes one after the other, words and lines with a blank between
 * them. */
void    netc_vocab_decode(const netc_vocab *v, const int32_t *symbol, int64_t n, netc_buf *b);

#endif
