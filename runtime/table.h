/* Records of a .csv (RFC 4180: quotes, quotes doubled, line breaks inside quotes) or .tsv (no quotes)
 * file, one at a time.
 *
 * The first record is a header, and passed over, iff none of its cells is a number (or several, with blanks
 * between) and one of the second record's is. So a table without numbers has no header.
 */
#ifndef NETC_RUNTIME_TABLE_H
#define NETC_RUNTIME_TABLE_H
#include "runtime/rt_util.h"

typedef struct {
    char  *text;                /* NUL at the end */
    size_t size;
    int    column;              /* where it begins in its line, in bytes, from 1 */
    int    line;
} netc_cell;

typedef struct {
    netc_cell *cell;
    int        count, room;
} netc_record;

typedef struct {
    const char *path;
    char       *text, *p, *end;
    const char *line_start;
    int         line;
    bool        tabs;
    netc_record ahead[2];       /* read to see whether there is a header */
    int         next, nahead;   /* ahead[next .. nahead-1] are still to come */
    netc_record now;
} netc_table;

/* `tabs`: .tsv. `path` must outlive the table. Call netc_table_close in any case. */
int  netc_table_open(netc_table *t, const char *path, bool tabs);
/* The next record (valid until the next call); *r = NULL at the end. Blank lines are passed over. */
int  netc_table_next(netc_table *t, const netc_record **r);
void netc_table_close(netc_table *t);
/* The whole cell as a decimal number; blanks around it are allowed. "nan" and "inf" are numbers here. */
bool netc_cell_number(const netc_cell *c, double *value);
bool netc_path_is_table(const char *path, bool *tabs);         /* ends in .csv or .tsv */

#endif
