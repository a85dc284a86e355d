/* What the parts of the model share among themselves. */
#ifndef POWERLOSS_INSIDE_H
#define POWERLOSS_INSIDE_H

#include "model.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#pragma GCC visibility push(hidden)

/* The library's own calls are raw, so that they never meet its interceptors. */
#define RAW_OPEN(path, flags, mode) ((int)syscall(SYS_openat, AT_FDCWD, path, flags, mode))
#define RAW_CLOSE(fd) ((void)syscall(SYS_close, fd))

enum { SECTOR = 512, LARGEST = 256 << 20 };

enum kind { WRITE, GROW, SHRINK };

/* A change to a file. */
struct change {
    enum kind kind;
    size_t offset, length; /* of the data of a WRITE */
    unsigned char *data;
    size_t size; /* of the file after it */
};

enum name_kind { LINK, UNLINK, RENAME };

/* A change to a folder. */
struct name_change {
    enum name_kind kind;
    char name[256], to[256];
    struct node *node; /* of a LINK */
};

struct entry {
    char name[256];
    struct node *node;
};

struct entries {
    struct entry *list;
    size_t count, room;
};

struct dir {
    char path[PATH_MAX];
    struct entries durable, now;
    struct name_change *changes;
    size_t count, room;
    uint64_t first;
    struct dir *next; /* of all folders */
};

/* model.c */
extern struct node *root;
extern struct dir *all_dirs;

/* Memory or the end. */
void *memory(size_t size);
/* Room for one more element. */
void *more(void *list, size_t count, size_t *room, size_t size);
void join(char *path, const struct dir *dir, const char *name);

struct entry *entry_of(struct entries *entries, const char *name);
void set_entry(struct entries *entries, const char *name, struct node *node);
void apply_name(struct entries *entries, const struct name_change *change);
void change_name(struct dir *dir, enum name_kind kind, const char *name, const char *to, struct node *node);
struct node *new_node(mode_t mode, const char *folder);

/* Whether the change alters the sector that begins there. */
int touches(const struct change *change, size_t sector);
size_t size_at(const struct node *node, size_t version);

/* The content with the size after `version` changes and each sector as after as many as are picked. */
typedef size_t picker(const struct node *node, size_t sector, size_t version, const void *how);
unsigned char *content(const struct node *node, size_t version, picker *pick, const void *how);
/* Picks every sector as of the size's version. */
picker pick_same;

/* disk.c */
unsigned char *read_file(const char *path, size_t *size);
void write_file(const char *path, const unsigned char *bytes, size_t size, mode_t mode);
/* Calls back for all that is in the folder on the disk. */
void each_on_disk(struct dir *dir, void (*visit)(struct dir *, const char *, const struct stat *));
/* Sockets and pipes are none of the model's. */
int modelled(const char *name, const struct stat *stat);
/* Takes the folder into the model; all of it is durable. */
void load(struct dir *dir, const char *name, const struct stat *stat);
/* Ends the process where the disk is not what the model says that the program sees. */
void compare_all(void);

/* cut.c: puts the folder into a state that a power cut may leave. */
void survive_dir(struct dir *dir);

/* carry.c: what is durable, from one process to the next. */
void carry_save(const char *folder);
void carry_load(const char *folder);
void carry_forget(const char *folder);

#pragma GCC visibility pop

#endif
