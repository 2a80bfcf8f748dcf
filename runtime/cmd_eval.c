/* eval: the result line of a split with given weights; several weights files vote. */
#include <stdlib.h>

#include "runtime/command.h"
#include "runtime/score.h"
#include "runtime/signals.h"
#include "runtime/vote.h"

static int eval_one(netc_engine *e, const netc_blocks *b, const netc_split *split, char **text) {
    netc_evaluator v;
    netc_buf       line = {0};
    int            code = netc_evaluator_new(&v, e, split);
    if (code) return code;
    code = netc_evaluate(&v, b, &(netc_time){.batches = 1, .epochs = 1}, 0);
    if (!code) {
        netc_score_result(&line, &v.score, split->name);
        *text = line.data;
    }
    netc_evaluator_free(&v);
    return code;
}

static int eval_split(netc_engine *e, const char *weights, const char *dir, const char *name) {
    const char *const names[] = {name, NULL};
    netc_members      members;
    netc_data         data;
    double            share;
    char             *text = NULL;
    int               code = netc_members_load(e->model, weights, &members);
    if (code) return code;
    code = netc_data_load(e->model, dir, names, &data);
    netc_split *split = code ? NULL : netc_data_split(&data, name);
    if (!code && (!split || !split->count))
        code = netc_error(NETC_EXIT_DATA, "the data block has no examples in '%s'", name);
    if (!code && members.n > 1) code = netc_vote_score(e, &members, split, &share, &text);
    else if (!code) code = eval_one(e, &members.member[0], split, &text);
    if (!code) {
        printf("%s\n", text);
        if (fflush(stdout)) code = netc_error_errno(NETC_EXIT_IO, "cannot write to standard output");
    }
    free(text);
    netc_data_free(&data);
    netc_members_free(&members);
    return code;
}

int netc_cmd_eval(netc_model *m, int argc, char **argv) {
    netc_options o;
    netc_engine  e;
    const char  *weights;
    int          threads, code = netc_command_start(NETC_CMD_eval, m, argc, argv, &o);
    if (code || o.help) goto done;
    code = netc_command_no_operands(&o, 0);
    if (!code) code = netc_option_need(&o, NETC_OPT_WEIGHTS, &weights);
    if (!code) code = netc_command_threads(&o, &threads);
    if (!code && !(code = netc_engine_new(&e, m, threads, NULL))) {
        netc_signals_catch();
        code = eval_split(&e, weights, netc_option(&o, NETC_OPT_DATA, "."), netc_option(&o, NETC_OPT_SPLIT, "test"));
        netc_signals_restore();
        netc_engine_free(&e);
    }
done:
    netc_options_free(&o);
    return code;
}
