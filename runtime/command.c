#include "runtime/command.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/settings.h"

int netc_command_start(netc_command c, netc_model *m, int argc, char **argv, netc_options *o) {
    int code = netc_options_parse(c, argc, argv, o);
    /* `run` and `grad` have arguments among their settings: netc_inputs_read goes through them. */
    if (!code && !o->help && c != NETC_CMD_run && c != NETC_CMD_grad) code = netc_settings_apply(m, o);
    if (code) netc_options_free(o);
    return code;
}

int netc_command_no_operands(const netc_options *o, int allowed) {
    if (o->noperand <= allowed) return NETC_EXIT_OK;
    return netc_error(NETC_EXIT_USAGE, "%s: '%s' is neither an option nor name=value (--help)",
                      netc_command_name(o->command),
                      o->operand[allowed]);
}

int netc_command_threads(const netc_options *o, int *threads) {
    int64_t n = 0;
    int     code = netc_option_int(o, NETC_OPT_THREADS, 1, NETC_MAX_THREADS, &n);
    *threads = (int)n;
    return code;
}

/* "30s" seconds, "100" steps. */
static int read_log_every(const netc_options *o, netc_train_options *t) {
    const char *text = netc_option(o, NETC_OPT_LOG_EVERY, "10s");
    char       *number = netc_strdup(text);
    size_t      n = strlen(number);
    bool        seconds = n > 1 && number[n - 1] == 's', good;
    if (seconds) number[n - 1] = 0;
    good = seconds ? netc_parse_real(number, &t->log_every_seconds) && t->log_every_seconds > 0
                   : netc_parse_int(number, 1, INT64_MAX, &t->log_every_steps);
    free(number);
    if (good) return NETC_EXIT_OK;
    return netc_error(NETC_EXIT_USAGE, "option --log-every: '%s' is neither steps (100) nor seconds (30s)", text);
}

static int read_progress(const netc_options *o, netc_train_options *t) {
    static const char *const KINDS[] = {"auto", "bar", "plain", "none"};
    const char *text = netc_option(o, NETC_OPT_PROGRESS, netc_option_given(o, NETC_OPT_QUIET) ? "none" : "auto");
    for (int i = 0; i < 4; i++)
        if (!strcmp(text, KINDS[i])) {
            t->progress = (netc_progress_kind)i;
            return NETC_EXIT_OK;
        }
    return netc_error(NETC_EXIT_USAGE, "option --progress: '%s' is none of auto, bar, plain, none", text);
}

int netc_command_train_options(const netc_options *o, netc_train_options *t) {
    int64_t save_every = 300;
    *t = (netc_train_options){.fresh = netc_option_given(o, NETC_OPT_FRESH)};
    t->run = netc_option(o, NETC_OPT_RUN, NULL);
    t->data = netc_option(o, NETC_OPT_DATA, NULL);
    t->weights = netc_option(o, NETC_OPT_WEIGHTS, NULL);
    int code = netc_command_threads(o, &t->threads);
    if (!code) code = netc_option_int(o, NETC_OPT_SAVE_EVERY, 0, 1000000000, &save_every);
    if (!code) code = read_log_every(o, t);
    if (!code) code = read_progress(o, t);
    t->save_every = (double)save_every;
    return code;
}
