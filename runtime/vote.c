#include "runtime/vote.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/signals.h"

/* ---- members ----------------------------------------------------------------------------------------- */

int netc_members_load(const netc_model *m, const char *files, netc_members *s) {
    *s = (netc_members){.model = m};
    char *list = netc_strdup(files), *rest = list, *file;
    int   code = NETC_EXIT_OK;
    while (!code && (file = strsep(&rest, ","))) {
        s->member = netc_resize(s->member, (size_t)s->n + 1, sizeof *s->member);
        code = netc_blocks_new(m, &s->member[s->n]);
        if (code) break;
        s->n++;
        code = netc_weights_load(m, file, s->member[s->n - 1].weights, s->member[s->n - 1].state);
    }
    free(list);
    if (code) netc_members_free(s);
    return code;
}

void netc_members_free(netc_members *s) {
    for (int i = 0; i < s->n; i++) netc_blocks_free(s->model, &s->member[i]);
    free(s->member);
    *s = (netc_members){0};
}

void netc_vote(const int32_t *answer, int members, int64_t count, int64_t size, int32_t *winner) {
    int *votes = netc_array((size_t)size, sizeof *votes);
    for (int64_t k = 0; k < count; k++) {
        int32_t best = -1;
        for (int i = 0; i < members; i++) {
            int32_t a = answer[i * count + k];
            if (a < 0 || a >= size) continue;
            votes[a]++;
            if (best < 0 || votes[a] > votes[best] || (votes[a] == votes[best] && a < best)) best = a;
        }
        for (int i = 0; i < members; i++) {
            int32_t a = answer[i * count + k];
            if (a >= 0 && a < size) votes[a] = 0;
        }
        winner[k] = best < 0 ? 0 : best;
    }
    free(votes);
}

/* ---- the share of right votes -------------------------------------------------------------------------- */

/* The field of the data that `answer` predicts: an argument of the objective, of the same dim and shape,
 * that the entry does not read. -1: none. */
static int label_field(const netc_model *m, const netc_func *entry, const netc_func *objective) {
    const netc_port *answer = &entry->out[0];
    for (int i = 0; i < m->nfield; i++) {
        const netc_port *f = &m->field[i];
        bool             read = false, used = false;
        for (int k = 0; k < entry->nin; k++) read |= !strcmp(entry->in[k].name, f->name);
        for (int k = 0; k < objective->nin; k++) used |= !strcmp(objective->in[k].name, f->name);
        bool same = f->dim && !strcmp(f->dim, answer->dim) && f->dtype == NETC_I32 && f->count == answer->count &&
                    f->ragged == answer->ragged;
        if (used && !read && same) return i;
    }
    return -1;
}

static bool reads_fields_only(const netc_model *m, const netc_func *entry) {
    for (int i = 0; i < entry->nin; i++) {
        bool found = false;
        for (int k = 0; k < m->nfield; k++) found |= !strcmp(m->field[k].name, entry->in[i].name);
        found |= entry->in[i].lengths;
        if (!found) return false;
    }
    return true;
}

static const netc_func *find_entry(const netc_model *m, int *label) {
    const netc_func *objective = netc_model_func(m, "eval");
    for (int i = 0; objective && i < m->nfunc; i++) {
        const netc_func *f = &m->func[i];
        if (strncmp(f->name, "entry.", 6) || f->nout != 1) continue;
        bool answers = f->out[0].dim && f->out[0].rows && f->out[0].dtype == NETC_I32;
        if (answers && reads_fields_only(m, f) && (*label = label_field(m, f, objective)) >= 0) return f;
    }
    return NULL;
}

int netc_vote_possible(const netc_model *m) {
    int label;
    if (find_entry(m, &label)) return NETC_EXIT_OK;
    return netc_error(NETC_EXIT_MODEL, "a vote needs an entry whose only result is an element of a dim that is also an "
                      "argument of the objective, as `entry classify(img: [1,28,28]) -> Digit = argmax(...)`");
}

/* A pass over a split: `answer` holds one batch of every member. */
typedef struct {
    netc_engine        *engine;
    const netc_members *members;
    netc_call           call;
    netc_feed           feed;
    int                 label;
    int32_t            *answer, *winner, *truth, *row;
} ballot;

static int ballot_new(ballot *b, netc_engine *e, const netc_members *s, const netc_split *split) {
    *b = (ballot){.engine = e, .members = s};
    if (netc_vote_possible(e->model)) return NETC_EXIT_MODEL;
    const netc_func *entry = find_entry(e->model, &b->label);
    int code = netc_call_new(&b->call, e, entry->name);
    if (!code) code = netc_call_ready(&b->call);
    if (!code) code = netc_feed_new(&b->feed, split, &b->call);
    size_t room = (size_t)e->model->batch * (size_t)entry->out[0].count;
    b->answer = netc_array(room * (size_t)s->n, sizeof *b->answer);
    b->winner = netc_array(room, sizeof *b->winner);
    b->truth = netc_array(room, sizeof *b->truth);
    b->row = netc_array((size_t)entry->out[0].count, sizeof *b->row);
    return code;
}

static void ballot_free(ballot *b) {
    netc_feed_free(&b->feed);
    netc_call_free(&b->call);
    free(b->answer);
    free(b->winner);
    free(b->truth);
    free(b->row);
}

/* What the row in feed.position[r] has of an answer, 0 past its lengths, where the code leaves anything. */
static const int32_t *clean_row(ballot *b, int64_t r, const int32_t *answer) {
    const netc_port *p = &b->call.func->out[0];
    int64_t          length[NETC_MAX_RANK];
    if (!p->ragged) return answer;
    for (int k = 0; k < p->rank; k++) {
        int32_t n = (int32_t)p->shape[k];
        if (p->axis[k]) netc_batch_lengths(b->feed.split, &b->feed.position[r], 1, p->axis[k], &n);
        length[k] = n;
    }
    netc_row_copy(p, length, answer, b->row);
    return b->row;
}

/* Rows of the batch in feed.position[0..n) that the vote gets right, all their elements. */
static int64_t count_right(ballot *b, int64_t n) {
    const netc_port *port = &b->call.func->out[0];
    int64_t          per_row = port->count, count = n * per_row, right = 0;
    netc_feed_start(&b->feed, b->feed.position, n);
    netc_feed_take(&b->feed, &b->members->member[0]);
    for (int i = 0; i < b->members->n; i++) {
        netc_call_run(&b->call, &b->members->member[i], &(netc_time){.batches = 1, .epochs = 1}, 0, n);
        memcpy(b->answer + i * count, b->call.out[0], (size_t)count * sizeof *b->answer);
    }
    netc_vote(b->answer, b->members->n, count, port->size, b->winner);
    netc_batch_gather(b->feed.split, b->feed.position, n, b->label, b->truth);
    for (int64_t r = 0; r < n; r++)
        right += !memcmp(clean_row(b, r, b->winner + r * per_row), b->truth + r * per_row,
                         (size_t)per_row * sizeof *b->winner);
    return right;
}

int netc_vote_score(netc_engine *e, const netc_members *s, const netc_split *split, double *share, char **text) {
    ballot  b;
    int64_t right = 0;
    int     code = ballot_new(&b, e, s, split);
    for (int64_t first = 0; first < split->count && !code; first += e->model->batch) {
        int64_t n = split->count - first < e->model->batch ? split->count - first : e->model->batch;
        for (int64_t i = 0; i < n; i++) b.feed.position[i] = first + i;
        right += count_right(&b, n);
        if (netc_signal_caught()) code = netc_signal_exit_code();
    }
    ballot_free(&b);
    if (code) return code;
    *share = split->count ? (double)right / (double)split->count : 0;
    *text = netc_format("%s accuracy %.2f %% (%lld examples, vote of %d)", split->name, 100 * *share,
                        (long long)split->count, s->n);
    return NETC_EXIT_OK;
}
