/* The changes to files and folders, and what of them is durable. */
#define _GNU_SOURCE
#include "inside.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node *root;
struct dir *all_dirs;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root_path[PATH_MAX];
static size_t root_length;
static struct node **all_files;
static size_t file_count, file_room;
static uint64_t state, cut_at, moments;
static unsigned sync_us;
/* What a sync makes durable. */
static enum { EVERYTHING, NOTHING, NO_NAMES } noop;
static int kill_only;
static const char *carried;

/* ---- small helpers ---- */

void model_lock(void) { pthread_mutex_lock(&lock); }
void model_unlock(void) { pthread_mutex_unlock(&lock); }

void broken(const char *format, ...) {
    char text[PATH_MAX + 256] = "powerloss: ";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + 11, sizeof text - 13, format, arguments);
    va_end(arguments);
    strcat(text, "\n");
    syscall(SYS_write, 2, text, strlen(text));
    _exit(EXIT_BROKEN);
}

void *memory(size_t size) {
    void *bytes = calloc(1, size ? size : 1);
    if (!bytes) broken("out of memory");
    return bytes;
}

void *more(void *list, size_t count, size_t *room, size_t size) {
    if (count < *room) return list;
    *room = *room ? *room * 2 : 16;
    list = realloc(list, *room * size);
    if (!list) broken("out of memory");
    return list;
}

/* splitmix64 */
uint64_t model_random(uint64_t bound) {
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return bound ? z % bound : 0;
}

unsigned model_sync_pause(void) { return sync_us ? (unsigned)model_random(sync_us) : 0; }

void join(char *path, const struct dir *dir, const char *name) {
    if (snprintf(path, PATH_MAX, "%s/%s", dir->path, name) >= PATH_MAX) broken("path too long");
}

/* ---- names ---- */

struct entry *entry_of(struct entries *entries, const char *name) {
    for (size_t i = 0; i < entries->count; i++)
        if (!strcmp(entries->list[i].name, name)) return &entries->list[i];
    return NULL;
}

static void remove_entry(struct entries *entries, const char *name) {
    struct entry *entry = entry_of(entries, name);
    if (entry) *entry = entries->list[--entries->count];
}

void set_entry(struct entries *entries, const char *name, struct node *node) {
    remove_entry(entries, name);
    entries->list = more(entries->list, entries->count, &entries->room, sizeof *entries->list);
    struct entry *entry = &entries->list[entries->count++];
    strcpy(entry->name, name);
    entry->node = node;
}

void apply_name(struct entries *entries, const struct name_change *change) {
    if (change->kind == LINK) set_entry(entries, change->name, change->node);
    if (change->kind == UNLINK) remove_entry(entries, change->name);
    if (change->kind == RENAME) {
        struct entry *entry = entry_of(entries, change->name);
        if (!entry) broken("a rename of what is not there: %s", change->name);
        struct node *node = entry->node;
        remove_entry(entries, change->name);
        set_entry(entries, change->to, node);
    }
}

void change_name(struct dir *dir, enum name_kind kind, const char *name, const char *to, struct node *node) {
    dir->changes = more(dir->changes, dir->count, &dir->room, sizeof *dir->changes);
    struct name_change *change = &dir->changes[dir->count++];
    memset(change, 0, sizeof *change);
    change->kind = kind;
    change->node = node;
    strcpy(change->name, name);
    if (to) strcpy(change->to, to);
    apply_name(&dir->now, change);
}

struct node *new_node(mode_t mode, const char *folder) {
    struct node *node = memory(sizeof *node);
    node->mode = mode & 07777;
    if (folder) {
        node->dir = memory(sizeof *node->dir);
        strcpy(node->dir->path, folder);
        node->dir->next = all_dirs;
        all_dirs = node->dir;
    } else {
        all_files = more(all_files, file_count, &file_room, sizeof *all_files);
        all_files[file_count++] = node;
    }
    return node;
}

struct node *model_create(const struct place *place, mode_t mode, int folder) {
    char path[PATH_MAX];
    join(path, place->dir, place->name);
    struct node *node = new_node(mode, folder ? path : NULL);
    change_name(place->dir, LINK, place->name, NULL, node);
    return node;
}

void model_link(const struct place *place, struct node *node) {
    change_name(place->dir, LINK, place->name, NULL, node);
}

void model_unlink(const struct place *place) { change_name(place->dir, UNLINK, place->name, NULL, NULL); }

void model_rename(const struct place *from, const struct place *to) {
    if (from->dir != to->dir) broken("a rename between folders is not modelled: %s", from->name);
    if (model_node(from)->dir) broken("a rename of a folder is not modelled: %s", from->name);
    if (strcmp(from->name, to->name)) change_name(from->dir, RENAME, from->name, to->name, NULL);
}

struct node *model_node(const struct place *place) {
    if (!place->dir) return NULL;
    if (!place->name[0]) return root;
    struct entry *entry = entry_of(&place->dir->now, place->name);
    return entry ? entry->node : NULL;
}

/* The absolute path without `.`, `..` and doubled slashes; links are not followed. */
static void absolute(int at, const char *path, char *out) {
    char joined[2 * PATH_MAX] = "";
    if (path[0] != '/') {
        char link[64], base[PATH_MAX];
        snprintf(link, sizeof link, at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", at);
        ssize_t length = readlink(link, base, sizeof base - 1);
        base[length < 0 ? 0 : length] = 0;
        snprintf(joined, sizeof joined, "%s/", base);
    }
    strncat(joined, path, sizeof joined - strlen(joined) - 1);
    size_t end = 0;
    for (char *part = joined; *part;) {
        size_t length = strcspn(part, "/");
        if (length == 2 && part[0] == '.' && part[1] == '.') {
            while (end > 0 && out[--end] != '/') {}
        } else if (length > 0 && !(length == 1 && part[0] == '.')) {
            if (end + length + 2 >= PATH_MAX) broken("path too long");
            out[end++] = '/';
            memcpy(out + end, part, length);
            end += length;
        }
        part += length + (part[length] == '/');
    }
    out[end] = 0;
}

int model_find(int at, const char *path, struct place *place) {
    char full[PATH_MAX];
    if (!root || !path) return 0;
    absolute(at, path, full);
    if (strncmp(full, root_path, root_length) || (full[root_length] && full[root_length] != '/')) return 0;
    memset(place, 0, sizeof *place);
    struct dir *dir = root->dir;
    char *part = full + root_length;
    while (*part) {
        part++;
        size_t length = strcspn(part, "/");
        if (length >= sizeof place->name) broken("name too long: %s", part);
        memcpy(place->name, part, length);
        place->name[length] = 0;
        part += length;
        if (*part) {
            struct entry *entry = entry_of(&dir->now, place->name);
            if (!entry || !entry->node->dir) return 1;
            dir = entry->node->dir;
        }
    }
    place->dir = dir;
    return 1;
}

/* ---- content ---- */

static struct change *new_change(struct node *node, enum kind kind, size_t size) {
    node->changes = more(node->changes, node->count, &node->room, sizeof *node->changes);
    struct change *change = &node->changes[node->count++];
    memset(change, 0, sizeof *change);
    change->kind = kind;
    change->size = node->size = size;
    return change;
}

void model_write(struct node *node, size_t offset, const void *data, size_t length) {
    if (!length) return;
    size_t end = offset + length;
    if (end > LARGEST) broken("a file above %d MiB is not modelled", LARGEST >> 20);
    struct change *change = new_change(node, WRITE, end > node->size ? end : node->size);
    change->offset = offset;
    change->length = length;
    change->data = memory(length);
    memcpy(change->data, data, length);
}

void model_resize(struct node *node, size_t size) {
    if (size > LARGEST) broken("a file above %d MiB is not modelled", LARGEST >> 20);
    if (size != node->size) new_change(node, size < node->size ? SHRINK : GROW, size);
}

/* Whether the change alters the sector that begins there. What a SHRINK cuts off goes up to any size. */
int touches(const struct change *change, size_t sector) {
    if (change->kind == WRITE) return change->offset < sector + SECTOR && sector < change->offset + change->length;
    return change->kind == SHRINK && change->size < sector + SECTOR;
}

static void apply(const struct change *change, size_t sector, unsigned char *bytes) {
    if (change->kind == SHRINK) {
        size_t from = change->size > sector ? change->size - sector : 0;
        memset(bytes + from, 0, SECTOR - from);
        return;
    }
    size_t from = change->offset > sector ? change->offset : sector;
    size_t to = change->offset + change->length;
    if (to > sector + SECTOR) to = sector + SECTOR;
    memcpy(bytes + (from - sector), change->data + (from - change->offset), to - from);
}

/* The sector as it was after the first `version` changes. */
static void sector_at(const struct node *node, size_t sector, size_t version, unsigned char *bytes) {
    memset(bytes, 0, SECTOR);
    if (sector < node->durable_size) {
        size_t length = node->durable_size - sector;
        memcpy(bytes, node->durable + sector, length < SECTOR ? length : SECTOR);
    }
    for (size_t i = 0; i < version; i++)
        if (touches(&node->changes[i], sector)) apply(&node->changes[i], sector, bytes);
}

size_t size_at(const struct node *node, size_t version) {
    return version ? node->changes[version - 1].size : node->durable_size;
}

/* The content with the size after `version` changes and each sector as chosen. */
unsigned char *content(const struct node *node, size_t version, picker *pick, const void *how) {
    size_t size = size_at(node, version);
    size_t whole = (size + SECTOR - 1) / SECTOR * SECTOR;
    unsigned char *bytes = memory(whole + 1);
    for (size_t sector = 0; sector < whole; sector += SECTOR)
        sector_at(node, sector, pick(node, sector, version, how), bytes + sector);
    return bytes;
}

size_t pick_same(const struct node *node, size_t sector, size_t version, const void *how) {
    (void)node, (void)sector, (void)how;
    return version;
}

/* ---- syncing ---- */

uint64_t model_sync_begin(struct node *node) {
    return node->dir ? node->dir->first + node->dir->count : node->first + node->count;
}

void model_sync_end(struct node *node, uint64_t upto) {
    if (noop == NOTHING || (noop == NO_NAMES && node->dir)) return;
    if (node->dir) {
        struct dir *dir = node->dir;
        size_t count = upto > dir->first ? (size_t)(upto - dir->first) : 0;
        for (size_t i = 0; i < count; i++) apply_name(&dir->durable, &dir->changes[i]);
        dir->count -= count;
        dir->first += count;
        memmove(dir->changes, dir->changes + count, dir->count * sizeof *dir->changes);
        return;
    }
    size_t count = upto > node->first ? (size_t)(upto - node->first) : 0;
    if (!count) return;
    unsigned char *bytes = content(node, count, pick_same, NULL);
    node->durable_size = size_at(node, count);
    free(node->durable);
    node->durable = bytes;
    for (size_t i = 0; i < count; i++) free(node->changes[i].data);
    node->count -= count;
    node->first += count;
    memmove(node->changes, node->changes + count, node->count * sizeof *node->changes);
}

void model_sync_everything(void) {
    for (size_t i = 0; i < file_count; i++) model_sync_end(all_files[i], model_sync_begin(all_files[i]));
    for (struct dir *dir = all_dirs; dir; dir = dir->next) {
        struct node node = {.dir = dir};
        model_sync_end(&node, model_sync_begin(&node));
    }
}

/* ---- the moments, the begin and the end ---- */

void model_moment(void) {
    if (++moments != cut_at) return;
    compare_all();
    if (kill_only) {
        carry_save(carried);
    } else {
        survive_dir(root->dir);
        carry_forget(carried);
    }
    /* The lock is never given back: nobody else changes anything before the end. */
    _exit(EXIT_CUT);
}

static uint64_t number(const char *variable) {
    const char *text = getenv(variable);
    return text ? strtoull(text, NULL, 10) : 0;
}

__attribute__((constructor)) static void begin(void) {
    const char *given = getenv("POWERLOSS_ROOT");
    if (!given) return;
    if (!realpath(given, root_path)) broken("POWERLOSS_ROOT: %s: %s", given, strerror(errno));
    root_length = strlen(root_path);
    state = number("POWERLOSS_SEED");
    cut_at = number("POWERLOSS_AT");
    sync_us = (unsigned)number("POWERLOSS_FSYNC_US");
    noop = number("POWERLOSS_FSYNC_NOOP");
    if (noop > NO_NAMES) broken("POWERLOSS_FSYNC_NOOP is 0, 1 or 2");
    kill_only = number("POWERLOSS_KILL") != 0;
    carried = getenv("POWERLOSS_STATE");
    if (kill_only && !carried) broken("POWERLOSS_KILL needs POWERLOSS_STATE");
    root = new_node(0755, root_path);
    each_on_disk(root->dir, load);
    carry_load(carried);
}

__attribute__((destructor)) static void finish(void) {
    const char *report = getenv("POWERLOSS_REPORT");
    char text[32];
    if (!root) return;
    model_lock();
    compare_all();
    carry_save(carried);
    if (report) {
        int length = snprintf(text, sizeof text, "%llu\n", (unsigned long long)moments);
        int fd = RAW_OPEN(report, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0 || syscall(SYS_write, fd, text, length) != length) broken("cannot write %s", report);
    }
    model_unlock();
}
