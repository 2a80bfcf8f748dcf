#include "runtime/settings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Train keys that are numbers and may change without compiling anew. */
typedef struct {
    const char *name;
    size_t      offset;         /* of an int64_t in netc_train_plan */
    int64_t     lo, hi;
} train_key;

static const train_key TRAIN_KEYS[] = {
    {"seed", offsetof(netc_train_plan, seed), 0, INT64_MAX},
    {"epochs", offsetof(netc_train_plan, epochs), 0, 1000000000},
    {"patience", offsetof(netc_train_plan, patience), 0, 1000000000},
    {"ensemble", offsetof(netc_train_plan, ensemble), 1, 1000},
};
enum { NTRAIN_KEYS = sizeof TRAIN_KEYS / sizeof *TRAIN_KEYS };

/* Keys of the train block that are part of the compiled code. */
static const char *const COMPILED_KEYS[] = {"optimizer", "l2", "clip", "keep", "stop", "sweep"};
enum { NCOMPILED_KEYS = sizeof COMPILED_KEYS / sizeof *COMPILED_KEYS };

bool netc_setting_is(const char *setting, const char *name, const char **value) {
    size_t n = strlen(name);
    if (strncmp(setting, name, n) || setting[n] != '=') return false;
    *value = setting + n + 1;
    return true;
}

/* Sizes are compiled in. */
static int keep_size(const char *kind, const char *name, int64_t size, const char *value) {
    int64_t v;
    if (!netc_parse_int(value, INT64_MIN, INT64_MAX, &v))
        return netc_error(NETC_EXIT_USAGE, "%s=%s: not a whole number", name, value);
    if (v == size) return NETC_EXIT_OK;
    return netc_error(NETC_EXIT_USAGE, "%s=%s: %s %s is compiled in with the value %lld; compile the .net file with "
                      "%s=%s", name, value, kind, name, (long long)size, name, value);
}

static int set_hyper(netc_hyper *h, const char *value) {
    double v;
    if (!netc_parse_real(value, &v) || !isfinite((float)v))
        return netc_error(NETC_EXIT_USAGE, "%s=%s: not a finite number", h->name, value);
    h->value = (float)v;
    return NETC_EXIT_OK;
}

/* `name` without "train."; *found tells whether there is such a key. */
static int set_train_key(netc_model *m, const char *name, const char *value, bool *found) {
    *found = true;
    if (!m->train.present)
        return netc_error(NETC_EXIT_USAGE, "%s=%s: the model has no train block", name, value);
    if (!strcmp(name, "batch")) return keep_size("key", "train.batch", m->batch, value);
    for (int i = 0; i < NTRAIN_KEYS; i++) {
        const train_key *k = &TRAIN_KEYS[i];
        if (strcmp(name, k->name)) continue;
        int64_t *field = (int64_t *)(void *)((char *)&m->train + k->offset);
        if (netc_parse_int(value, k->lo, k->hi, field)) return NETC_EXIT_OK;
        return netc_error(NETC_EXIT_USAGE, "%s=%s: not a whole number from %lld to %lld", name, value,
                          (long long)k->lo, (long long)k->hi);
    }
    for (int i = 0; i < NCOMPILED_KEYS; i++)
        if (!strcmp(name, COMPILED_KEYS[i]))
            return netc_error(NETC_EXIT_USAGE, "%s=%s: the key %s is compiled in; change it in the .net file", name,
                              value, name);
    *found = false;
    return NETC_EXIT_OK;
}

static int unknown_name(const netc_model *m, const char *name) {
    size_t       room = (size_t)m->nhyper + (size_t)m->ndim + NTRAIN_KEYS + 1;
    const char **names = netc_array(room, sizeof *names);
    int          n = 0;
    for (int i = 0; i < m->nhyper; i++) names[n++] = m->hyper[i].name;
    for (int i = 0; i < m->ndim; i++) names[n++] = m->dim[i].name;
    for (int i = 0; i < NTRAIN_KEYS; i++) names[n++] = TRAIN_KEYS[i].name;
    names[n++] = "batch";
    char *hint = netc_did_you_mean(strncmp(name, "train.", 6) ? name : name + 6, names, n);
    int   code = netc_error(NETC_EXIT_USAGE, "no hyper, dim or train key '%s'%s", name, hint);
    free(hint);
    free(names);
    return code;
}

int netc_setting_apply(netc_model *m, const char *setting) {
    size_t n = strcspn(setting, "=");
    char  *name = netc_format("%.*s", (int)n, setting);
    const char *value = setting + n + 1, *key = !strncmp(name, "train.", 6) ? name + 6 : NULL;
    netc_hyper *h = key ? NULL : netc_model_hyper(m, name);
    netc_dim   *d = key ? NULL : netc_model_dim(m, name);
    bool        found = true;
    int         code = h   ? set_hyper(h, value)
                       : d ? keep_size("dim", name, d->size, value)
                           : set_train_key(m, key ? key : name, value, &found);
    if (!found) code = unknown_name(m, name);
    free(name);
    return code;
}

int netc_settings_apply(netc_model *m, const netc_options *o) {
    for (int i = 0; i < o->nsetting; i++) {
        int code = netc_setting_apply(m, o->setting[i]);
        if (code) return code;
    }
    return NETC_EXIT_OK;
}
