/* After a kill the page cache lives on: the next process finds files that look whole and are not durable.
 * So what is durable is kept beside, and the next process begins with both.
 *
 * The folder holds `index`, a line for each name: the inode that it has now (0 where the file is gone), the
 * number of the file beside that holds the durable content, or -1 for a folder, whether the name is durable,
 * and the path. A name that is not durable has a line because what it names may be: content that was synced
 * before its name stays synced. */
#define _GNU_SOURCE
#include "inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A name of the process before. */
struct line {
    unsigned long long inode;
    long content; /* -1 for a folder */
    int durable;
    char path[PATH_MAX];
    struct node *node; /* once it is loaded again */
};

static struct line *lines;
static size_t line_count, line_room;
static const char *beside;

static void content_path(char *path, long number) {
    if (snprintf(path, PATH_MAX, "%s/%ld", beside, number) >= PATH_MAX) broken("path too long");
}

/* ---- saving ---- */

/* The inode by which the node is found again, under whatever name of the folder. */
static unsigned long long inode_of(struct dir *dir, const struct node *node) {
    for (size_t i = 0; i < dir->now.count; i++) {
        char path[PATH_MAX];
        struct stat stat;
        if (dir->now.list[i].node != node) continue;
        join(path, dir, dir->now.list[i].name);
        if (!lstat(path, &stat)) return stat.st_ino;
    }
    return 0;
}

static void save_dir(FILE *index, struct dir *dir, long *next);

static void save_name(FILE *index, struct dir *dir, const struct entry *entry, int durable, long *next) {
    char path[PATH_MAX], file[PATH_MAX];
    struct node *node = entry->node;
    join(path, dir, entry->name);
    fprintf(index, "%llu %ld %d %s\n", inode_of(dir, node), node->dir ? -1 : *next, durable, path);
    if (node->dir) {
        save_dir(index, node->dir, next);
    } else {
        content_path(file, (*next)++);
        write_file(file, node->durable, node->durable_size, 0600);
    }
}

static int is_in(const struct entries *entries, const struct node *node) {
    for (size_t i = 0; i < entries->count; i++)
        if (entries->list[i].node == node) return 1;
    return 0;
}

static void save_dir(FILE *index, struct dir *dir, long *next) {
    for (size_t i = 0; i < dir->durable.count; i++) save_name(index, dir, &dir->durable.list[i], 1, next);
    for (size_t i = 0; i < dir->now.count; i++)
        if (!is_in(&dir->durable, dir->now.list[i].node)) save_name(index, dir, &dir->now.list[i], 0, next);
}

void carry_save(const char *folder) {
    char path[PATH_MAX], *text = NULL;
    size_t length = 0;
    long next = 0;
    if (!folder) return;
    carry_forget(folder);
    beside = folder;
    if (syscall(SYS_mkdirat, AT_FDCWD, folder, 0700)) broken("cannot make %s: %s", folder, strerror(errno));
    FILE *index = open_memstream(&text, &length);
    if (!index) broken("out of memory");
    save_dir(index, root->dir, &next);
    fclose(index);
    snprintf(path, sizeof path, "%s/index", folder);
    write_file(path, (unsigned char *)text, length, 0600);
}

static void forget(struct dir *dir, const char *name, const struct stat *stat) {
    char path[PATH_MAX];
    (void)stat;
    join(path, dir, name);
    if (syscall(SYS_unlinkat, AT_FDCWD, path, 0)) broken("cannot remove %s: %s", path, strerror(errno));
}

void carry_forget(const char *folder) {
    struct dir dir = {0};
    if (!folder || access(folder, F_OK)) return;
    snprintf(dir.path, sizeof dir.path, "%s", folder);
    each_on_disk(&dir, forget);
    if (syscall(SYS_unlinkat, AT_FDCWD, folder, AT_REMOVEDIR)) broken("cannot remove %s", folder);
}

/* ---- loading ---- */

/* The file was durable with that content (-1: with none), and all by which it differs now is a change; a
 * file that is gone differs by nothing. */
static void differ(struct node *node, long number, int gone) {
    char path[PATH_MAX];
    unsigned char *now = node->durable;
    size_t size = node->durable_size;
    node->durable = NULL;
    node->durable_size = node->size = 0;
    if (number >= 0) {
        content_path(path, number);
        node->durable = read_file(path, &node->durable_size);
        node->size = node->durable_size;
    }
    if (gone) return;
    model_resize(node, size);
    for (size_t at = 0; at < size; at += SECTOR) {
        unsigned char old[SECTOR] = {0};
        size_t length = size - at < SECTOR ? size - at : SECTOR;
        if (at < node->durable_size)
            memcpy(old, node->durable + at, node->durable_size - at < length ? node->durable_size - at : length);
        if (memcmp(old, now + at, length)) model_write(node, at, now + at, length);
    }
    free(now);
}

/* The name in the folder that the path is, or NULL. */
static const char *name_in(const struct dir *dir, const char *path) {
    size_t length = strlen(dir->path);
    int inside = !strncmp(path, dir->path, length) && path[length] == '/' && !strchr(path + length + 1, '/');
    return inside ? path + length + 1 : NULL;
}

/* The line of the name that the entry had, whatever it is called now. */
static struct line *line_of(const struct dir *dir, const struct entry *entry) {
    char path[PATH_MAX];
    struct stat stat;
    join(path, dir, entry->name);
    if (lstat(path, &stat)) broken("%s went away", path);
    for (size_t i = 0; i < line_count; i++)
        if (lines[i].inode == stat.st_ino && name_in(dir, lines[i].path)) return &lines[i];
    return NULL;
}

/* Begins with what was durable and goes on with how it became what is there: renamed, made, removed. */
static void changed(struct dir *dir) {
    struct entries there = dir->now;
    dir->durable = dir->now = (struct entries){0};
    for (size_t i = 0; i < there.count; i++) {
        struct line *line = line_of(dir, &there.list[i]);
        if (line) line->node = there.list[i].node;
    }
    for (size_t i = 0; i < line_count; i++) {
        const char *name = lines[i].durable ? name_in(dir, lines[i].path) : NULL;
        if (!name) continue;
        int gone = !lines[i].node;
        if (gone) lines[i].node = new_node(0600, lines[i].content < 0 ? lines[i].path : NULL);
        if (lines[i].content >= 0) differ(lines[i].node, lines[i].content, gone);
        set_entry(&dir->durable, name, lines[i].node);
        set_entry(&dir->now, name, lines[i].node);
    }
    for (size_t i = 0; i < there.count; i++) {
        struct line *line = line_of(dir, &there.list[i]);
        const char *name = line && line->durable ? name_in(dir, line->path) : NULL;
        if (name && strcmp(name, there.list[i].name)) change_name(dir, RENAME, name, there.list[i].name, NULL);
        if (name) continue;
        if (!there.list[i].node->dir) differ(there.list[i].node, line ? line->content : -1, 0);
        change_name(dir, LINK, there.list[i].name, NULL, there.list[i].node);
    }
    for (size_t i = 0; i < dir->now.count;) {
        if (entry_of(&there, dir->now.list[i].name)) i++;
        else change_name(dir, UNLINK, dir->now.list[i].name, NULL, NULL);
    }
    free(there.list);
}

void carry_load(const char *folder) {
    char path[PATH_MAX];
    size_t size;
    if (!folder) return;
    beside = folder;
    snprintf(path, sizeof path, "%s/index", folder);
    if (access(path, F_OK)) return;
    char *text = (char *)read_file(path, &size);
    text[size] = 0;
    for (char *at = text; *at; at += strcspn(at, "\n") + 1) {
        lines = more(lines, line_count, &line_room, sizeof *lines);
        memset(&lines[line_count], 0, sizeof *lines);
        if (sscanf(at, "%llu %ld %d %4095[^\n]", &lines[line_count].inode, &lines[line_count].content,
                   &lines[line_count].durable, lines[line_count].path) != 4)
            broken("%s is damaged", path);
        line_count++;
    }
    free(text);
    for (struct dir *dir = all_dirs; dir; dir = dir->next) changed(dir);
}
