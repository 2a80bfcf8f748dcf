/* filters: the learned filters of a convolution as a picture. */
#include <stdlib.h>
#include <string.h>

#include "runtime/command.h"
#include "runtime/picture.h"

static bool is_filter(const netc_slot *s) { return s->rank == 3 || s->rank == 4; }

/* Is the parameter that of the layer, whose key is all before the last dot, or the parameter itself? */
static bool belongs(const netc_slot *s, const char *layer) {
    size_t n = strlen(layer);
    return !strncmp(s->key, layer, n) && (!s->key[n] || (s->key[n] == '.' && !strchr(s->key + n + 1, '.')));
}

/* The filters of a layer, "Net.c1" (or of the parameter "Net.c1.w"). NULL after a message that lists what there is. */
static const netc_slot *find_filter(const netc_model *m, const char *layer) {
    netc_buf b = {0};
    for (int i = 0; i < m->nparam; i++) {
        const netc_slot *s = &m->param[i];
        if (!is_filter(s)) continue;
        netc_buf_printf(&b, "%s%s", b.size ? ", " : "", s->key);
        if (!belongs(s, layer)) continue;
        netc_buf_free(&b);
        return s;
    }
    netc_error(NETC_EXIT_USAGE, "--layer %s: no convolution of that name; the model has %s", layer,
               b.size ? b.data : "none");
    netc_buf_free(&b);
    return NULL;
}

static int draw(netc_model *m, const char *weights, const netc_slot *s, const char *path, netc_picture_scale scale) {
    netc_blocks b;
    int         code = netc_blocks_new(m, &b);
    if (code) return code;
    code = netc_weights_load(m, weights, b.weights, b.state);
    int64_t h = s->rank == 4 ? s->shape[2] : 1, w = s->shape[s->rank - 1];
    const float *filters = b.weights + s->offset / sizeof(float);
    if (!code) code = netc_picture_filters(path, filters, s->shape[0], s->shape[1], h, w, scale);
    netc_blocks_free(m, &b);
    return code;
}

int netc_cmd_filters(netc_model *m, int argc, char **argv) {
    netc_options     o;
    const netc_slot *s = NULL;
    const char      *weights, *layer, *path;
    int              code = netc_command_start(NETC_CMD_filters, m, argc, argv, &o);
    if (code || o.help) goto done;
    const char *scale = netc_option(&o, NETC_OPT_SCALE, "filter");
    code = netc_command_no_operands(&o, 0);
    if (!code) code = netc_option_need(&o, NETC_OPT_WEIGHTS, &weights);
    if (!code) code = netc_option_need(&o, NETC_OPT_LAYER, &layer);
    if (!code) code = netc_option_need(&o, NETC_OPT_OUTPUT, &path);
    if (!code && strcmp(scale, "filter") && strcmp(scale, "layer"))
        code = netc_error(NETC_EXIT_USAGE, "option --scale: '%s' is neither filter nor layer", scale);
    if (!code && !(s = find_filter(m, layer))) code = NETC_EXIT_USAGE;
    if (!code) code = draw(m, weights, s, path, strcmp(scale, "layer") ? NETC_SCALE_FILTER : NETC_SCALE_LAYER);
done:
    netc_options_free(&o);
    return code;
}
