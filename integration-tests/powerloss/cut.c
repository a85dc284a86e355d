/* The cut: what survives is drawn, and the disk put into that state. */
#define _GNU_SOURCE
#include "inside.h"

#include <stdlib.h>
#include <string.h>

/* Fates: one is drawn for a folder or a file, so that plain states come up beside wild ones. */
enum fate { LOSE_ALL, KEEP_ALL, IN_ORDER, WILD, FATES };

/* A sector may be as after any of the writes to it; what a SHRINK cut off follows the size. */
static size_t pick_any(const struct node *node, size_t sector, size_t version, const void *how) {
    enum fate fate = *(const enum fate *)how;
    size_t low = 0, high = node->count;
    for (size_t i = 0; i < node->count; i++) {
        if (node->changes[i].kind != SHRINK || !touches(&node->changes[i], sector)) continue;
        if (i < version) low = i + 1;
        else if (i < high) high = i;
    }
    if (fate == LOSE_ALL) return low;
    if (fate == KEEP_ALL) return high;
    size_t chosen = low, candidates = 1;
    for (size_t i = low; i < high; i++)
        if (touches(&node->changes[i], sector) && !model_random(++candidates)) chosen = i + 1;
    return chosen;
}

static void survive_file(const char *path, const struct node *node) {
    enum fate fate = (enum fate)model_random(FATES);
    size_t version = model_random(node->count + 1);
    if (fate == LOSE_ALL) version = 0;
    if (fate == KEEP_ALL) version = node->count;
    /* The size may have survived where the data has not, and the other way round. */
    enum fate data = fate == IN_ORDER ? (enum fate)model_random(FATES) : fate;
    unsigned char *bytes = data == IN_ORDER && model_random(2) ? content(node, version, pick_same, NULL)
                                                               : content(node, version, pick_any, &data);
    write_file(path, bytes, size_at(node, version), node->mode);
    free(bytes);
}

static int related(const struct name_change *a, const struct name_change *b) {
    return !strcmp(a->name, b->name) || (a->to[0] && !strcmp(a->to, b->name)) ||
           (b->to[0] && (!strcmp(a->name, b->to) || !strcmp(a->to, b->to)));
}

/* The names that survive: changes are kept in their order, up to a point of its own for each chain of
 * changes that names join. */
static struct entries surviving_names(const struct dir *dir) {
    struct entries entries = {0};
    for (size_t i = 0; i < dir->durable.count; i++)
        set_entry(&entries, dir->durable.list[i].name, dir->durable.list[i].node);
    enum fate fate = (enum fate)model_random(FATES);
    size_t prefix = fate == LOSE_ALL ? 0 : fate == KEEP_ALL ? dir->count : model_random(dir->count + 1);
    size_t *chain = memory((dir->count + 1) * sizeof *chain);
    size_t *left = memory((dir->count + 1) * sizeof *left);
    for (size_t i = 0; i < dir->count; i++) {
        chain[i] = i;
        for (size_t j = 0; j < i; j++) {
            if (chain[j] == chain[i] || !related(&dir->changes[i], &dir->changes[j])) continue;
            size_t old = chain[j];
            for (size_t k = 0; k <= i; k++)
                if (chain[k] == old) chain[k] = chain[i];
        }
    }
    for (size_t i = 0; i < dir->count; i++) left[chain[i]]++;
    for (size_t i = 0; i < dir->count; i++) left[i] = model_random(left[i] + 1);
    for (size_t i = 0; i < dir->count; i++) {
        int kept = fate == WILD ? left[chain[i]] > 0 && left[chain[i]]-- : i < prefix;
        if (kept) apply_name(&entries, &dir->changes[i]);
    }
    free(chain);
    free(left);
    return entries;
}

static void remove_tree(struct dir *dir, const char *name, const struct stat *stat) {
    char path[PATH_MAX];
    join(path, dir, name);
    if (S_ISDIR(stat->st_mode)) {
        struct dir below = {0};
        strcpy(below.path, path);
        each_on_disk(&below, remove_tree);
    }
    if (syscall(SYS_unlinkat, AT_FDCWD, path, S_ISDIR(stat->st_mode) ? AT_REMOVEDIR : 0))
        broken("cannot remove %s: %s", path, strerror(errno));
}

static struct entries survivors;

static void remove_lost(struct dir *dir, const char *name, const struct stat *stat) {
    if (!modelled(name, stat)) return;
    struct entry *entry = entry_of(&survivors, name);
    struct entry *now = entry_of(&dir->now, name);
    int same = entry && now && entry->node == now->node;
    if (!same || (!entry->node->dir && entry->node->count)) remove_tree(dir, name, stat);
}

void survive_dir(struct dir *dir) {
    struct entries names = surviving_names(dir);
    survivors = names;
    each_on_disk(dir, remove_lost);
    for (size_t i = 0; i < names.count; i++) {
        char path[PATH_MAX];
        struct stat stat;
        struct node *node = names.list[i].node;
        join(path, dir, names.list[i].name);
        int there = !lstat(path, &stat);
        if (!there && node->dir && syscall(SYS_mkdirat, AT_FDCWD, path, node->mode))
            broken("cannot make %s: %s", path, strerror(errno));
        if (node->dir) survive_dir(node->dir);
        else if (!there) survive_file(path, node);
    }
}

