/* Several sets of weights of one model that answer together: each answer that is an element of a dim is
 * put to the vote, ties go to the smallest element.
 */
#ifndef NETC_RUNTIME_VOTE_H
#define NETC_RUNTIME_VOTE_H
#include "runtime/score.h"

typedef struct {
    const netc_model *model;
    netc_blocks      *member;
    int               n;
} netc_members;

/* Loads "A.safetensors,B.safetensors,..."; one file is a set of one. Exit code. */
int  netc_members_load(const netc_model *m, const char *files, netc_members *s);
void netc_members_free(netc_members *s);                /* {0} is allowed */

/* answer[i * count + k] is member i's answer to question k, an element of a dim of `size`; winner[k] is
 * the one that most members gave. */
void netc_vote(const int32_t *answer, int members, int64_t count, int64_t size, int32_t *winner);

/* NETC_EXIT_OK, or NETC_EXIT_MODEL after a message if netc_vote_score cannot work for this model. */
int  netc_vote_possible(const netc_model *m);
/* The share of the split's examples that the vote gets right: the entry whose only result is an element
 * of a dim, against the objective's argument of that dim. *text: "test accuracy 99.67 % (10000
 * examples, vote of 5)", free() it. Exit code; 130/143 after a signal. */
int  netc_vote_score(netc_engine *e, const netc_members *s, const netc_split *split, double *share, char **text);

#endif
