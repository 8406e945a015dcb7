/* Makes the n-th system call on files below one folder fail, as a disk would. Loaded with LD_PRELOAD by
 * src/store/sqlite/tests/faults.rs.
 *
 * FAULT_FOLDER  files below it are watched
 * FAULT_AT      number of the call that meets the fault, from 1; 0 = none
 * FAULT_KIND    eio | enospc | short (a write stops half-way) | kill (the process dies before the call)
 * FAULT_LAST    number of the last call that meets it
 * FAULT_COUNT   file the number of calls is written to: 8 bytes, kept up to date
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

static const char *folder;
static unsigned long first, last;
static int wanted; /* errno, -1 = short, -2 = kill */
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
         : !strcmp(kind, "short") ? -1 : -2;
  if (file) {
    int fd = real_open(file, O_RDWR);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED) count = page;
  }
  folder = getenv("FAULT_FOLDER");
}

/* Counts a call on a watched file. 0 = let it through, 1 = it fails with errno, -1 = write half of it. */
static int meet(const char *path, int writes) {
  if (!folder || strncmp(path, folder, strlen(folder)) != 0) return 0;
  uint64_t number = atomic_fetch_add(count, 1) + 1;
  if (!first || number < first || number > last) return 0;
  if (wanted == -2) {
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
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return meet(path, writes);
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
  return real(fd, bytes, met < 0 ? (size + 1) / 2 : size);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
  REAL(ssize_t, pwrite, (int, const void *, size_t, off_t));
  int met = meet_fd(fd, 1);
  if (met > 0) return -1;
  return real(fd, bytes, met < 0 ? (size + 1) / 2 : size, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t at) {
  REAL(ssize_t, pwrite64, (int, const void *, size_t, off_t));
  int met = meet_fd(fd, 1);
  if (met > 0) return -1;
  return real(fd, bytes, met < 0 ? (size + 1) / 2 : size, at);
}

int fsync(int fd) {
  REAL(int, fsync, (int));
  return meet_fd(fd, 0) ? -1 : real(fd);
}

int fdatasync(int fd) {
  REAL(int, fdatasync, (int));
  return meet_fd(fd, 0) ? -1 : real(fd);
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
  return meet(from, 0) ? -1 : real(from, to);
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
