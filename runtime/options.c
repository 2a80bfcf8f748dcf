#include "runtime/options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
#define TRAINER_COMMAND(id, operands, help) C_##id = 1 << NETC_CMD_##id,
#define TRAINER_OPTION(id, name, brief, arg, commands, help)
#include "runtime/options.def"
#undef TRAINER_COMMAND
#undef TRAINER_OPTION
};

static const struct {
    const char *name, *operands, *help;
} COMMANDS[] = {
#define TRAINER_COMMAND(id, operands, help) [NETC_CMD_##id] = {#id, operands, help},
#define TRAINER_OPTION(id, name, brief, arg, commands, help)
#include "runtime/options.def"
#undef TRAINER_COMMAND
#undef TRAINER_OPTION
};

static const struct {
    const char *name, *brief, *arg, *help;
    unsigned    commands;
} OPTIONS[] = {
#define TRAINER_COMMAND(id, operands, help)
#define TRAINER_OPTION(id, name, brief, arg, commands, help) [NETC_OPT_##id] = {name, brief, arg, help, commands},
#include "runtime/options.def"
#undef TRAINER_COMMAND
#undef TRAINER_OPTION
};

/* ---- numbers and names -------------------------------------------------------------------------------- */

bool netc_parse_int(const char *text, int64_t lo, int64_t hi, int64_t *v) {
    char *end;
    errno = 0;
    long long x = strtoll(text, &end, 10);
    if (errno || end == text || *end || isspace((unsigned char)*text) || x < lo || x > hi) return false;
    *v = x;
    return true;
}

bool netc_parse_real(const char *text, double *v) {
    char *end;
    double x = strtod(text, &end);
    if (end == text || *end || isspace((unsigned char)*text) || !isfinite(x)) return false;
    *v = x;
    return true;
}

const char *netc_real_text(float v, char text[NETC_REAL_TEXT]) {
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, NETC_REAL_TEXT, "%.*g", digits, (double)v);
        if (strtof(text, NULL) == v) break;
    }
    return text;
}

/* Levenshtein's distance; names longer than the row are never near. */
static int edit_distance(const char *a, const char *b) {
    enum { LONGEST = 64 };
    int row[LONGEST + 1], na = (int)strlen(a), nb = (int)strlen(b);
    if (na > LONGEST || nb > LONGEST) return LONGEST;
    for (int j = 0; j <= nb; j++) row[j] = j;
    for (int i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= nb; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[nb];
}

static const char *nearest(const char *s, const char *const *names, int n) {
    const char *best = NULL;
    int         least = (int)strlen(s) / 3 + 2;          /* farther is no help */
    for (int i = 0; i < n; i++) {
        int d = edit_distance(s, names[i]);
        if (d >= least) continue;
        least = d;
        best = names[i];
    }
    return best;
}

char *netc_did_you_mean(const char *s, const char *const *names, int n) {
    const char *near = nearest(s, names, n);
    return near ? netc_format("; did you mean '%s'?", near) : netc_strdup(" (--help lists them)");
}

/* ---- parsing ------------------------------------------------------------------------------------------ */

static bool known(netc_command c, int option) { return OPTIONS[option].commands >> c & 1; }

static int unknown_option(netc_command c, const char *text) {
    if (!strncmp(text, "--beam", 6))
        return netc_error(NETC_EXIT_USAGE,
                          "%s: beam search is compiled in: netc compile FILE.net --emit=trainer --beam N",
                          COMMANDS[c].name);
    const char *names[NETC_OPT_COUNT + 1];
    char        name[64];
    int         n = 0;
    for (int i = 0; i < NETC_OPT_COUNT; i++)
        if (known(c, i)) names[n++] = OPTIONS[i].name;
    names[n++] = "--help";
    snprintf(name, sizeof name, "%.*s", (int)strcspn(text, "="), text);
    char *hint = netc_did_you_mean(name, names, n);
    int   code = netc_error(NETC_EXIT_USAGE, "%s: unknown option '%s'%s", COMMANDS[c].name, name, hint);
    free(hint);
    return code;
}

/* The option that `text` names: "--out", "--out=x", "-o", "-ox" (and "-o=x"). *value: what is glued to it, or NULL. */
static int find_option(netc_command c, const char *text, const char **value) {
    bool is_long = text[1] == '-';
    for (int i = 0; i < NETC_OPT_COUNT; i++) {
        const char *name = is_long ? OPTIONS[i].name : OPTIONS[i].brief;
        size_t      n = strlen(name);
        if (!known(c, i) || !n || strncmp(text, name, n)) continue;
        bool glued = text[n] == '=' || (!is_long && OPTIONS[i].arg[0]);
        if (text[n] && !glued) continue;
        *value = !text[n] ? NULL : text[n] == '=' ? text + n + 1 : text + n;
        return i;
    }
    return -1;
}

/* name=value with a name of the language ("train.batch=20"). */
static bool is_setting(const char *s) {
    if (!isalpha((unsigned char)*s) && *s != '_') return false;
    while (isalnum((unsigned char)*s) || *s == '_' || *s == '.') s++;
    return *s == '=';
}

static int take_option(netc_options *o, int argc, char **argv, int *i) {
    const char *value = NULL, *name = argv[*i];
    int         k = find_option(o->command, name, &value);
    if (k < 0) return unknown_option(o->command, name);
    bool wants = OPTIONS[k].arg[0];
    if (!wants && value) return netc_error(NETC_EXIT_USAGE, "option %s takes no value", OPTIONS[k].name);
    if (wants && !value) {
        if (*i + 1 >= argc) return netc_error(NETC_EXIT_USAGE, "option %s needs %s", OPTIONS[k].name, OPTIONS[k].arg);
        value = argv[++*i];
    }
    o->given[o->ngiven++] = (netc_given){(netc_option_id)k, wants ? value : ""};
    return NETC_EXIT_OK;
}

int netc_options_parse(netc_command command, int argc, char **argv, netc_options *o) {
    size_t room = (size_t)argc + 1;
    *o = (netc_options){.command = command};
    o->given = netc_array(room, sizeof *o->given);
    o->operand = netc_array(room, sizeof *o->operand);
    o->setting = netc_array(room, sizeof *o->setting);
    bool options = true;
    for (int i = 1; i < argc; i++) {
        const char *s = argv[i];
        int         code = NETC_EXIT_OK;
        if (options && !strcmp(s, "--")) {
            options = false;
        } else if (options && (!strcmp(s, "--help") || !strcmp(s, "-h"))) {
            netc_command_help(stdout, command, argv[0]);
            o->help = true;
            return NETC_EXIT_OK;
        } else if (options && s[0] == '-' && s[1]) {
            code = take_option(o, argc, argv, &i);
        } else if (is_setting(s)) {
            o->setting[o->nsetting++] = s;
        } else {
            o->operand[o->noperand++] = s;
        }
        if (code) {
            netc_options_free(o);
            return code;
        }
    }
    return NETC_EXIT_OK;
}

void netc_options_free(netc_options *o) {
    free(o->given);
    free(o->operand);
    free(o->setting);
    *o = (netc_options){0};
}

/* ---- reading ------------------------------------------------------------------------------------------ */

const char *netc_option(const netc_options *o, netc_option_id id, const char *otherwise) {
    for (int i = o->ngiven - 1; i >= 0; i--)
        if (o->given[i].id == id) return o->given[i].value;
    return otherwise;
}

bool netc_option_given(const netc_options *o, netc_option_id id) { return netc_option(o, id, NULL) != NULL; }

int netc_option_int(const netc_options *o, netc_option_id id, int64_t lo, int64_t hi, int64_t *v) {
    const char *text = netc_option(o, id, NULL);
    if (!text || netc_parse_int(text, lo, hi, v)) return NETC_EXIT_OK;
    return netc_error(NETC_EXIT_USAGE, "option %s: '%s' is not a whole number from %lld to %lld", OPTIONS[id].name,
                      text, (long long)lo, (long long)hi);
}

int netc_option_need(const netc_options *o, netc_option_id id, const char **value) {
    *value = netc_option(o, id, NULL);
    if (*value) return NETC_EXIT_OK;
    return netc_error(NETC_EXIT_USAGE, "%s needs %s %s (%s)", COMMANDS[o->command].name, OPTIONS[id].name,
                      OPTIONS[id].arg, OPTIONS[id].help);
}

/* ---- help --------------------------------------------------------------------------------------------- */

const char *netc_command_name(netc_command c) { return COMMANDS[c].name; }

bool netc_command_find(const char *name, netc_command *c) {
    for (int i = 0; i < NETC_CMD_COUNT; i++) {
        if (strcmp(name, COMMANDS[i].name)) continue;
        *c = (netc_command)i;
        return true;
    }
    return false;
}

/* The text of an option beside its name, in lines of LINE columns. */
static void print_help(FILE *out, const char *left, const char *text) {
    enum { LEFT = 24, LINE = 76 };
    fprintf(out, "  %-*s", LEFT, left);
    for (int column = 0; *text;) {
        int word = (int)strcspn(text, " ");
        if (column && column + 1 + word > LINE) {
            fprintf(out, "\n  %*s", LEFT, "");
            column = 0;
        }
        fprintf(out, " %.*s", word, text);
        column += 1 + word;
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

void netc_command_options(FILE *out, netc_command c, bool (*left_out)(const char *name)) {
    for (int i = 0; i < NETC_OPT_COUNT; i++) {
        if (!known(c, i) || (left_out && left_out(OPTIONS[i].name))) continue;
        char left[48], brief[8] = "";
        if (OPTIONS[i].brief[0]) snprintf(brief, sizeof brief, "%s, ", OPTIONS[i].brief);
        snprintf(left, sizeof left, "%s%s %s", brief, OPTIONS[i].name, OPTIONS[i].arg);
        print_help(out, left, OPTIONS[i].help);
    }
}

void netc_command_help(FILE *out, netc_command c, const char *program) {
    fprintf(out, "%s %s\n    %s\n\n", program, COMMANDS[c].operands, COMMANDS[c].help);
    netc_command_options(out, c, NULL);
    fputs("\nname=value sets a hyper (eta=0.1) or a train key (train.epochs=5); dims and batch are compiled in.\n",
          out);
}

void netc_commands_list(FILE *out) {
    for (int i = 0; i < NETC_CMD_COUNT; i++) fprintf(out, "  %-8s %s\n", COMMANDS[i].name, COMMANDS[i].help);
}
