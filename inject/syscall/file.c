/*
 * file.c
 *		The file calls a lockfile is made of: open, read, write, fsync, rename, link, unlink, close.
 *
 * Beyond errno and return: short(N) passes on at most N bytes, torn(N) writes N and claims all, corrupt
 * flips bits of one byte on its way (offset modulo the bytes), skip claims success and does nothing: an
 * fsync that lies.
 *
 * Thread, signal safety: that of the call; no malloc, no locks.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "call.h"

DECLARE_WRAPPER(open)
DECLARE_WRAPPER(openat)
DECLARE_WRAPPER(read)
DECLARE_WRAPPER(pread)
DECLARE_WRAPPER(write)
DECLARE_WRAPPER(pwrite)
DECLARE_WRAPPER(fsync)
DECLARE_WRAPPER(fdatasync)
DECLARE_WRAPPER(close)
DECLARE_WRAPPER(rename)
DECLARE_WRAPPER(renameat)
DECLARE_WRAPPER(link)
DECLARE_WRAPPER(linkat)
DECLARE_WRAPPER(unlink)
DECLARE_WRAPPER(unlinkat)

#define NOT_YET "the file is as it was before the call"

CALL_POINT(open_point, "file/open", CALL_CONTEXT, NOT_YET);
CALL_POINT(openat_point, "file/openat", CALL_CONTEXT, NOT_YET);
CALL_POINT(read_point, "file/read", CALL_CONTEXT, NOT_YET);
CALL_POINT(pread_point, "file/pread", CALL_CONTEXT, NOT_YET);
CALL_POINT(write_point, "file/write", CALL_CONTEXT, NOT_YET);
CALL_POINT(pwrite_point, "file/pwrite", CALL_CONTEXT, NOT_YET);
CALL_POINT(fsync_point, "file/fsync", CALL_CONTEXT, "written, not known to be on disk");
CALL_POINT(fdatasync_point, "file/fdatasync", CALL_CONTEXT, "written, not known to be on disk");
CALL_POINT(close_point, "file/close", CALL_CONTEXT, "the kernel closes the corpse's files");
CALL_POINT(rename_point, "file/rename", CALL_CONTEXT, "both names are as before");
CALL_POINT(renameat_point, "file/renameat", CALL_CONTEXT, "both names are as before");
CALL_POINT(link_point, "file/link", CALL_CONTEXT, "there is no second name");
CALL_POINT(linkat_point, "file/linkat", CALL_CONTEXT, "there is no second name");
CALL_POINT(unlink_point, "file/unlink", CALL_CONTEXT, "the name is still there");
CALL_POINT(unlinkat_point, "file/unlinkat", CALL_CONTEXT, "the name is still there");

/* The mode is there only when a file may be created. */
static mode_t
mode_argument(int flags, va_list args)
{
	if ((flags & O_CREAT) == 0 && (flags & O_TMPFILE) != O_TMPFILE)
		return 0;
	return va_arg(args, mode_t);
}

int
WRAPPER(open)(const char *path, int flags, ...)
{
	InjectArrival before = call_pass(&open_point, true, flags);
	va_list args;
	mode_t mode;
	long result;

	if (call_is_replaced(&before, 0, &result))
		return (int) result;
	va_start(args, flags);
	mode = mode_argument(flags, args);
	va_end(args);
	return REAL(open)(path, flags, mode);
}

int
WRAPPER(openat)(int directory, const char *path, int flags, ...)
{
	InjectArrival before = call_pass(&openat_point, true, flags);
	va_list args;
	mode_t mode;
	long result;

	if (call_is_replaced(&before, 0, &result))
		return (int) result;
	va_start(args, flags);
	mode = mode_argument(flags, args);
	va_end(args);
	return REAL(openat)(directory, path, flags, mode);
}

/* How many bytes a verdict lets through. */
static size_t
passed_bytes(const InjectArrival *arrival, size_t count)
{
	if ((arrival->verdict == VERDICT_SHORT || arrival->verdict == VERDICT_TORN) &&
		(uint64_t) arrival->a < count)
		return (size_t) arrival->a;
	return count;
}

static void
corrupt_read(const InjectArrival *arrival, unsigned char *data, ssize_t length)
{
	if (arrival->verdict == VERDICT_CORRUPT && length > 0)
		data[(size_t) arrival->a % (size_t) length] ^= (unsigned char) arrival->b;
}

/* What a write with one byte changed is made of, without a copy of the rest. */
static int
corrupted_pieces(const InjectArrival *arrival, const unsigned char *data, size_t count,
				 unsigned char *changed, struct iovec *pieces)
{
	size_t at = (size_t) arrival->a % count;

	*changed = data[at] ^ (unsigned char) arrival->b;
	pieces[0] = (struct iovec){(void *) (uintptr_t) data, at};
	pieces[1] = (struct iovec){changed, 1};
	pieces[2] = (struct iovec){(void *) (uintptr_t) (data + at + 1), count - at - 1};
	return 3;
}

/* torn(N) claims all, if the part was written at all. */
static ssize_t
claimed_bytes(const InjectArrival *arrival, ssize_t written, size_t count)
{
	return arrival->verdict == VERDICT_TORN && written >= 0 ? (ssize_t) count : written;
}

ssize_t
WRAPPER(read)(int fd, void *data, size_t count)
{
	InjectArrival before = call_pass(&read_point, true, (int64_t) count);
	long result;

	if (call_is_replaced(&before, 0, &result))
		return result;
	result = REAL(read)(fd, data, passed_bytes(&before, count));
	corrupt_read(&before, data, result);
	return result;
}

ssize_t
WRAPPER(pread)(int fd, void *data, size_t count, off_t offset)
{
	InjectArrival before = call_pass(&pread_point, true, (int64_t) count);
	long result;

	if (call_is_replaced(&before, 0, &result))
		return result;
	result = REAL(pread)(fd, data, passed_bytes(&before, count), offset);
	corrupt_read(&before, data, result);
	return result;
}

ssize_t
WRAPPER(write)(int fd, const void *data, size_t count)
{
	InjectArrival before = call_pass(&write_point, true, (int64_t) count);
	struct iovec pieces[3];
	unsigned char changed;
	long result;

	if (call_is_replaced(&before, (long) count, &result))
		return result;
	if (before.verdict == VERDICT_CORRUPT && count > 0)
		return writev(fd, pieces, corrupted_pieces(&before, data, count, &changed, pieces));
	result = REAL(write)(fd, data, passed_bytes(&before, count));
	return claimed_bytes(&before, result, count);
}

ssize_t
WRAPPER(pwrite)(int fd, const void *data, size_t count, off_t offset)
{
	InjectArrival before = call_pass(&pwrite_point, true, (int64_t) count);
	struct iovec pieces[3];
	unsigned char changed;
	long result;

	if (call_is_replaced(&before, (long) count, &result))
		return result;
	if (before.verdict == VERDICT_CORRUPT && count > 0)
		return pwritev(fd, pieces, corrupted_pieces(&before, data, count, &changed, pieces),
					   offset);
	result = REAL(pwrite)(fd, data, passed_bytes(&before, count), offset);
	return claimed_bytes(&before, result, count);
}

int
WRAPPER(fsync)(int fd)
{
	InjectArrival before = call_pass(&fsync_point, false, 0);
	long result;

	return call_is_replaced(&before, 0, &result) ? (int) result : REAL(fsync)(fd);
}

int
WRAPPER(fdatasync)(int fd)
{
	InjectArrival before = call_pass(&fdatasync_point, false, 0);
	long result;

	return call_is_replaced(&before, 0, &result) ? (int) result : REAL(fdatasync)(fd);
}

/* Linux frees the descriptor whatever close() returns, but for EBADF: so does a failure that is injected. */
int
WRAPPER(close)(int fd)
{
	InjectArrival before = call_pass(&close_point, false, 0);
	long result;

	if (before.verdict == VERDICT_ERRNO && before.a != EBADF)
		(void) REAL(close)(fd);
	return call_is_replaced(&before, 0, &result) ? (int) result : REAL(close)(fd);
}

int
WRAPPER(rename)(const char *from, const char *to)
{
	InjectArrival before = call_pass(&rename_point, false, 0);
	long result;

	return call_is_replaced(&before, 0, &result) ? (int) result : REAL(rename)(from, to);
}

int
WRAPPER(renameat)(int from_directory, const char *from, int to_directory, const char *to)
{
	InjectArrival before = call_pass(&renameat_point, false, 0);
	long result;

	return call_is_replaced(&before, 0, &result)
			   ? (int) result
			   : REAL(renameat)(from_directory, from, to_directory, to);
}

int
WRAPPER(link)(const char *from, const char *to)
{
	InjectArrival before = call_pass(&link_point, false, 0);
	long result;

	return call_is_replaced(&before, 0, &result) ? (int) result : REAL(link)(from, to);
}

int
WRAPPER(linkat)(int from_directory, const char *from, int to_directory, const char *to, int flags)
{
	InjectArrival before = call_pass(&linkat_point, false, 0);
	long result;

	return call_is_replaced(&before, 0, &result)
			   ? (int) result
			   : REAL(linkat)(from_directory, from, to_directory, to, flags);
}

int
WRAPPER(unlink)(const char *path)
{
	InjectArrival before = call_pass(&unlink_point, false, 0);
	long result;

	return call_is_replaced(&before, 0, &result) ? (int) result : REAL(unlink)(path);
}

int
WRAPPER(unlinkat)(int directory, const char *path, int flags)
{
	InjectArrival before = call_pass(&unlinkat_point, false, 0);
	long result;

	return call_is_replaced(&before, 0, &result) ? (int) result
												 : REAL(unlinkat)(directory, path, flags);
}

#ifdef HOLDFAST_PRELOAD

/* The other names under which programs reach the same functions. */
#define OTHER_NAME(other_, name_)                                                                  \
	extern __typeof__(name_) other_                                                                \
		__attribute__((alias(#name_), copy(name_), visibility("default")))

OTHER_NAME(open64, open);
OTHER_NAME(openat64, openat);
OTHER_NAME(pread64, pread);
OTHER_NAME(pwrite64, pwrite);

/* What -D_FORTIFY_SOURCE makes of open() without a mode. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int directory, const char *path, int flags);

__attribute__((visibility("default"))) int
__open_2(const char *path, int flags)
{
	return open(path, flags, 0);
}

__attribute__((visibility("default"))) int
__open64_2(const char *path, int flags)
{
	return open(path, flags, 0);
}

__attribute__((visibility("default"))) int
__openat_2(int directory, const char *path, int flags)
{
	return openat(directory, path, flags, 0);
}

#endif
