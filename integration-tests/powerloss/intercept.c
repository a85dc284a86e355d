/* The calls of the C library that change files, in front of the real ones: each is made under the model's
 * lock and told to the model. */
#define _GNU_SOURCE
#undef _FILE_OFFSET_BITS
#define _LARGEFILE64_SOURCE
#include "model.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST_FDS = 1 << 16 };

/* A descriptor of a file or folder below the root. */
struct watched {
    struct node *node;
    int append, synchronous;
    dev_t device; /* with the inode it tells whether the number still means this file */
    ino_t inode;
};

static struct watched foreign;
static _Atomic(struct watched *) watched[MOST_FDS];

static void watch(int fd, struct node *node, int flags, const struct stat *stat) {
    if (fd >= MOST_FDS) broken("too many files");
    struct watched *entry = calloc(1, sizeof *entry);
    if (!entry) broken("out of memory");
    int synchronous = !!(flags & (O_SYNC | O_DSYNC));
    *entry = (struct watched){node, !!(flags & O_APPEND), synchronous, stat->st_dev, stat->st_ino};
    /* The old entry may be in use by another thread; a few bytes leak instead. */
    atomic_store(&watched[fd], entry);
}

/* What the descriptor stands for; NULL where it is none of ours. */
static struct watched *of(int fd) {
    struct stat stat;
    if (fd < 0 || fd >= MOST_FDS) return NULL;
    struct watched *entry = atomic_load(&watched[fd]);
    if (entry == &foreign) return NULL;
    /* The C library itself may have closed it, and the number may mean something else by now. */
    if (entry && !fstat(fd, &stat) && stat.st_dev == entry->device && stat.st_ino == entry->inode) return entry;
    char link[64], path[PATH_MAX];
    struct place place;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    model_lock();
    if (path[0] == '/' && model_find(AT_FDCWD, path, &place)) broken("%s was opened past the library", path);
    atomic_store(&watched[fd], &foreign);
    model_unlock();
    return NULL;
}

static void same_as(int fd, int old) {
    if (fd < 0 || fd >= MOST_FDS) return;
    atomic_store(&watched[fd], old >= 0 && old < MOST_FDS ? atomic_load(&watched[old]) : NULL);
}

/* ---- opening and closing ---- */

static int do_open(int at, const char *path, int flags, mode_t mode) {
    struct place place;
    struct stat stat;
    model_lock();
    if (!model_find(at, path, &place)) {
        model_unlock();
        int fd = (int)syscall(SYS_openat, at, path, flags, mode);
        if (fd >= 0 && fd < MOST_FDS) atomic_store(&watched[fd], NULL);
        return fd;
    }
    if ((flags & O_TMPFILE) == O_TMPFILE) broken("O_TMPFILE is not modelled");
    struct node *node = model_node(&place);
    int changes = ((flags & O_CREAT) && !node) || ((flags & O_TRUNC) && node && node->size);
    if (changes) model_moment();
    int fd = (int)syscall(SYS_openat, at, path, flags, mode);
    int error = errno;
    if (fd >= 0) {
        if (fstat(fd, &stat)) broken("fstat: %s", path);
        int modelled = S_ISREG(stat.st_mode) || S_ISDIR(stat.st_mode);
        if (modelled && !node && (!(flags & O_CREAT) || !place.dir)) broken("something made %s past the library", path);
        if (modelled && !node) node = model_create(&place, stat.st_mode, 0);
        if (modelled && (flags & O_TRUNC)) model_resize(node, 0);
        if (modelled) watch(fd, node, flags, &stat);
        if (changes) model_moment();
    }
    model_unlock();
    errno = error;
    return fd;
}

#define WITH_MODE(mode)                                  \
    mode_t mode = 0;                                     \
    if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) { \
        va_list arguments;                               \
        va_start(arguments, flags);                      \
        mode = (mode_t)va_arg(arguments, unsigned);      \
        va_end(arguments);                               \
    }

int open(const char *path, int flags, ...) { WITH_MODE(mode) return do_open(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { WITH_MODE(mode) return do_open(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { WITH_MODE(mode) return do_open(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { WITH_MODE(mode) return do_open(at, path, flags, mode); }
int creat(const char *path, mode_t mode) { return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

int close(int fd) {
    model_lock();
    same_as(fd, -1);
    int outcome = (int)syscall(SYS_close, fd);
    int error = errno;
    model_unlock();
    errno = error;
    return outcome;
}

int dup(int old) {
    model_lock();
    int fd = (int)syscall(SYS_dup, old);
    if (fd >= 0) same_as(fd, old);
    model_unlock();
    return fd;
}

int dup3(int old, int new, int flags) {
    model_lock();
    int fd = (int)syscall(SYS_dup3, old, new, flags);
    if (fd >= 0) same_as(fd, old);
    model_unlock();
    return fd;
}

int dup2(int old, int new) { return old == new ? fcntl(old, F_GETFD) < 0 ? -1 : new : dup3(old, new, 0); }

static int do_fcntl(int fd, int command, void *argument) {
    if (command != F_DUPFD && command != F_DUPFD_CLOEXEC) return (int)syscall(SYS_fcntl, fd, command, argument);
    model_lock();
    int new = (int)syscall(SYS_fcntl, fd, command, argument);
    if (new >= 0) same_as(new, fd);
    model_unlock();
    return new;
}

#define WITH_ARGUMENT(argument)                  \
    va_list arguments;                           \
    va_start(arguments, command);                \
    void *argument = va_arg(arguments, void *);  \
    va_end(arguments);

int fcntl(int fd, int command, ...) { WITH_ARGUMENT(argument) return do_fcntl(fd, command, argument); }
int fcntl64(int fd, int command, ...) { WITH_ARGUMENT(argument) return do_fcntl(fd, command, argument); }

/* ---- writing ---- */

/* Makes the call and tells the model what it wrote; `offset` < 0 means where the descriptor stands. */
static ssize_t do_write(int fd, const struct iovec *parts, int count, off64_t offset, int flags) {
    struct watched *entry = of(fd);
    if (!entry) {
        if (flags) return syscall(SYS_pwritev2, fd, parts, count, (long)offset, 0L, flags);
        if (offset >= 0) return syscall(SYS_pwritev, fd, parts, count, (long)offset, 0L);
        return count == 1 ? syscall(SYS_write, fd, parts->iov_base, parts->iov_len)
                          : syscall(SYS_writev, fd, parts, count);
    }
    if (flags) broken("pwritev2 with flags is not modelled");
    model_lock();
    model_moment();
    size_t at = entry->append ? entry->node->size
                : offset >= 0 ? (size_t)offset
                              : (size_t)syscall(SYS_lseek, fd, 0L, SEEK_CUR);
    ssize_t done = offset >= 0 ? syscall(SYS_pwritev, fd, parts, count, (long)offset, 0L)
                               : syscall(SYS_writev, fd, parts, count);
    int error = errno;
    size_t left = done > 0 ? (size_t)done : 0;
    for (int i = 0; i < count && left; i++) {
        size_t length = parts[i].iov_len < left ? parts[i].iov_len : left;
        model_write(entry->node, at, parts[i].iov_base, length);
        at += length;
        left -= length;
    }
    if (entry->synchronous) model_sync_end(entry->node, model_sync_begin(entry->node));
    model_moment();
    model_unlock();
    errno = error;
    return done;
}

static ssize_t write_one(int fd, const void *data, size_t length, off64_t offset) {
    struct iovec part = {(void *)data, length};
    return do_write(fd, &part, 1, offset, 0);
}

ssize_t write(int fd, const void *data, size_t length) { return write_one(fd, data, length, -1); }
ssize_t writev(int fd, const struct iovec *parts, int count) { return do_write(fd, parts, count, -1, 0); }

static int negative(off64_t offset) {
    if (offset < 0) errno = EINVAL;
    return offset < 0;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    return negative(offset) ? -1 : write_one(fd, data, length, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) { return pwrite(fd, data, length, offset); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    return negative(offset) ? -1 : do_write(fd, parts, count, offset, 0);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    return pwritev(fd, parts, count, offset);
}
ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
    return do_write(fd, parts, count, offset, flags);
}
ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t offset, int flags) {
    return do_write(fd, parts, count, offset, flags);
}

/* Callers copy by hand where these are not there. */
ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t length, unsigned flags) {
    if (!of(out)) return syscall(SYS_copy_file_range, in, in_at, out, out_at, length, flags);
    errno = ENOSYS;
    return -1;
}

ssize_t sendfile(int out, int in, off_t *offset, size_t length) {
    if (!of(out)) return syscall(SYS_sendfile, out, in, offset, length);
    errno = EINVAL;
    return -1;
}
ssize_t sendfile64(int out, int in, off64_t *offset, size_t length) { return sendfile(out, in, offset, length); }

ssize_t splice(int in, off64_t *in_at, int out, off64_t *out_at, size_t length, unsigned flags) {
    if (!of(out)) return syscall(SYS_splice, in, in_at, out, out_at, length, flags);
    errno = EINVAL;
    return -1;
}

void *mmap(void *wanted, size_t length, int protection, int flags, int fd, off_t offset) {
    int shared = (flags & MAP_TYPE) == MAP_SHARED || (flags & MAP_TYPE) == MAP_SHARED_VALIDATE;
    if (shared && (protection & PROT_WRITE) && !(flags & MAP_ANONYMOUS) && of(fd))
        broken("a shared writable mapping is not modelled");
    return (void *)syscall(SYS_mmap, wanted, length, protection, flags, fd, offset);
}
void *mmap64(void *wanted, size_t length, int protection, int flags, int fd, off64_t offset) {
    return mmap(wanted, length, protection, flags, fd, offset);
}

/* ---- sizes ---- */

static int resize(struct node *node, int fd, const char *path, off64_t size) {
    model_lock();
    model_moment();
    int outcome = (int)(path ? syscall(SYS_truncate, path, (long)size) : syscall(SYS_ftruncate, fd, (long)size));
    int error = errno;
    if (!outcome) model_resize(node, (size_t)size);
    model_moment();
    model_unlock();
    errno = error;
    return outcome;
}

int ftruncate(int fd, off_t size) {
    struct watched *entry = of(fd);
    return entry ? resize(entry->node, fd, NULL, size) : (int)syscall(SYS_ftruncate, fd, (long)size);
}
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

int truncate(const char *path, off_t size) {
    struct place place;
    model_lock();
    struct node *node = model_find(AT_FDCWD, path, &place) ? model_node(&place) : NULL;
    model_unlock();
    return node && !node->dir ? resize(node, -1, path, size) : (int)syscall(SYS_truncate, path, (long)size);
}
int truncate64(const char *path, off64_t size) { return truncate(path, size); }

int fallocate(int fd, int mode, off_t offset, off_t length) {
    struct watched *entry = of(fd);
    if (!entry) return (int)syscall(SYS_fallocate, fd, mode, (long)offset, (long)length);
    if (mode & ~FALLOC_FL_KEEP_SIZE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    model_lock();
    model_moment();
    int outcome = (int)syscall(SYS_fallocate, fd, mode, (long)offset, (long)length);
    int error = errno;
    size_t end = (size_t)(offset + length);
    if (!outcome && !mode && end > entry->node->size) model_resize(entry->node, end);
    model_moment();
    model_unlock();
    errno = error;
    return outcome;
}
int fallocate64(int fd, int mode, off64_t offset, off64_t length) { return fallocate(fd, mode, offset, length); }
int posix_fallocate(int fd, off_t offset, off_t length) { return fallocate(fd, 0, offset, length) ? errno : 0; }
int posix_fallocate64(int fd, off64_t offset, off64_t length) { return posix_fallocate(fd, offset, length); }

/* ---- syncing ---- */

static int do_sync(int fd, long call) {
    struct watched *entry = of(fd);
    if (!entry) return (int)syscall(call, fd);
    model_lock();
    model_moment();
    uint64_t upto = model_sync_begin(entry->node);
    unsigned pause = model_sync_pause();
    if (pause) {
        model_unlock();
        usleep(pause);
        model_lock();
    }
    model_sync_end(entry->node, upto);
    model_moment();
    model_unlock();
    return 0;
}

int fsync(int fd) { return do_sync(fd, SYS_fsync); }
int fdatasync(int fd) { return do_sync(fd, SYS_fdatasync); }

void sync(void) {
    model_lock();
    model_moment();
    model_sync_everything();
    model_moment();
    model_unlock();
}

int syncfs(int fd) {
    (void)fd;
    sync();
    return 0;
}

/* ---- names ---- */

static int do_rename(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    struct place old, new;
    model_lock();
    int old_ours = model_find(from_at, from, &old), new_ours = model_find(to_at, to, &new);
    struct node *node = old_ours ? model_node(&old) : NULL;
    if (old_ours != new_ours) broken("a rename across the root is not modelled: %s", from);
    if (old_ours && (flags & ~(unsigned)RENAME_NOREPLACE)) broken("renameat2 with flags is not modelled");
    if (node) model_moment();
    int outcome = (int)syscall(SYS_renameat2, from_at, from, to_at, to, flags);
    int error = errno;
    if (!outcome && node) {
        model_rename(&old, &new);
        model_moment();
    }
    model_unlock();
    errno = error;
    return outcome;
}

int rename(const char *from, const char *to) { return do_rename(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int from_at, const char *from, int to_at, const char *to) { return do_rename(from_at, from, to_at, to, 0); }
int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    return do_rename(from_at, from, to_at, to, flags);
}

static int do_unlink(int at, const char *path, int flags) {
    struct place place;
    model_lock();
    struct node *node = model_find(at, path, &place) ? model_node(&place) : NULL;
    if (node) model_moment();
    int outcome = (int)syscall(SYS_unlinkat, at, path, flags);
    int error = errno;
    if (!outcome && node) {
        model_unlink(&place);
        model_moment();
    }
    model_unlock();
    errno = error;
    return outcome;
}

int unlink(const char *path) { return do_unlink(AT_FDCWD, path, 0); }
int unlinkat(int at, const char *path, int flags) { return do_unlink(at, path, flags); }
int rmdir(const char *path) { return do_unlink(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path) {
    return !unlink(path) ? 0 : errno == EISDIR || errno == EPERM ? rmdir(path) : -1;
}

int mkdirat(int at, const char *path, mode_t mode) {
    struct place place;
    model_lock();
    int ours = model_find(at, path, &place);
    if (ours) model_moment();
    int outcome = (int)syscall(SYS_mkdirat, at, path, mode);
    int error = errno;
    if (!outcome && ours) {
        model_create(&place, mode, 1);
        model_moment();
    }
    model_unlock();
    errno = error;
    return outcome;
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    struct place old, new;
    model_lock();
    int ours = model_find(to_at, to, &new);
    struct node *node = model_find(from_at, from, &old) ? model_node(&old) : NULL;
    if (ours && !node) broken("a link to a file outside is not modelled: %s", from);
    if (ours) model_moment();
    int outcome = (int)syscall(SYS_linkat, from_at, from, to_at, to, flags);
    int error = errno;
    if (!outcome && ours) {
        model_link(&new, node);
        model_moment();
    }
    model_unlock();
    errno = error;
    return outcome;
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }
