/* The disk itself, read and written past the interceptors. */
#define _GNU_SOURCE
#include "inside.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

unsigned char *read_file(const char *path, size_t *size) {
    struct stat stat;
    int fd = RAW_OPEN(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0 || fstat(fd, &stat)) broken("cannot read %s: %s", path, strerror(errno));
    *size = (size_t)stat.st_size;
    if (*size > LARGEST) broken("a file above %d MiB is not modelled: %s", LARGEST >> 20, path);
    unsigned char *bytes = memory(*size + 1);
    for (size_t at = 0; at < *size;) {
        ssize_t got = syscall(SYS_pread64, fd, bytes + at, *size - at, (off_t)at);
        if (got <= 0) broken("cannot read %s", path);
        at += (size_t)got;
    }
    RAW_CLOSE(fd);
    return bytes;
}

void write_file(const char *path, const unsigned char *bytes, size_t size, mode_t mode) {
    int fd = RAW_OPEN(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) broken("cannot write %s: %s", path, strerror(errno));
    for (size_t at = 0; at < size;) {
        ssize_t put = syscall(SYS_pwrite64, fd, bytes + at, size - at, (off_t)at);
        if (put <= 0) broken("cannot write %s: %s", path, strerror(errno));
        at += (size_t)put;
    }
    RAW_CLOSE(fd);
}

/* Calls back for all that is in the folder on the disk. */
void each_on_disk(struct dir *dir, void (*visit)(struct dir *, const char *, const struct stat *)) {
    DIR *stream = opendir(dir->path);
    if (!stream) broken("cannot list %s: %s", dir->path, strerror(errno));
    for (struct dirent *found; (found = readdir(stream));) {
        struct stat stat;
        if (!strcmp(found->d_name, ".") || !strcmp(found->d_name, "..")) continue;
        if (fstatat(dirfd(stream), found->d_name, &stat, AT_SYMLINK_NOFOLLOW)) continue;
        visit(dir, found->d_name, &stat);
    }
    closedir(stream);
}

/* Sockets and pipes are none of the model's. */
int modelled(const char *name, const struct stat *stat) {
    if (S_ISLNK(stat->st_mode)) broken("a symbolic link is not modelled: %s", name);
    return S_ISREG(stat->st_mode) || S_ISDIR(stat->st_mode);
}

/* At the start: everything there is durable. */
void load(struct dir *dir, const char *name, const struct stat *stat) {
    char path[PATH_MAX];
    if (!modelled(name, stat)) return;
    join(path, dir, name);
    struct node *node = new_node(stat->st_mode, S_ISDIR(stat->st_mode) ? path : NULL);
    set_entry(&dir->durable, name, node);
    set_entry(&dir->now, name, node);
    if (node->dir) {
        each_on_disk(node->dir, load);
    } else {
        node->durable = read_file(path, &node->durable_size);
        node->size = node->durable_size;
    }
}

static size_t seen;

static void compare(struct dir *dir, const char *name, const struct stat *stat) {
    char path[PATH_MAX];
    if (!modelled(name, stat)) return;
    join(path, dir, name);
    struct entry *entry = entry_of(&dir->now, name);
    if (!entry || !entry->node->dir != !S_ISDIR(stat->st_mode)) broken("something made %s past the library", path);
    seen++;
    if (entry->node->dir) return;
    size_t size;
    unsigned char *disk = read_file(path, &size);
    unsigned char *model = content(entry->node, entry->node->count, pick_same, NULL);
    if (size != entry->node->size || memcmp(disk, model, size)) broken("something wrote %s past the library", path);
    free(disk);
    free(model);
}

/* The model is what the program sees; else something went past the library, and nothing is proven. */
void compare_all(void) {
    for (struct dir *dir = all_dirs; dir; dir = dir->next) {
        struct stat stat;
        if (lstat(dir->path, &stat)) continue;
        seen = 0;
        each_on_disk(dir, compare);
        if (seen != dir->now.count) broken("something removed a file of %s past the library", dir->path);
    }
}

