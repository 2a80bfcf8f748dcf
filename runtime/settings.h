/* name=value on the command line: hypers and train keys of a compiled model. Dims and the batch size
 * are compiled in: the value that the model has is accepted, any other is an error that names it.
 */
#ifndef NETC_RUNTIME_SETTINGS_H
#define NETC_RUNTIME_SETTINGS_H
#include "runtime/model.h"
#include "runtime/options.h"

/* Changes the model's hypers and train plan. NETC_EXIT_OK, or NETC_EXIT_USAGE after a message. */
int netc_setting_apply(netc_model *m, const char *setting);
int netc_settings_apply(netc_model *m, const netc_options *o);

/* "name=value": does its name equal `name`? If so, *value is what stands behind "=". */
bool netc_setting_is(const char *setting, const char *name, const char **value);

#endif
