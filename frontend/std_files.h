/* The embedded standard library: the files of frontend/std, in name order, ended by a NULL name. */
#ifndef NETC_FRONTEND_STD_FILES_H
#define NETC_FRONTEND_STD_FILES_H

typedef struct {
    const char *name, *text;
} StdFile;
extern const StdFile std_files[];

#endif
