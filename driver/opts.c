#include "driver/opts.h"

#include <ctype.h>
#include <string.h>

#include "base/str.h"
#include "runtime/options.h"

static const struct {
    const char *name, *operands, *help;
    bool        runtime;
} COMMANDS[] = {
#define COMMAND(name, operands, help, runtime) [CMD_##name] = {#name, operands, help, runtime},
#define OPTION(id, name, arg, commands, help)
#include "driver/opts.def"
#undef COMMAND
#undef OPTION
};

/* Sets of commands: C_check, ..; RUNTIME, the or of those with runtime = 1; CODE, PLANS, GRAPHS as opts.def says. */
enum {
#define COMMAND(name, operands, help, runtime) C_##name = 1 << CMD_##name,
#define OPTION(id, name, arg, commands, help)
#include "driver/opts.def"
#undef COMMAND
#undef OPTION
#define COMMAND(name, operands, help, runtime) | (runtime ? C_##name : 0)
#define OPTION(id, name, arg, commands, help)
    RUNTIME = 0
#include "driver/opts.def"
    ,
#undef COMMAND
#undef OPTION
    CODE = RUNTIME | C_compile | C_bench,
    PLANS = CODE | C_check,
    GRAPHS = PLANS | C_graph | C_opt,
};

static const struct {
    const char *name, *arg, *help;
    int         commands;
} OPTIONS[] = {
#define COMMAND(name, operands, help, runtime)
#define OPTION(id, name, arg, commands, help) [OPT_##id] = {name, arg, help, commands},
#include "driver/opts.def"
#undef COMMAND
#undef OPTION
};

static bool find_command(const char *s, Command *c) {
    for (int i = 0; i < CMD_COUNT; i++) {
        if (strcmp(s, COMMANDS[i].name)) continue;
        *c = (Command)i;
        return true;
    }
    const char *names[CMD_COUNT];
    for (int i = 0; i < CMD_COUNT; i++) names[i] = COMMANDS[i].name;
    const char *near = str_nearest(s, names, CMD_COUNT);
    fprintf(stderr, "netc: unknown command '%s'%s%s%s (netc help lists them)\n", s, near ? "; did you mean '" : "",
            near ? near : "", near ? "'?" : "");
    return false;
}

/* The option that `s` names: "--data", "--data=x", "-O2" and "-mcpu=x" are all found; *value is what
 * stands behind the name, or NULL. */
static int find_option(const char *s, const char **value) {
    for (int i = 0; i < OPT_COUNT; i++) {
        size_t n = strlen(OPTIONS[i].name);
        if (strncmp(s, OPTIONS[i].name, n)) continue;
        bool glued = s[1] != '-' && n == 2 && s[n] && OPTIONS[i].arg[0];      /* -O2 */
        if (s[n] && s[n] != '=' && !glued) continue;
        *value = s[n] == '=' ? s + n + 1 : s[n] ? s + n : NULL;
        return i;
    }
    return -1;
}

/* Does an option of the runtime's commands take a value? (An option it does not know takes none: the runtime
 * says what is wrong.) */
static bool runtime_takes_value(const char *s) {
    static const struct { const char *name, *brief, *arg; } THEIRS[] = {
#define TRAINER_COMMAND(id, operands, help)
#define TRAINER_OPTION(id, name, brief, arg, commands, help) {name, brief, arg},
#include "runtime/options.def"
#undef TRAINER_COMMAND
#undef TRAINER_OPTION
    };
    for (size_t i = 0; i < sizeof THEIRS / sizeof *THEIRS; i++)
        if ((!strcmp(s, THEIRS[i].name) || !strcmp(s, THEIRS[i].brief)) && THEIRS[i].arg[0]) return true;
    return false;
}

static bool has_option(Command c, int k) { return OPTIONS[k].commands >> c & 1; }

static bool unknown_option(Command c, const char *s) {
    const char *names[OPT_COUNT], *near;
    int         n = 0;
    for (int i = 0; i < OPT_COUNT; i++)
        if (has_option(c, i)) names[n++] = OPTIONS[i].name;
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(s, "="), s);
    near = str_nearest(name, names, n);
    fprintf(stderr, "netc: %s has no option '%s'%s%s%s\n", COMMANDS[c].name, name, near ? "; did you mean '" : "",
            near ? near : " (--help lists them)", near ? "'?" : "");
    return false;
}

static bool unknown_operand(Command c, const char *s) {
    fprintf(stderr, "netc: %s takes no '%s' (netc help %s)\n", COMMANDS[c].name, s, COMMANDS[c].name);
    return false;
}

/* Commands on a .net file, whose data are looked up, set names in it, too. */
static bool takes_settings(Command c) { return has_option(c, OPT_DATA); }

/* name=value with a name of the language ("train.batch" too). */
static bool is_setting(const char *s) {
    if (!isalpha((unsigned char)*s) && *s != '_') return false;
    while (isalnum((unsigned char)*s) || *s == '_' || *s == '.') s++;
    return *s == '=';
}

static bool take_option(Arena *a, Options *o, int argc, char **argv, int *i) {
    char       *s = argv[*i];
    const char *value = NULL;
    int         k = find_option(s, &value);
    if (!strncmp(s, "--fno-", 6) && GRAPHS >> o->command & 1) {
        vec_push(a, &o->off, s + 6);
        return true;
    }
    if (k < 0 || !has_option(o->command, k)) {
        if (!COMMANDS[o->command].runtime) return unknown_option(o->command, s);
        vec_push(a, &o->rest, s);
        if (runtime_takes_value(s) && *i + 1 < argc) vec_push(a, &o->rest, argv[++*i]);
        return true;
    }
    bool wants = OPTIONS[k].arg[0];
    if (!wants && value) {
        fprintf(stderr, "netc: option %s takes no value\n", OPTIONS[k].name);
        return false;
    }
    if (wants && !value) {
        if (*i + 1 >= argc) {
            fprintf(stderr, "netc: option %s needs %s\n", OPTIONS[k].name, OPTIONS[k].arg);
            return false;
        }
        value = argv[++*i];
    }
    if (k == OPT_SCHEDULE) vec_push(a, &o->schedules, value);
    o->value[k] = wants ? value : "";
    return true;
}

bool opts_parse(Arena *a, int argc, char **argv, Options *o) {
    memset(o, 0, sizeof *o);
    o->command = CMD_help;
    if (argc < 2) return true;
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
        o->command = CMD_version;
        return true;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) return true;
    if (!find_command(argv[1], &o->command)) return false;
    bool options = true, runtime = COMMANDS[o->command].runtime;
    for (int i = 2; i < argc; i++) {
        char *s = argv[i];
        if (options && !strcmp(s, "--")) {
            options = false;
        } else if (options && (!strcmp(s, "-h") || !strcmp(s, "--help"))) {
            o->operand = COMMANDS[o->command].name;
            o->command = CMD_help;
            return true;
        } else if (options && s[0] == '-' && s[1]) {
            if (!take_option(a, o, argc, argv, &i)) return false;
        } else if (!o->operand && COMMANDS[o->command].operands[0]) {
            o->operand = s;
        } else if (is_setting(s) && takes_settings(o->command)) {
            vec_push(a, &o->settings, s);
        } else if (runtime) {
            vec_push(a, &o->rest, s);
        } else {
            return unknown_operand(o->command, s);
        }
    }
    return true;
}

/* The runtime has a row for it as well, with the meaning that it has in a stand-alone trainer. */
static bool is_ours(const char *name) { return !strcmp(name, OPTIONS[OPT_DATA].name); }

static void options_of(FILE *out, Command c) {
    netc_command theirs;
    if (COMMANDS[c].runtime && netc_command_find(COMMANDS[c].name, &theirs)) netc_command_options(out, theirs, is_ours);
    for (int i = 0; i < OPT_COUNT; i++) {
        char left[40];
        if (!has_option(c, i)) continue;
        snprintf(left, sizeof left, "%s%s%s", OPTIONS[i].name, OPTIONS[i].arg[0] ? " " : "", OPTIONS[i].arg);
        fprintf(out, "  %-24s %s\n", left, OPTIONS[i].help);
    }
    if (GRAPHS >> c & 1) fprintf(out, "  %-24s switch off a pass or a fusion by name\n", "--fno-NAME");
}

void opts_help(FILE *out, Command about) {
    if (about == CMD_help) {
        fputs("netc: a compiler for neural networks\n\nCommands:\n", out);
        for (int i = 0; i < CMD_COUNT; i++)
            fprintf(out, "  %-10s %-28.28s %s\n", COMMANDS[i].name, COMMANDS[i].operands, COMMANDS[i].help);
        fputs("\n`netc help COMMAND` lists the options of a command.\n", out);
    } else {
        fprintf(out, "netc %s %s\n    %s\n\n", COMMANDS[about].name, COMMANDS[about].operands, COMMANDS[about].help);
        options_of(out, about);
    }
    if (about == CMD_help || takes_settings(about))
        fputs("\nname=value sets a dim, a hyper (eta=0.1) or a train key (train.batch=20) of the file.\n", out);
    fputs("\nExit codes: 0 done, 1 errors in the model, 2 usage, 3 file or I/O, 4 bad data or weights, 5 NaN or\n"
          "infinity, 6 could not save, 8 a limit, 70 internal error, 130/143 stopped by a signal after saving.\n",
          out);
}
