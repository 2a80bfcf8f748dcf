/* A folder of pictures: every subfolder is a class, in the order of their names; pictures in the order
 * of theirs. A folder without subfolders serves data without a label.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/clip.h"
#include "runtime/data_impl.h"
#include "runtime/image.h"

typedef struct {
    data_load   *l;
    netc_column *image, *label;         /* label: NULL if the data have none */
    int64_t      want[3];
    int64_t      rows, room;
} image_load;

/* Which field is the picture, which the label. */
static int assign_fields(image_load *w) {
    netc_source *s = w->l->s;
    for (int i = 0; i < s->ncolumn; i++) {
        netc_column *c = &s->column[i];
        const netc_port *p = c->port;
        bool picture = (p->rank == 2 || p->rank == 3) && p->dtype != NETC_I32;
        bool label = p->rank == 0 && p->dtype == NETC_I32;
        if (picture && !w->image) w->image = c;
        else if (label && !w->label) w->label = c;
        else return netc_error(NETC_EXIT_DATA, "images fill a picture [c,h,w] and a label; %s is neither", p->name);
    }
    if (!w->image) return netc_error(NETC_EXIT_DATA, "images fill a picture [c,h,w]; no field is one");
    const netc_port *p = w->image->port;
    w->want[0] = p->rank == 3 ? p->shape[0] : 1;
    w->want[1] = p->shape[p->rank - 2];
    w->want[2] = p->shape[p->rank - 1];
    w->image->dtype = NETC_U8;
    w->image->scale = p->dtype == NETC_F32;
    if (w->label) w->label->dtype = NETC_I32;
    return NETC_EXIT_OK;
}

static int add_image(image_load *w, const char *path, int64_t label) {
    netc_tensor t;
    int code = netc_image_read(path, w->want, &t);
    if (!code && w->rows == w->room) {
        w->room = w->room ? 2 * w->room : 64;
        w->image->data = netc_resize(w->image->data, (size_t)w->room, t.bytes);
        if (w->label) w->label->data = netc_resize(w->label->data, (size_t)w->room, sizeof(int32_t));
    }
    if (!code) {
        memcpy((char *)w->image->data + (size_t)w->rows * t.bytes, t.data, t.bytes);
        if (w->label) ((int32_t *)w->label->data)[w->rows] = (int32_t)label;
        w->rows++;
    }
    netc_tensor_free(&t);
    return code;
}

static int add_folder(image_load *w, const char *folder, int64_t label) {
    netc_names files;
    int code = netc_folder_list(folder, false, &files);
    if (!code && !files.count) code = netc_error(NETC_EXIT_DATA, "%s: empty: no .png, .pgm or .ppm in it", folder);
    for (int i = 0; i < files.count && !code; i++) {
        char *path = netc_format("%s/%s", folder, files.name[i]);
        code = add_image(w, path, label);
        free(path);
    }
    netc_names_free(&files);
    return code;
}

/* The number of class i: its place in the order, or its symbol in a vocabulary. */
static int class_number(const image_load *w, const netc_vocab *v, const netc_names *classes, int i, int64_t *label) {
    const netc_port *p = w->label->port;
    const char *name = classes->name[i];
    *label = v ? netc_vocab_find(v, name, strlen(name)) : i;
    if (*label >= 0) return NETC_EXIT_OK;
    return netc_error(NETC_EXIT_DATA, "%s/%s: the folder's name is no symbol of dim %s", w->l->file[0], name, p->dim);
}

static int add_classes(image_load *w, const netc_names *classes) {
    const netc_port *p = w->label->port;
    const char *root = w->l->file[0];
    netc_vocab own;
    const netc_vocab *v;
    int code = data_vocab(w->l, p, &own, &v);
    if (!code && !v && p->dim && classes->count != p->size) {
        code = netc_error(NETC_EXIT_DATA, "%s: has %d subfolders (one per class), but dim %s has %lld values", root,
                          classes->count, p->dim, (long long)p->size);
    }
    for (int i = 0; i < classes->count && !code; i++) {
        int64_t label;
        char *folder = netc_format("%s/%s", root, classes->name[i]);
        code = class_number(w, v, classes, i, &label);
        if (!code) code = add_folder(w, folder, label);
        free(folder);
    }
    netc_vocab_free(&own);
    return code;
}

int data_load_images(data_load *l) {
    image_load w = {.l = l};
    netc_names classes = {0};
    if (l->nfile != 1) return netc_error(NETC_EXIT_DATA, "images: one folder is needed, not %d", l->nfile);
    int code = data_no_ragged(l);
    if (!code) code = assign_fields(&w);
    if (!code && w.label) code = netc_folder_list(l->file[0], true, &classes);
    if (!code) code = w.label ? add_classes(&w, &classes) : add_folder(&w, l->file[0], 0);
    netc_names_free(&classes);
    return code ? code : data_set_rows(l, w.rows, l->file[0]);
}
