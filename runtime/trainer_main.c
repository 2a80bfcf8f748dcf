/* A stand-alone trainer's command line: a command, or an entry of the model, or at once the options of train. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/options.h"
#include "runtime/model.h"

static int (*const COMMAND[])(netc_model *, int, char **) = {
#define TRAINER_COMMAND(id, operands, help) [NETC_CMD_##id] = netc_cmd_##id,
#define TRAINER_OPTION(id, name, brief, arg, commands, help)
#include "runtime/options.def"
#undef TRAINER_COMMAND
#undef TRAINER_OPTION
};

static bool is_entry(const netc_func *f) { return !strncmp(f->name, "entry.", 6); }

static void print_help(const netc_model *m, const char *program) {
    printf("%s [COMMAND] [options] [name=value ...]: trains and runs %s\n\n"
           "Commands (COMMAND --help says more; without one: train):\n", program, m->model);
    netc_commands_list(stdout);
    for (int i = 0; i < m->nfunc; i++) {
        const char *entry = m->func[i].name + 6;
        if (is_entry(&m->func[i])) printf("  %-8s the same as `run %s`\n", entry, entry);
    }
    printf("\nhypers:");
    for (int i = 0; i < m->nhyper; i++) printf(" %s=%g", m->hyper[i].name, (double)m->hyper[i].value);
    const netc_train_plan *t = &m->train;
    if (t->present)
        printf("\ntrain keys: train.seed=%lld train.epochs=%lld train.patience=%lld train.ensemble=%lld",
               (long long)t->seed, (long long)t->epochs, (long long)t->patience, (long long)t->ensemble);
    printf("\ncompiled in: batch=%lld", (long long)m->batch);
    if (m->beam) printf(" beam=%lld", (long long)m->beam);
    for (int i = 0; i < m->ndim; i++) printf(" %s=%lld", m->dim[i].name, (long long)m->dim[i].size);
    printf("\n\nExit codes: 0 done, 2 usage, 3 file or I/O, 4 bad data or weights, 5 NaN or infinity, 6 could not\n"
           "save, 8 a limit or a CPU without what the code needs, 130/143 stopped by a signal after saving.\n");
}

static int unknown_command(const netc_model *m, const char *word) {
    const char **names = netc_array((size_t)m->nfunc + NETC_CMD_COUNT, sizeof *names);
    int          n = 0;
    for (int i = 0; i < NETC_CMD_COUNT; i++) names[n++] = netc_command_name((netc_command)i);
    for (int i = 0; i < m->nfunc; i++)
        if (is_entry(&m->func[i])) names[n++] = m->func[i].name + 6;
    char *hint = netc_did_you_mean(word, names, n);
    int   code = netc_error(NETC_EXIT_USAGE, "unknown command '%s'%s", word, hint);
    free(hint);
    free(names);
    return code;
}

static bool is_word(const char *s) {
    while (isalnum((unsigned char)*s) || *s == '_') s++;
    return !*s;
}

/* `skip` words of argv stand for the command; "PROGRAM COMMAND" takes their place. */
static int call(netc_model *m, netc_command c, int argc, char **argv, int skip) {
    char  *program = netc_format("%s %s", argv[0], netc_command_name(c));
    char **rest = netc_array((size_t)argc + 2, sizeof *rest);
    int    n = 0;
    rest[n++] = program;
    for (int i = 1 + skip; i < argc; i++) rest[n++] = argv[i];
    int code = COMMAND[c](m, n, rest);
    free(rest);
    free(program);
    return code;
}

static int dispatch(netc_model *m, int argc, char **argv) {
    const char  *word = argc > 1 ? argv[1] : "";
    netc_command c;
    if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help")) {
        print_help(m, argv[0]);
        return NETC_EXIT_OK;
    }
    if (!strcmp(word, "--version")) {
        printf("%s: model %s %s, netc %s, for %s\n", m->name, m->model, m->hash, m->version, m->target);
        return NETC_EXIT_OK;
    }
    if (argc < 2 || !is_word(word)) return call(m, NETC_CMD_train, argc, argv, 0);
    if (netc_command_find(word, &c)) return call(m, c, argc, argv, 1);
    char *function = netc_format("entry.%s", word);
    bool  entry = netc_model_func(m, function) != NULL;
    free(function);
    return entry ? call(m, NETC_CMD_run, argc, argv, 0) : unknown_command(m, word);
}

int netc_trainer_main(int argc, char **argv, const char *description, size_t size,
                      const netc_function_entry *functions) {
    const char *slash = strrchr(argv[0], '/');
    netc_set_program(slash ? slash + 1 : argv[0]);
    netc_model *m = netc_model_new(description, size, functions);
    if (!m) return NETC_EXIT_INTERNAL;
    int code = dispatch(m, argc, argv);
    netc_model_free(m);
    if (fflush(stdout) && !code) code = netc_error_errno(NETC_EXIT_IO, "cannot write to standard output");
    return code;
}
