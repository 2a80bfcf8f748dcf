/* One random graph through everything that must not matter: optimization levels, fusions, passes, targets, threads,
 * rows, what memory held before, JIT or object file. Each check runs in a process of its own, so that a crash of the
 * compiler or of its code is a failure like others. */
#ifndef NETC_TESTS_CAMPAIGN_H
#define NETC_TESTS_CAMPAIGN_H
#include "tests/random/compiled.h"

typedef enum { FROM_GRAPH, FROM_NET, FROM_SCANS, FROM_TEXT } SubjectSource;

/* What is checked. Seeds choose the graph, the numbers of its leaves and the few schedules that are tried. */
typedef struct {
    SubjectSource source;
    uint64_t      seed;
    bool          train;        /* with gradients and updates; FROM_TEXT: as the text is */
    const char   *text;         /* FROM_TEXT: the graph */
    bool          all;          /* every level, fusion and target instead of a few */
    bool          object;       /* the object file too */
    const char   *folder;       /* for it */
} Subject;

/* Counted over all checks since the start, children included. */
typedef struct {
    long graphs, compiled, runs, numbers, unbounded;
} CampaignCount;
extern CampaignCount *campaign_count;

/* Before anything else. */
void   campaign_start(void);
/* The graph of s, unchanged by passes, in a. */
Graph *campaign_graph(Arena *a, const Subject *s);
/* True if all is well; else a message has been printed (unless quiet). */
bool   campaign_check(const Subject *s, bool quiet);
/* A smaller graph that fails too, as text in a; s fails. Tries for about a minute. */
char  *campaign_shrink(Arena *a, const Subject *s);

#endif
