/* Folders of pictures: lists of their names, and a folder as a clip, one frame after the other. */
#ifndef NETC_RUNTIME_CLIP_H
#define NETC_RUNTIME_CLIP_H
#include "runtime/tensor_file.h"

typedef struct {
    char **name;
    int    count;
} netc_names;

/* The subfolders, or the pictures, of a folder, in the order of their names: numbers in them count as numbers (9.png
 * before 10.png). Hidden ones are passed over. netc_names_free in any case. */
int  netc_folder_list(const char *path, bool folders, netc_names *n);
void netc_names_free(netc_names *n);
bool netc_is_folder(const char *path);

/* The pictures of a folder as u8 [frames, c, h, w]. want, most: as of netc_image_read, and the most frames; without
 * want all are like the first one. A folder without pictures is an error. */
int netc_clip_read(const char *folder, const int64_t want[3], int64_t most, netc_tensor *t);

#endif
