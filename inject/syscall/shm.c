/*
 * shm.c
 *		shmget, shmat, shmdt, shmctl: a point before each call, and one after it has succeeded.
 *
 * Before: errno(E) and return(V) replace the call, kill leaves it undone.  After: kill leaves it done and
 * unnoticed by its caller, which is how segments are orphaned.
 *
 * Thread, signal safety: that of the call; no malloc, no locks.  errno is the call's.
 */
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "call.h"

DECLARE_WRAPPER(shmget)
DECLARE_WRAPPER(shmat)
DECLARE_WRAPPER(shmdt)
DECLARE_WRAPPER(shmctl)

CALL_POINT(shmget_point, "sysv/shm/shmget", INJECT_ANYWHERE, "nothing was created or found");
CALL_POINT(post_shmget_point, "sysv/shm/post-shmget", INJECT_ANYWHERE,
		   "if it was created: a segment that nobody has attached or recorded");
CALL_POINT(shmat_point, "sysv/shm/shmat", INJECT_ANYWHERE, "the segment has one attachment less");
CALL_POINT(post_shmat_point, "sysv/shm/post-shmat", INJECT_ANYWHERE,
		   "attached; the kernel detaches the corpse");
CALL_POINT(shmdt_point, "sysv/shm/shmdt", INJECT_ANYWHERE,
		   "still attached; the kernel detaches the corpse");
CALL_POINT(post_shmdt_point, "sysv/shm/post-shmdt", INJECT_ANYWHERE,
		   "detached; the segment is there until it is removed");
CALL_POINT(shmctl_point, "sysv/shm/shmctl", INJECT_ANYWHERE,
		   "IPC_RMID: the segment was not removed");
CALL_POINT(post_shmctl_point, "sysv/shm/post-shmctl", INJECT_ANYWHERE,
		   "IPC_RMID: removed, or gone with its last attachment");

int
WRAPPER(shmget)(key_t key, size_t size, int flags)
{
	InjectArrival before = call_pass(&shmget_point, true, (int64_t) size);
	long result;

	if (call_is_replaced(&before, 0, &result))
		return (int) result;
	result = REAL(shmget)(key, size, flags);
	if (result >= 0)
		(void) call_pass(&post_shmget_point, true, result);
	return (int) result;
}

/* Flip bits of one byte of the segment; the offset is taken modulo its size. */
static void
corrupt_segment(int shmid, unsigned char *address, const InjectArrival *arrival)
{
	struct shmid_ds status;
	int saved_errno = errno;

	/* not shmctl(): that is a point of its own */
	if (syscall(SYS_shmctl, shmid, IPC_STAT, &status) == 0 && status.shm_segsz > 0)
		address[(size_t) arrival->a % status.shm_segsz] ^= (unsigned char) arrival->b;
	errno = saved_errno;
}

void *
WRAPPER(shmat)(int shmid, const void *address, int flags)
{
	InjectArrival before = call_pass(&shmat_point, true, shmid);
	InjectArrival after;
	long result;
	void *attached;

	if (call_is_replaced(&before, -1, &result))
		return (void *) result;
	attached = REAL(shmat)(shmid, address, flags);
	if (attached == (void *) -1)
		return attached;
	after = call_pass(&post_shmat_point, true, shmid);
	if (after.verdict == VERDICT_CORRUPT && (flags & SHM_RDONLY) == 0)
		corrupt_segment(shmid, attached, &after);
	return attached;
}

int
WRAPPER(shmdt)(const void *address)
{
	InjectArrival before = call_pass(&shmdt_point, false, 0);
	long result;

	if (call_is_replaced(&before, 0, &result))
		return (int) result;
	result = REAL(shmdt)(address);
	if (result >= 0)
		(void) call_pass(&post_shmdt_point, false, 0);
	return (int) result;
}

int
WRAPPER(shmctl)(int shmid, int command, struct shmid_ds *status)
{
	InjectArrival before = call_pass(&shmctl_point, true, command);
	long result;

	if (call_is_replaced(&before, 0, &result))
		return (int) result;
	result = REAL(shmctl)(shmid, command, status);
	if (result >= 0)
		(void) call_pass(&post_shmctl_point, true, command);
	return (int) result;
}
