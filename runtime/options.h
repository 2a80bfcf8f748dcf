/* The command line of a trainer: one table (options.def), parsed into what was given, in order. */
#ifndef NETC_RUNTIME_OPTIONS_H
#define NETC_RUNTIME_OPTIONS_H
#include "runtime/rt_util.h"

typedef enum {
#define TRAINER_COMMAND(id, operands, help) NETC_CMD_##id,
#define TRAINER_OPTION(id, name, brief, arg, commands, help)
#include "runtime/options.def"
#undef TRAINER_COMMAND
#undef TRAINER_OPTION
    NETC_CMD_COUNT
} netc_command;

typedef enum {
#define TRAINER_COMMAND(id, operands, help)
#define TRAINER_OPTION(id, name, brief, arg, commands, help) NETC_OPT_##id,
#include "runtime/options.def"
#undef TRAINER_COMMAND
#undef TRAINER_OPTION
    NETC_OPT_COUNT
} netc_option_id;

typedef struct {
    netc_option_id id;
    const char    *value;       /* "" for an option without an argument */
} netc_given;

typedef struct {
    netc_command command;
    netc_given  *given;         /* in the order of the command line */
    const char **operand;       /* what is neither an option nor name=value */
    const char **setting;       /* name=value */
    int          ngiven, noperand, nsetting;
    bool         help;          /* -h, --help: help was printed, nothing else is to be done */
} netc_options;

/* argv[0] is the program, options from argv[1] on. NETC_EXIT_OK, or NETC_EXIT_USAGE after a message.
 * Keeps pointers into argv. */
int  netc_options_parse(netc_command command, int argc, char **argv, netc_options *o);
void netc_options_free(netc_options *o);

/* The last value given, or `otherwise`. */
const char *netc_option(const netc_options *o, netc_option_id id, const char *otherwise);
bool        netc_option_given(const netc_options *o, netc_option_id id);
/* A whole number in lo..hi; NETC_EXIT_USAGE after a message. *v keeps its value if the option is absent. */
int         netc_option_int(const netc_options *o, netc_option_id id, int64_t lo, int64_t hi, int64_t *v);
/* The option must be there: NETC_EXIT_USAGE after a message. */
int         netc_option_need(const netc_options *o, netc_option_id id, const char **value);

/* Strict numbers: the whole text, in range. */
bool netc_parse_int(const char *text, int64_t lo, int64_t hi, int64_t *v);
bool netc_parse_real(const char *text, double *v);      /* finite */
/* The shortest text that reads back as the same float: "0.1". */
enum { NETC_REAL_TEXT = 32 };
const char *netc_real_text(float v, char text[NETC_REAL_TEXT]);

const char *netc_command_name(netc_command c);
bool        netc_command_find(const char *name, netc_command *c);
/* `program`: with the command's name, as "mnist-train eval". */
void        netc_command_help(FILE *out, netc_command c, const char *program);
/* Its options, a line each; but those that left_out (NULL: none) says true of. */
void        netc_command_options(FILE *out, netc_command c, bool (*left_out)(const char *name));
/* All commands in one screen. */
void        netc_commands_list(FILE *out);

/* The end of a message about an unknown name: "; did you mean 'x'?" with the nearest of the names, or
 * where to find them. free() it. */
char *netc_did_you_mean(const char *s, const char *const *names, int n);

#endif
