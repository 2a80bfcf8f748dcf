/* The commands that the runtime carries out on code from the JIT: train, sweep, eval, run, init, grad,
 * filters. Each says which functions of the model it needs; the rest is the runtime's, as in a
 * stand-alone trainer. */
#include <string.h>

#include "driver/build.h"
#include "driver/commands.h"
#include "driver/commands_impl.h"
#include "runtime/model.h"

enum { GRAD_ROWS = 1024 };             /* more rows are averaged over batches of this size */

typedef int RuntimeCommand(netc_model *m, int argc, char **argv);

static int needs_optimizer(const Build *b) {
    const TrainInfo *t = program_train(b->program);
    if (t && t->has_optimizer && b->model->objective.name) return 0;
    fprintf(stderr, "netc: %s has no %s, which training needs\n", b->path,
            !t ? "train block" : !t->has_optimizer ? "optimizer in its train block" : "objective");
    return NETC_EXIT_MODEL;
}

static int needs_entry(const Build *b, const char *name) {
    const char **names = ARENA_ARRAY(b->arena, const char *, b->model->nentry + 1);
    for (int i = 0; i < b->model->nentry; i++) {
        names[i] = b->model->entry[i].name;
        if (!strcmp(names[i], name)) return 0;
    }
    const char *near = str_nearest(name, names, b->model->nentry);
    fprintf(stderr, "netc: model %s has no entry '%s'%s%s%s\n", b->model->name, name, near ? "; did you mean '" : "",
            near ? near : "", near ? "'?" : "");
    return NETC_EXIT_USAGE;
}

/* Training calls an entry where its answers are put to the vote, and for samples. */
static bool needs_function(const Build *b, const FuncInfo *entry) {
    const TrainInfo *t = program_train(b->program);
    bool sampled = t && t->every && !strcmp(t->sample, entry->name);
    return b->options->command != CMD_train || !t || t->ensemble > 1 || sampled;
}

/* A state of each row of the batch goes on in the next batch: only a stream has rows that go on. */
static int check_lanes(const Build *b, const netc_model *m) {
    const netc_json *train = netc_json_get(m->splits, "train");
    bool             trains = b->options->command == CMD_train || b->options->command == CMD_sweep;
    for (int i = 0; i < m->nstate && trains; i++) {
        if (!m->state[i].lane || !strcmp(netc_json_string(netc_json_get(train, "op"), ""), "stream")) continue;
        fprintf(stderr, "netc: the state %s goes on from batch to batch in each row, so 'train' is a stream: "
                "text(..) |> stream(x, y)\n", m->state[i].key);
        return NETC_EXIT_MODEL;
    }
    return 0;
}

int prepare(Build *b, const char *const *names, netc_model **m) {
    int code = 0;
    for (; *names && !code; names++) {
        if (!strcmp(*names, "expands")) {
            code = build_expands(b);
        } else if (!strcmp(*names, "later")) {
            build_later(b);
        } else if (!strcmp(*names, "entries")) {
            for (int i = 0; i < b->model->nentry && !code; i++)
                if (needs_function(b, &b->model->entry[i]))
                    code = build_function(b, arena_printf(b->arena, "entry.%s", b->model->entry[i].name));
        } else {
            if (!strcmp(*names, "train")) code = needs_optimizer(b);
            if (!code && !strncmp(*names, "entry.", 6)) code = needs_entry(b, *names + 6);
            if (!code && strcmp(*names, "init") && strncmp(*names, "entry.", 6) && !b->model->objective.name) {
                fprintf(stderr, "netc: model %s has no objective\n", b->model->name);
                code = NETC_EXIT_MODEL;
            }
            if (!code) code = build_function(b, *names);
        }
    }
    if (!code) code = build_schedules(b);
    if (code) return code;
    *m = build_jit(b);
    if (!*m) return NETC_EXIT_INTERNAL;
    if (b->options->value[OPT_TIME]) code = build_time_report(b, stderr);
    return code ? code : check_lanes(b, *m);
}

Words runtime_argv(Build *b, const char *command) {
    Arena  *a = b->arena;
    Command c = b->options->command;
    Words   argv = {0};
    vec_push(a, &argv, arena_printf(a, "netc %s", command));
    for (int i = 0; i < b->options->rest.n; i++) vec_push(a, &argv, b->options->rest.at[i]);
    for (int i = 0; i < b->nsetting; i++)
        if (!b->setting[i].used) vec_push(a, &argv, arena_printf(a, "%s=%s", b->setting[i].name, b->setting[i].value));
    if (c == CMD_train || c == CMD_sweep || c == CMD_eval) {
        const char *data = b->options->value[OPT_DATA], *slash = strrchr(b->path, '/');
        vec_push(a, &argv, arena_strdup(a, "--data"));
        if (!data) data = slash ? arena_strndup(a, b->path, (size_t)(slash - b->path) + 1) : ".";
        vec_push(a, &argv, arena_strdup(a, data));
    }
    vec_push(a, &argv, NULL);
    argv.n--;
    return argv;
}

static int call(RuntimeCommand *run, netc_model *m, Build *b, const char *command) {
    Words argv = runtime_argv(b, command);
    return run(m, argv.n, argv.at);
}

static int run_command(Arena *a, const Options *o, const char *const *names, RuntimeCommand *run, const char *command) {
    Build       b;
    netc_model *m = NULL;
    int         code = build_load(&b, a, o);
    if (!code) code = build_start(&b);
    if (!code) code = prepare(&b, names, &m);
    if (!code) code = call(run, m, &b, command);
    netc_model_free(m);
    build_free(&b);
    return code;
}

int cmd_train(Arena *a, const Options *o) {
    static const char *const NAMES[] = {"init", "train", "expands", "later", "eval", "entries", NULL};
    return run_command(a, o, NAMES, netc_cmd_train, "train");
}

int cmd_eval(Arena *a, const Options *o) {
    static const char *const NAMES[] = {"eval", "expands", "entries", NULL};
    return run_command(a, o, NAMES, netc_cmd_eval, "eval");
}

int cmd_init(Arena *a, const Options *o) {
    static const char *const NAMES[] = {"init", NULL};
    return run_command(a, o, NAMES, netc_cmd_init, "init");
}

/* The rows of the first --in file: a gradient is that of one batch, so the batch is what was given. */
static int64_t rows_given(Arena *a, const Options *o) {
    for (int i = 0; i + 1 < o->rest.n; i++) {
        const char *eq = strchr(o->rest.at[i + 1], '=');
        netc_tensor t;
        if (strcmp(o->rest.at[i], "--in") || !eq) continue;
        netc_messages_to(NULL);                                  /* the runtime reads it again, and will complain */
        int code = netc_tensor_read(arena_strdup(a, eq + 1), &t);
        netc_messages_to(stderr);
        if (code) return 0;
        int64_t rows = t.rank ? t.shape[0] : 0;
        netc_tensor_free(&t);
        return rows;
    }
    return 0;
}

int cmd_grad(Arena *a, const Options *o) {
    Build       b;
    netc_model *m = NULL;
    int64_t     rows = rows_given(a, o);
    int         code = build_load(&b, a, o);
    if (!code && rows > 0) b.batch = rows < GRAD_ROWS ? rows : GRAD_ROWS;
    if (!code) code = build_start(&b);
    if (!code) code = prepare(&b, (const char *const[]){"grad", NULL}, &m);
    if (!code) code = call(netc_cmd_grad, m, &b, "grad");
    netc_model_free(m);
    build_free(&b);
    return code;
}

int cmd_filters(Arena *a, const Options *o) {
    static const char *const NAMES[] = {"init", NULL};
    return run_command(a, o, NAMES, netc_cmd_filters, "filters");
}

/* The entry's name is the first operand behind the file. */
int cmd_run(Arena *a, const Options *o) {
    if (!o->rest.n || o->rest.at[0][0] == '-') {
        fputs("netc: run needs the name of an entry: netc run FILE ENTRY --weights W --in name=x.npy --out y.npy\n",
              stderr);
        return NETC_EXIT_USAGE;
    }
    const char *names[] = {arena_printf(a, "entry.%s", o->rest.at[0]), NULL};
    return run_command(a, o, names, netc_cmd_run, "run");
}
