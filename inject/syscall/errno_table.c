/*
 * errno_table.c
 *		What can be done to a call: the errnos its manual page documents, and the actions that make sense.
 *
 * One table for checking plans, for listing points and for what libfiu's users get when they name no errno
 * (the first of each list, the failure most likely in the field).  Lists follow man-pages 6: an errno that
 * is not there is one that no program is obliged to expect, and a fault with it proves nothing.
 *
 * Constant data; safe anywhere.
 */
#include "errno_table.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "inject/inject.h"

#define LIST(...) ((const int[]){__VA_ARGS__, 0})

#define FAILS (INJECT_CAN_ERRNO)

/* What every call on a path may say. */
#define PATH_ERRNOS EACCES, EFAULT, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, EPERM, EROFS

#define OPEN_ERRNOS                                                                                \
	PATH_ERRNOS, EBUSY, EDQUOT, EEXIST, EFBIG, EINTR, EINVAL, EISDIR, EMFILE, ENFILE, ENODEV,      \
		ENOSPC, ENXIO, EOPNOTSUPP, EOVERFLOW, ETXTBSY, EAGAIN
#define READ_ERRNOS EIO, EAGAIN, EBADF, EFAULT, EINTR, EINVAL, EISDIR
#define WRITE_ERRNOS                                                                               \
	ENOSPC, EAGAIN, EBADF, EDESTADDRREQ, EDQUOT, EFAULT, EFBIG, EINTR, EINVAL, EIO, EPERM, EPIPE
#define SYNC_ERRNOS EIO, EBADF, EINTR, EINVAL, ENOSPC, EROFS, EDQUOT
#define RENAME_ERRNOS                                                                              \
	PATH_ERRNOS, EBUSY, EDQUOT, EEXIST, EINVAL, EISDIR, EMLINK, ENOSPC, ENOTEMPTY, EXDEV
#define LINK_ERRNOS   PATH_ERRNOS, EDQUOT, EEXIST, EIO, EMLINK, ENOSPC, EXDEV
#define UNLINK_ERRNOS PATH_ERRNOS, EBUSY, EIO, EISDIR

static const InjectCallSpec specs[] = {
	{"sysv/shm/shmget", LIST(ENOSPC, EACCES, EEXIST, EINVAL, ENFILE, ENOENT, ENOMEM, EPERM),
	 FAILS | INJECT_HAS_ARG, "size"},
	{"sysv/shm/shmat", LIST(EACCES, EIDRM, EINVAL, ENOMEM), FAILS | INJECT_HAS_ARG, "shmid"},
	{"sysv/shm/shmdt", LIST(EINVAL), FAILS | INJECT_CAN_SKIP, ""},
	{"sysv/shm/shmctl", LIST(EIDRM, EACCES, EFAULT, EINVAL, ENOMEM, EOVERFLOW, EPERM),
	 FAILS | INJECT_CAN_SKIP | INJECT_HAS_ARG, "command (IPC_STAT, IPC_RMID ...)"},
	{"sysv/shm/post-shmget", NULL, INJECT_HAS_ARG, "shmid"},
	{"sysv/shm/post-shmat", NULL, INJECT_CAN_CORRUPT | INJECT_HAS_ARG, "shmid"},
	{"sysv/shm/post-shmdt", NULL, 0, ""},
	{"sysv/shm/post-shmctl", NULL, INJECT_HAS_ARG, "command (IPC_STAT, IPC_RMID ...)"},
	{"file/open", LIST(OPEN_ERRNOS), FAILS | INJECT_HAS_ARG, "flags"},
	{"file/openat", LIST(OPEN_ERRNOS, EBADF), FAILS | INJECT_HAS_ARG, "flags"},
	{"file/read", LIST(READ_ERRNOS), FAILS | INJECT_CAN_SHORT | INJECT_CAN_CORRUPT | INJECT_HAS_ARG,
	 "bytes"},
	{"file/pread", LIST(READ_ERRNOS, ENXIO, EOVERFLOW, ESPIPE),
	 FAILS | INJECT_CAN_SHORT | INJECT_CAN_CORRUPT | INJECT_HAS_ARG, "bytes"},
	{"file/write", LIST(WRITE_ERRNOS),
	 FAILS | INJECT_CAN_SHORT | INJECT_CAN_SKIP | INJECT_CAN_CORRUPT | INJECT_CAN_TORN |
		 INJECT_HAS_ARG,
	 "bytes"},
	{"file/pwrite", LIST(WRITE_ERRNOS, ENXIO, EOVERFLOW, ESPIPE),
	 FAILS | INJECT_CAN_SHORT | INJECT_CAN_SKIP | INJECT_CAN_CORRUPT | INJECT_CAN_TORN |
		 INJECT_HAS_ARG,
	 "bytes"},
	{"file/fsync", LIST(SYNC_ERRNOS), FAILS | INJECT_CAN_SKIP, ""},
	{"file/fdatasync", LIST(SYNC_ERRNOS), FAILS | INJECT_CAN_SKIP, ""},
	{"file/close", LIST(EIO, EBADF, EINTR, ENOSPC, EDQUOT), FAILS, ""},
	{"file/rename", LIST(RENAME_ERRNOS), FAILS | INJECT_CAN_SKIP, ""},
	{"file/renameat", LIST(RENAME_ERRNOS, EBADF), FAILS | INJECT_CAN_SKIP, ""},
	{"file/link", LIST(LINK_ERRNOS), FAILS | INJECT_CAN_SKIP, ""},
	{"file/linkat", LIST(LINK_ERRNOS, EBADF, EINVAL), FAILS | INJECT_CAN_SKIP, ""},
	{"file/unlink", LIST(UNLINK_ERRNOS), FAILS | INJECT_CAN_SKIP, ""},
	{"file/unlinkat", LIST(UNLINK_ERRNOS, EBADF, EINVAL, ENOTEMPTY), FAILS | INJECT_CAN_SKIP, ""},
	{"process/fork", LIST(EAGAIN, ENOMEM, ENOSYS), FAILS, ""},
};

const InjectCallSpec *
inject_call_spec_at(int index)
{
	if (index < 0 || (size_t) index >= sizeof(specs) / sizeof(specs[0]))
		return NULL;
	return &specs[index];
}

const InjectCallSpec *
inject_call_spec(const char *point)
{
	const InjectCallSpec *spec;

	for (int i = 0; (spec = inject_call_spec_at(i)) != NULL; i++)
		if (strcmp(spec->point, point) == 0)
			return spec;
	return NULL;
}
