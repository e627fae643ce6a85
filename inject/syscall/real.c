/*
 * real.c
 *		In holdfast_preload.so: the functions that ours stand in front of.
 *
 * The pointers are good from the first instruction: they start at the bare system calls, for constructors
 * of other libraries that run before ours, and move to the next definition in the search order, which may
 * be the C library's or another preloaded library's, once ours has run.  So no wrapper ever resolves
 * anything itself, in whatever signal handler it is called.
 *
 * Owner: the pointers, written once, by the constructor, before threads start.
 */
#include "real.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <sys/syscall.h>

static int
raw_shmget(key_t key, size_t size, int flags)
{
	return (int) syscall(SYS_shmget, key, size, flags);
}

static void *
raw_shmat(int shmid, const void *address, int flags)
{
	return (void *) syscall(SYS_shmat, shmid, address, flags);
}

static int
raw_shmdt(const void *address)
{
	return (int) syscall(SYS_shmdt, address);
}

static int
raw_shmctl(int shmid, int command, struct shmid_ds *status)
{
	return (int) syscall(SYS_shmctl, shmid, command, status);
}

/* Our own wrappers always pass a mode. */
static int
raw_open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = va_arg(args, mode_t);
	va_end(args);
	return (int) syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static int
raw_openat(int directory, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = va_arg(args, mode_t);
	va_end(args);
	return (int) syscall(SYS_openat, directory, path, flags, mode);
}

static ssize_t
raw_read(int fd, void *data, size_t count)
{
	return syscall(SYS_read, fd, data, count);
}

static ssize_t
raw_pread(int fd, void *data, size_t count, off_t offset)
{
	return syscall(SYS_pread64, fd, data, count, offset);
}

static ssize_t
raw_write(int fd, const void *data, size_t count)
{
	return syscall(SYS_write, fd, data, count);
}

static ssize_t
raw_pwrite(int fd, const void *data, size_t count, off_t offset)
{
	return syscall(SYS_pwrite64, fd, data, count, offset);
}

static int
raw_fsync(int fd)
{
	return (int) syscall(SYS_fsync, fd);
}

static int
raw_fdatasync(int fd)
{
	return (int) syscall(SYS_fdatasync, fd);
}

static int
raw_close(int fd)
{
	return (int) syscall(SYS_close, fd);
}

static int
raw_renameat(int from_directory, const char *from, int to_directory, const char *to)
{
	return (int) syscall(SYS_renameat2, from_directory, from, to_directory, to, 0);
}

static int
raw_rename(const char *from, const char *to)
{
	return raw_renameat(AT_FDCWD, from, AT_FDCWD, to);
}

static int
raw_linkat(int from_directory, const char *from, int to_directory, const char *to, int flags)
{
	return (int) syscall(SYS_linkat, from_directory, from, to_directory, to, flags);
}

static int
raw_link(const char *from, const char *to)
{
	return raw_linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

static int
raw_unlinkat(int directory, const char *path, int flags)
{
	return (int) syscall(SYS_unlinkat, directory, path, flags);
}

static int
raw_unlink(const char *path)
{
	return raw_unlinkat(AT_FDCWD, path, 0);
}

/* A bare fork would skip the handlers of others: this one is looked up. */
static pid_t
raw_fork(void)
{
	real_resolve();
	return real_fork();
}

#define REAL_DEFINE(name_) __typeof__(name_) *real_##name_ = raw_##name_;
REAL_CALLS(REAL_DEFINE)

#define REAL_RESOLVE(name_)                                                                        \
	{                                                                                              \
		void *next = dlsym(RTLD_NEXT, #name_);                                                     \
		if (next != NULL)                                                                          \
			real_##name_ = (__typeof__(name_) *) next;                                             \
	}

void
real_resolve(void)
{
	REAL_CALLS(REAL_RESOLVE)
}
