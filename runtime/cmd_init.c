/* init: first weights of a seed, as training would begin with. */
#include "runtime/command.h"

int netc_cmd_init(netc_model *m, int argc, char **argv) {
    netc_options o;
    netc_engine  e;
    netc_blocks  b;
    const char  *path;
    int64_t      seed = m->train.seed;
    int          threads, code = netc_command_start(NETC_CMD_init, m, argc, argv, &o);
    if (code || o.help) goto done;
    code = netc_command_no_operands(&o, 0);
    if (!code) code = netc_option_need(&o, NETC_OPT_OUTPUT, &path);
    if (!code) code = netc_option_int(&o, NETC_OPT_SEED, 0, INT64_MAX, &seed);
    if (!code) code = netc_command_threads(&o, &threads);
    if (!code && !(code = netc_engine_new(&e, m, threads, NULL))) {
        code = netc_blocks_new(m, &b);
        if (!code) {
            code = netc_first_weights(&e, (uint64_t)seed, &b);
            if (!code) code = netc_weights_save(m, path, b.weights, b.state);
            netc_blocks_free(m, &b);
        }
        netc_engine_free(&e);
    }
done:
    netc_options_free(&o);
    return code;
}
