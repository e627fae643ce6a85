/*
 * fortified.c
 *		In holdfast_preload.so: what -D_FORTIFY_SOURCE makes of the calls.
 *
 * Each checks what the C library's own would check, and is then the call.
 *
 * Thread, signal safety: that of the call; no malloc, no locks.
 */
#include "call.h"

#define FORTIFIED __attribute__((visibility("default")))

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int directory, const char *path, int flags);
int __openat64_2(int directory, const char *path, int flags);
ssize_t __read_chk(int fd, void *data, size_t count, size_t room);
ssize_t __pread_chk(int fd, void *data, size_t count, off_t offset, size_t room);
ssize_t __pread64_chk(int fd, void *data, size_t count, off_t offset, size_t room);
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
				const sigset_t *mask, size_t room);
_Noreturn void __chk_fail(void);

static void
must_fit(size_t bytes, size_t room)
{
	if (bytes > room)
		__chk_fail();
}

/* A flag that wants a mode, where none was given. */
static void
must_not_create(int flags)
{
	if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE)
		__chk_fail();
}

FORTIFIED int
__open_2(const char *path, int flags)
{
	must_not_create(flags);
	return open(path, flags, 0);
}

FORTIFIED int
__open64_2(const char *path, int flags)
{
	return __open_2(path, flags);
}

FORTIFIED int
__openat_2(int directory, const char *path, int flags)
{
	must_not_create(flags);
	return openat(directory, path, flags, 0);
}

FORTIFIED int
__openat64_2(int directory, const char *path, int flags)
{
	return __openat_2(directory, path, flags);
}

FORTIFIED ssize_t
__read_chk(int fd, void *data, size_t count, size_t room)
{
	must_fit(count, room);
	return read(fd, data, count);
}

FORTIFIED ssize_t
__pread_chk(int fd, void *data, size_t count, off_t offset, size_t room)
{
	must_fit(count, room);
	return pread(fd, data, count, offset);
}

FORTIFIED ssize_t
__pread64_chk(int fd, void *data, size_t count, off_t offset, size_t room)
{
	return __pread_chk(fd, data, count, offset, room);
}

FORTIFIED int
__poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room)
{
	must_fit(count * sizeof(*fds), room);
	return poll(fds, count, timeout);
}

FORTIFIED int
__ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
			size_t room)
{
	must_fit(count * sizeof(*fds), room);
	return ppoll(fds, count, timeout, mask);
}
