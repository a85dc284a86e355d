/* What a disk would hold after a power cut: files, folders, and the changes that are not durable yet. */
#ifndef POWERLOSS_MODEL_H
#define POWERLOSS_MODEL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { EXIT_CUT = 137, EXIT_BROKEN = 138 };

#pragma GCC visibility push(hidden)

struct dir;

/* A file or a folder. Nodes live as long as the process. */
struct node {
    struct dir *dir; /* NULL for a file */
    mode_t mode;
    unsigned char *durable; /* content at the last sync */
    size_t durable_size;
    size_t size;         /* as the program sees it now */
    struct change *changes; /* since the last sync, oldest first */
    size_t count, room;
    uint64_t first; /* number of the oldest change; numbers only grow */
};

/* A place in a folder: a name that may exist or not. */
struct place {
    struct dir *dir; /* NULL where the folder is not known, though below the root */
    char name[256];  /* empty for the root itself */
};

/* All calls but setup are made with the lock held. */
void model_lock(void);
void model_unlock(void);

/* Prints why and ends the process: the test has no meaning any more. */
void broken(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Where the path leads: 0 outside the root, else 1 and the place. */
int model_find(int at, const char *path, struct place *place);

/* The node at the place now, or NULL. */
struct node *model_node(const struct place *place);

/* One of the moments at which the power may be cut; does not return if it is. */
void model_moment(void);

struct node *model_create(const struct place *place, mode_t mode, int folder);
void model_link(const struct place *place, struct node *node);
void model_unlink(const struct place *place);
void model_rename(const struct place *from, const struct place *to);

void model_write(struct node *node, size_t offset, const void *data, size_t length);
void model_resize(struct node *node, size_t size);

/* Syncs: what was changed before the begin is durable after the end. */
uint64_t model_sync_begin(struct node *node);
void model_sync_end(struct node *node, uint64_t upto);
void model_sync_everything(void);

/* A random number below the bound. */
uint64_t model_random(uint64_t bound);

/* What a sync shall take, in microseconds. */
unsigned model_sync_pause(void);

#pragma GCC visibility pop

#endif
