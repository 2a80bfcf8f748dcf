/* SIGINT and SIGTERM while training: the first asks to stop after the step, a second SIGINT ends the
 * process at once (files appear whole or not at all, so that is safe, too).
 */
#ifndef NETC_RUNTIME_SIGNALS_H
#define NETC_RUNTIME_SIGNALS_H

/* Installs the handlers; netc_signals_restore puts back what was there. Calls nest. */
void netc_signals_catch(void);
void netc_signals_restore(void);
/* The signal that asks to stop, 0 if none came. */
int  netc_signal_caught(void);
/* NETC_EXIT_INT or NETC_EXIT_TERM for it. */
int  netc_signal_exit_code(void);
/* As if the signal had come (tests). 0 forgets it. */
void netc_signal_pretend(int signal);

#endif
