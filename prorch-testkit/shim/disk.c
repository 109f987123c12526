/*
 * A disk that loses what was not synced, fails, fills up, or freezes who writes to it: for one directory, in one or more
 * processes, without root. It is preloaded (LD_PRELOAD) and stands between a program and libc.
 *
 * Environment:
 *   PRORCH_DISK        the directory that is watched, with the files that lie directly in it
 *   PRORCH_DISK_STATE  a directory beside it, made by the test, for all that is kept in here:
 *     data/KEY         what is durable of a file; KEY names the file itself (inode and time of birth), whatever it is called
 *     names/NAME       a hard link to data/KEY: the durable entries of the directory. This is what a power loss leaves.
 *     dirty/KEY        which blocks of a file were written since its last sync, as shared memory of all processes
 *     log              a line for each sync, failure and freeze: WHAT NAME PROCESS
 *     sync-fails, full, freeze   triggers, made by the test; each holds the end of the names that it is for ("" for all)
 *   PRORCH_DISK_SYNCS  "ignored": a sync does nothing and says that all is well
 *   PRORCH_DISK_CUT    N: the process is killed instead of its Nth write, truncation or sync
 *
 * What counts as durable. A file's bytes and its length: up to its last fsync or fdatasync. A name, made, moved or
 * removed: when the directory was fsynced, and not before. Many file systems do more (ext4 and XFS make a new file's name
 * durable with the file's own fsync), none that matters does less, and POSIX asks no more.
 *
 * It errs on the strict side: a write that goes another way (a shared mapping, io_uring, splice, stdio) is not seen and so
 * is lost, and neither sync(), sync_file_range() nor O_SYNC make anything durable. So SQLite's -shm, which is mapped, is
 * always lost, as it may be.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8, "this is written for offsets of 64 bits");

#define BLOCK 4096
#define LARGEST (1LL << 30) /* of a file that is watched; it keeps the maps of blocks small */
#define WORDS (LARGEST / BLOCK / 64)
#define MOST_FDS 4096

/* The blocks of a file that were written since its last sync, and those that a sync is copying: a process that is killed
 * in the midst of a sync leaves none behind that nobody knows of. */
struct blocks {
    _Atomic uint64_t dirty[WORDS];
    uint64_t copying[WORDS];
};

/* What a descriptor stands for. Unknown until it is first written to or synced; unknown again when it is closed. */
enum kind { UNKNOWN, FOREIGN, A_FILE, THE_DIRECTORY };
struct watched {
    _Atomic int kind;
    struct blocks *blocks;
    char key[64], name[NAME_MAX + 1];
};

static struct watched table[MOST_FDS];
static const char *directory, *state;
static int syncs_ignored;
static _Atomic long left = -1; /* operations until the power goes; endless when negative */

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fallocate)(int, int, off_t, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_close)(int);
static int (*real_dup2)(int, int);
static int (*real_dup3)(int, int, int);

__attribute__((constructor)) static void begin(void) {
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    real_writev = dlsym(RTLD_NEXT, "writev");
    real_pwritev = dlsym(RTLD_NEXT, "pwritev");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate");
    real_fallocate = dlsym(RTLD_NEXT, "fallocate");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_close = dlsym(RTLD_NEXT, "close");
    real_dup2 = dlsym(RTLD_NEXT, "dup2");
    real_dup3 = dlsym(RTLD_NEXT, "dup3");
    const char *syncs = getenv("PRORCH_DISK_SYNCS"), *cut = getenv("PRORCH_DISK_CUT");
    state = getenv("PRORCH_DISK_STATE");
    directory = state ? getenv("PRORCH_DISK") : NULL;
    syncs_ignored = syncs && !strcmp(syncs, "ignored");
    if (cut) left = atol(cut);
}

/* A test must not go on with a disk that does not do what it should. */
static void give_up(const char *what, const char *of) {
    fprintf(stderr, "the disk shim: %s: %s: %s\n", what, of, strerror(errno));
    abort();
}

/* A path in the directory of the state. Each thread has a few, so that two may be in use at once. */
static const char *in_state(const char *folder, const char *name) {
    static _Thread_local char paths[4][PATH_MAX];
    static _Thread_local unsigned next;
    char *path = paths[next++ % 4];
    if (snprintf(path, PATH_MAX, "%s/%s%s", state, folder, name) >= PATH_MAX) give_up("a path is too long", name);
    return path;
}

/* Appends a line in one write, so that those of several processes do not mix. */
static void note(const char *what, const char *name) {
    char line[NAME_MAX + 64];
    int length = snprintf(line, sizeof line, "%s %s %d\n", what, name, (int)getpid());
    int log = open(in_state("log", ""), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (log < 0 || real_write(log, line, length) != length) give_up("no line can be written", "log");
    real_close(log);
}

/* Whether a trigger is there for the file of this name. */
static int is_set(const char *trigger, const char *name) {
    char end[NAME_MAX + 1];
    int file = open(in_state(trigger, ""), O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t length = read(file, end, NAME_MAX);
    real_close(file);
    if (length < 0) give_up("a trigger can't be read", trigger);
    return (size_t)length <= strlen(name) && !memcmp(name + strlen(name) - length, end, length);
}

/* The same, and takes it away: of all who see it, one gets it. */
static int takes(const char *trigger, const char *name) {
    return is_set(trigger, name) && !unlink(in_state(trigger, ""));
}

static void count_down(const char *name) {
    if (left < 0 || atomic_fetch_sub(&left, 1) > 1) return;
    note("cut", name);
    kill(getpid(), SIGKILL);
}

/* The key of what is at this path, or behind this descriptor when the path is empty. */
static int key_of(int at, const char *path, char *key, size_t size) {
    struct statx found;
    if (statx(at, path, path[0] ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &found)) return -1;
    if (!S_ISREG(found.stx_mode)) return -1;
    if (!(found.stx_mask & STATX_BTIME)) give_up("the file system keeps no times of birth", path);
    snprintf(key, size, "%llu-%lld-%u", (unsigned long long)found.stx_ino, (long long)found.stx_btime.tv_sec,
             found.stx_btime.tv_nsec);
    return 0;
}

static struct blocks *blocks_of(const char *key) {
    int file = open(in_state("dirty/", key), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || real_ftruncate(file, sizeof(struct blocks))) give_up("no map of blocks can be made", key);
    void *map = mmap(NULL, sizeof(struct blocks), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (map == MAP_FAILED) give_up("the map of blocks can't be mapped", key);
    real_close(file);
    return map;
}

/* Finds out what a descriptor stands for. */
static void look_at(int fd, struct watched *entry) {
    char link[32], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    size_t depth = strlen(directory);
    int inside = !strncmp(path, directory, depth);
    if (inside && !path[depth]) {
        entry->kind = THE_DIRECTORY;
    } else if (inside && path[depth] == '/' && !strchr(path + depth + 1, '/') &&
               !key_of(fd, "", entry->key, sizeof entry->key)) {
        snprintf(entry->name, sizeof entry->name, "%s", path + depth + 1);
        entry->blocks = blocks_of(entry->key);
        entry->kind = A_FILE;
    } else {
        entry->kind = FOREIGN;
    }
}

/* What is watched behind a descriptor, or nothing. One thread at a time finds out what that is. */
static struct watched *of(int fd) {
    if (!directory || fd < 0 || fd >= MOST_FDS) return NULL;
    struct watched *entry = &table[fd];
    if (entry->kind == UNKNOWN) {
        static _Atomic int busy;
        while (atomic_exchange(&busy, 1)) usleep(10);
        if (entry->kind == UNKNOWN) {
            int before = errno;
            look_at(fd, entry);
            errno = before;
        }
        busy = 0;
    }
    return entry->kind == FOREIGN ? NULL : entry;
}

static struct watched *file_of(int fd) {
    struct watched *entry = of(fd);
    return entry && entry->kind == A_FILE ? entry : NULL;
}

static void forget(int fd) {
    if (fd < 0 || fd >= MOST_FDS) return;
    if (table[fd].kind == A_FILE) munmap(table[fd].blocks, sizeof(struct blocks));
    table[fd].kind = UNKNOWN;
}

static off_t size_of(int fd) {
    struct stat found;
    if (fstat(fd, &found)) give_up("no size", "of a watched file");
    return found.st_size;
}

static void mark(struct blocks *blocks, off_t from, off_t to) {
    if (to > LARGEST) give_up("a file is too large", "at most 1 GiB");
    for (off_t block = from / BLOCK; block * BLOCK < to; block++)
        atomic_fetch_or(&blocks->dirty[block / 64], 1ULL << (block % 64));
}

/*
 * What comes before a write of `length` bytes at `offset`: gives how many of them there is room for, or -1. A disk that is
 * full has room where the file has bytes already. Marked before and after the write: before, so that a process that is
 * killed in between leaves nothing unmarked; after, because a sync may have come in between.
 */
static ssize_t before_write(int fd, struct watched *file, off_t offset, size_t length) {
    off_t size = size_of(fd);
    count_down(file->name);
    if (offset + (off_t)length > size && is_set("full", file->name)) {
        if (offset >= size) {
            note("full", file->name);
            errno = ENOSPC;
            return -1;
        }
        length = size - offset;
    }
    /* What lies between the end and a write beyond it becomes zeros, whatever was there once. */
    mark(file->blocks, offset < size ? offset : size, offset + length);
    return length;
}

static ssize_t after_write(struct watched *file, off_t offset, ssize_t written) {
    if (written > 0) mark(file->blocks, offset, offset + written);
    return written;
}

/* Where a write without an offset goes. */
static off_t place(int fd) {
    return fcntl(fd, F_GETFL) & O_APPEND ? size_of(fd) : lseek(fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    struct watched *file = file_of(fd);
    if (!file) return real_write(fd, bytes, length);
    off_t offset = place(fd);
    ssize_t room = before_write(fd, file, offset, length);
    return room < 0 ? room : after_write(file, offset, real_write(fd, bytes, room));
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    struct watched *file = file_of(fd);
    if (!file) return real_pwrite(fd, bytes, length, offset);
    ssize_t room = before_write(fd, file, offset, length);
    return room < 0 ? room : after_write(file, offset, real_pwrite(fd, bytes, room, offset));
}

/* The parts of a vectored write are written one after the other, as a kernel may that writes less than it was asked. */
static ssize_t one_by_one(int fd, const struct iovec *parts, int count, off_t offset, int at_place) {
    ssize_t total = 0;
    for (int i = 0; i < count; i++) {
        ssize_t written = at_place ? write(fd, parts[i].iov_base, parts[i].iov_len)
                                   : pwrite(fd, parts[i].iov_base, parts[i].iov_len, offset + total);
        if (written < 0) return total ? total : -1;
        total += written;
        if ((size_t)written < parts[i].iov_len) break;
    }
    return total;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    return file_of(fd) ? one_by_one(fd, parts, count, 0, 1) : real_writev(fd, parts, count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    return file_of(fd) ? one_by_one(fd, parts, count, offset, 0) : real_pwritev(fd, parts, count, offset);
}

int ftruncate(int fd, off_t length) {
    struct watched *file = file_of(fd);
    if (file) {
        count_down(file->name);
        /* What is cut off needs no mark: it is marked when something is written there again. */
        if (length > size_of(fd)) mark(file->blocks, size_of(fd), length);
    }
    return real_ftruncate(fd, length);
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
    struct watched *file = file_of(fd);
    if (!file) return real_fallocate(fd, mode, offset, length);
    if (before_write(fd, file, offset, length) < length) {
        errno = ENOSPC;
        return -1;
    }
    int done = real_fallocate(fd, mode, offset, length);
    mark(file->blocks, offset, offset + length);
    return done;
}

/* Copies a block to what is durable. It is read from the caller's descriptor: to open and close the file once more would
 * drop the locks that this process has on it. */
static void keep_block(int from, int to, off_t at) {
    char bytes[BLOCK];
    ssize_t length = pread(from, bytes, BLOCK, at);
    if (length < 0 || real_pwrite(to, bytes, length, at) != length) give_up("a block can't be kept", "of a watched file");
}

/* Makes durable what was written to a file. One process at a time does that, or else the second one could come back before
 * the first has copied what both promise. */
static void keep_file(int fd, struct watched *file) {
    struct blocks *blocks = file->blocks;
    int durable = open(in_state("data/", file->key), O_WRONLY | O_CREAT | O_CLOEXEC, 0600), from = fd;
    if (durable < 0 || flock(durable, LOCK_EX)) give_up("what is durable can't be opened", file->name);
    if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY) {
        char link[32];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        if ((from = open(link, O_RDONLY | O_CLOEXEC)) < 0) give_up("a file can't be read", file->name);
    }
    for (int word = 0; word < WORDS; word++) {
        uint64_t dirty = blocks->dirty[word];
        blocks->copying[word] |= dirty;
        if (dirty) atomic_fetch_and(&blocks->dirty[word], ~dirty);
        for (int bit = 0; bit < 64 && blocks->copying[word] >> bit; bit++)
            if (blocks->copying[word] >> bit & 1) keep_block(from, durable, ((off_t)word * 64 + bit) * BLOCK);
        if (blocks->copying[word]) blocks->copying[word] = 0;
    }
    if (real_ftruncate(durable, size_of(fd))) give_up("what is durable can't be cut", file->name);
    if (from != fd) real_close(from);
    real_close(durable);
}

/* A kernel that could not write says so once, and takes the pages for clean: they never reach the disk, and the next sync
 * says that all is well. */
static void drop_written(struct blocks *blocks) {
    for (int word = 0; word < WORDS; word++)
        if (blocks->dirty[word]) blocks->dirty[word] = 0;
}

/* Makes one name durable, with what is durable of the file behind it: nothing at all when that was never synced. */
static void keep_name(int from, const char *name) {
    char key[64];
    if (key_of(from, name, key, sizeof key)) return; /* gone meanwhile, or no file */
    const char *data = in_state("data/", key), *new = in_state("names.", key), *durable = in_state("names/", name);
    struct stat is, should;
    int file = open(data, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || fstat(file, &should)) give_up("what is durable can't be made", name);
    real_close(file);
    if (!stat(durable, &is) && is.st_ino == should.st_ino) return;
    unlink(new);
    if (link(data, new) || rename(new, durable)) give_up("a name can't be kept", name);
}

/* Makes the entries of the directory durable: first those that are new, then that others are gone. */
static void keep_names(void) {
    int lock = open(in_state("names.lock", ""), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    DIR *now = opendir(directory), *durable = opendir(in_state("names", ""));
    if (lock < 0 || flock(lock, LOCK_EX) || !now || !durable) give_up("the names can't be read", directory);
    struct dirent *entry;
    struct stat ignored;
    while ((entry = readdir(now))) keep_name(dirfd(now), entry->d_name);
    while ((entry = readdir(durable)))
        if (entry->d_name[0] != '.' && fstatat(dirfd(now), entry->d_name, &ignored, AT_SYMLINK_NOFOLLOW))
            unlink(in_state("names/", entry->d_name));
    closedir(now);
    closedir(durable);
    real_close(lock);
}

static int sync_with(int fd, int (*real)(int)) {
    struct watched *file = of(fd);
    if (!file) return real(fd);
    const char *name = file->kind == THE_DIRECTORY ? "." : file->name;
    count_down(name);
    if (takes("freeze", name)) {
        note("frozen", name);
        raise(SIGSTOP); /* to this thread, so that it comes no further, and by that to all others */
    }
    if (takes("sync-fails", name)) {
        note("failed", name);
        if (file->kind == A_FILE) drop_written(file->blocks);
        errno = EIO;
        return -1;
    }
    note(syncs_ignored ? "ignored" : "synced", name);
    if (syncs_ignored) return 0;
    if (real(fd)) return -1;
    if (file->kind == THE_DIRECTORY) keep_names();
    else keep_file(fd, file);
    return 0;
}

int fsync(int fd) { return sync_with(fd, real_fsync); }
int fdatasync(int fd) { return sync_with(fd, real_fdatasync); }

int close(int fd) {
    forget(fd);
    return real_close(fd);
}

int dup2(int from, int to) {
    if (from != to) forget(to);
    return real_dup2(from, to);
}

int dup3(int from, int to, int flags) {
    forget(to);
    return real_dup3(from, to, flags);
}

#ifdef __GLIBC__ /* It has each of these under a second name. */
ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset) { return pwrite(fd, bytes, length, offset); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset) { return pwritev(fd, parts, count, offset); }
int ftruncate64(int fd, off_t length) { return ftruncate(fd, length); }
int fallocate64(int fd, int mode, off_t offset, off_t length) { return fallocate(fd, mode, offset, length); }
#endif
