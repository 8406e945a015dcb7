/* Makes the n-th system call on files below one folder fail, as a disk would. Loaded with LD_PRELOAD by
 * src/store/sqlite/tests/faults.rs.
 *
 * FAULT_FOLDER  files below it are watched
 * FAULT_AT      number of the call that meets the fault, from 1; 0 = none
 * FAULT_KIND    eio | enospc | short (a write stops half-way) | kill (the process dies before the call)
 *               | cut (so it does, and what was written to a file since its last sync is gone)
 * FAULT_LAST    number of the last call that meets it
 * FAULT_COUNT   file the number of calls is written to: 8 bytes, kept up to date
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static const char *folder;
static unsigned long first, last;
static int wanted; /* errno, -1 = short, -2 = kill, -3 = cut */
static _Atomic uint64_t own_count;
static _Atomic uint64_t *count = &own_count;

#define REAL(type, name, args) \
  static type(*real) args; \
  if (!real) real = (type(*) args)dlsym(RTLD_NEXT, #name)

static int (*real_open)(const char *, int, ...);

__attribute__((constructor)) static void begin(void) {
  const char *at = getenv("FAULT_AT"), *until = getenv("FAULT_LAST"), *kind = getenv("FAULT_KIND");
  const char *file = getenv("FAULT_COUNT");
  real_open = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
  first = at ? strtoul(at, NULL, 10) : 0;
  last = until ? strtoul(until, NULL, 10) : first;
  wanted = !kind ? 0 : !strcmp(kind, "eio") ? EIO : !strcmp(kind, "enospc") ? ENOSPC
         : !strcmp(kind, "short") ? -1 : !strcmp(kind, "kill") ? -2 : -3;
  if (file) {
    int fd = real_open(file, O_RDWR);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED) count = page;
  }
  folder = getenv("FAULT_FOLDER");
}

/* What a write that no sync followed has replaced, in order. */
struct undo {
  char path[PATH_MAX];
  off_t at, old_size;
  size_t size;
  char *bytes;
};
static struct undo *undos;
static size_t undo_count;
static pthread_mutex_t undo_lock = PTHREAD_MUTEX_INITIALIZER;

static int path_of(int fd, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return 1;
}

/* Remembers what is about to be overwritten. */
static void note(int fd, size_t size, off_t at) {
  struct undo new = {.at = at};
  struct stat file;
  if (!folder || !path_of(fd, new.path) || strncmp(new.path, folder, strlen(folder)) != 0) return;
  if (fstat(fd, &file) != 0) return;
  new.old_size = file.st_size;
  int reads = open(new.path, O_RDONLY);
  new.bytes = malloc(size);
  ssize_t got = pread(reads, new.bytes, size, at);
  close(reads);
  new.size = got > 0 ? (size_t)got : 0;
  undos = realloc(undos, (undo_count + 1) * sizeof *undos);
  undos[undo_count++] = new;
}

/* The file's writes are on the disk. */
static void synced(int fd) {
  char path[PATH_MAX];
  size_t kept = 0;
  if (!path_of(fd, path)) return;
  for (size_t i = 0; i < undo_count; i++) {
    if (strcmp(undos[i].path, path) != 0) undos[kept++] = undos[i];
    else free(undos[i].bytes);
  }
  undo_count = kept;
}

static void renamed(const char *from, const char *to) {
  pthread_mutex_lock(&undo_lock);
  for (size_t i = 0; i < undo_count; i++) {
    if (!strcmp(undos[i].path, from)) snprintf(undos[i].path, PATH_MAX, "%s", to);
  }
  pthread_mutex_unlock(&undo_lock);
}

/* The power goes. The lock is kept: nobody writes any more. */
static void cut(void) {
  pthread_mutex_lock(&undo_lock);
  while (undo_count > 0) {
    struct undo *last_one = &undos[--undo_count];
    int fd = real_open(last_one->path, O_WRONLY);
    if (fd < 0) continue;
    static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
    if (!real_pwrite)
      real_pwrite = (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    static int (*real_truncate)(int, off_t);
    if (!real_truncate) real_truncate = (int (*)(int, off_t))dlsym(RTLD_NEXT, "ftruncate");
    if (real_pwrite(fd, last_one->bytes, last_one->size, last_one->at) < 0
        || real_truncate(fd, last_one->old_size) < 0)
      abort();
    close(fd);
  }
}

/* Counts a call on a watched file. 0 = let it through, 1 = it fails with errno, -1 = write half of it. */
static int meet(const char *path, int writes) {
  if (!folder || strncmp(path, folder, strlen(folder)) != 0) return 0;
  uint64_t number = atomic_fetch_add(count, 1) + 1;
  if (!first || number < first || number > last) return 0;
  if (wanted < -1) {
    if (wanted == -3) cut();
    raise(SIGKILL);
    pause();
  }
  if (wanted == -1) {
    if (writes) return -1;
    errno = EIO;
    return 1;
  }
  errno = wanted;
  return 1;
}

static int meet_fd(int fd, int writes) {
  char path[PATH_MAX];
  return path_of(fd, path) ? meet(path, writes) : 0;
}

static int open_any(const char *path, int flags, mode_t mode) {
  if ((flags & (O_CREAT | O_WRONLY | O_RDWR)) && meet(path, 0)) return -1;
  return real_open(path, flags, mode);
}

int open(const char *path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  mode_t mode = va_arg(args, mode_t);
  va_end(args);
  return open_any(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  mode_t mode = va_arg(args, mode_t);
  va_end(args);
  return open_any(path, flags, mode);
}

ssize_t write(int fd, const void *bytes, size_t size) {
  REAL(ssize_t, write, (int, const void *, size_t));
  int met = meet_fd(fd, 1);
  if (met > 0) return -1;
  if (wanted != -3) return real(fd, bytes, met < 0 ? (size + 1) / 2 : size);
  pthread_mutex_lock(&undo_lock);
  note(fd, size, lseek(fd, 0, SEEK_CUR));
  ssize_t written = real(fd, bytes, size);
  pthread_mutex_unlock(&undo_lock);
  return written;
}

static ssize_t write_at(ssize_t (*real)(int, const void *, size_t, off_t), int fd,
                        const void *bytes, size_t size, off_t at) {
  int met = meet_fd(fd, 1);
  if (met > 0) return -1;
  if (wanted != -3) return real(fd, bytes, met < 0 ? (size + 1) / 2 : size, at);
  pthread_mutex_lock(&undo_lock);
  note(fd, size, at);
  ssize_t written = real(fd, bytes, size, at);
  pthread_mutex_unlock(&undo_lock);
  return written;
}

static int sync_by(int (*real)(int), int fd) {
  if (meet_fd(fd, 0)) return -1;
  if (wanted != -3) return real(fd);
  pthread_mutex_lock(&undo_lock);
  int failed = real(fd);
  if (!failed) synced(fd);
  pthread_mutex_unlock(&undo_lock);
  return failed;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
  REAL(ssize_t, pwrite, (int, const void *, size_t, off_t));
  return write_at(real, fd, bytes, size, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t at) {
  REAL(ssize_t, pwrite64, (int, const void *, size_t, off_t));
  return write_at(real, fd, bytes, size, at);
}

int fsync(int fd) {
  REAL(int, fsync, (int));
  return sync_by(real, fd);
}

int fdatasync(int fd) {
  REAL(int, fdatasync, (int));
  return sync_by(real, fd);
}

int ftruncate(int fd, off_t size) {
  REAL(int, ftruncate, (int, off_t));
  return meet_fd(fd, 0) ? -1 : real(fd, size);
}

int ftruncate64(int fd, off_t size) {
  REAL(int, ftruncate64, (int, off_t));
  return meet_fd(fd, 0) ? -1 : real(fd, size);
}

int rename(const char *from, const char *to) {
  REAL(int, rename, (const char *, const char *));
  if (meet(from, 0)) return -1;
  int failed = real(from, to);
  if (!failed) renamed(from, to);
  return failed;
}

int unlink(const char *path) {
  REAL(int, unlink, (const char *));
  return meet(path, 0) ? -1 : real(path);
}

void *mmap(void *where, size_t size, int protection, int flags, int fd, off_t at) {
  REAL(void *, mmap, (void *, size_t, int, int, int, off_t));
  if (fd >= 0 && folder && meet_fd(fd, 0)) return MAP_FAILED;
  return real(where, size, protection, flags, fd, at);
}

void *mmap64(void *where, size_t size, int protection, int flags, int fd, off_t at) {
  REAL(void *, mmap64, (void *, size_t, int, int, int, off_t));
  if (fd >= 0 && folder && meet_fd(fd, 0)) return MAP_FAILED;
  return real(where, size, protection, flags, fd, at);
}
