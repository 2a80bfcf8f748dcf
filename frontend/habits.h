/* What users of other tools write by habit, and how it is said here: tails of messages, "; ...". */
#ifndef NETC_FRONTEND_HABITS_H
#define NETC_FRONTEND_HABITS_H

/* For an unknown name (Linear, cross_entropy), a first word of a statement (def, for), a character outside the
 * grammar ('@', '%'). "" if there is nothing to say. */
const char *habit_name(const char *name);
const char *habit_statement(const char *word, int len);
const char *habit_character(char c);

#endif
