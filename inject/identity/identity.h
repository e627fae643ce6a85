/*
 * identity.h
 *		Forcing what by chance takes years: another process, segment or boot under a number that was somebody's.
 *
 *		PID				identity_fork_as(4711) is fork(), and the child's PID is 4711
 *		shmid, semid	the next segment has the id of one that is gone
 *		boot id			what /proc/sys/kernel/random/boot_id says, in a mount namespace of the caller's
 *		time			children live in a time namespace: their boot was at another moment, and start times that they
 *						read in /proc with it.  (Clocks that jump while a program runs are points: clock/...=jump(D).)
 *		PID 1, twice	CLONE_NEWPID; the runner's sandbox does that
 *
 * All of it needs rights: root's, or those that a user namespace gives over namespaces of its own.  Call it in a
 * sandbox, never on a machine's own namespaces: shmids and PIDs of others would come out of order.
 *
 * Owner: nothing is kept here.  Thread safety: one thread (identity_fork_as is a fork).
 * Errors: -1 or false, with errno: EPERM and EACCES when the right is missing, EEXIST when the number is taken, ENOSYS and
 * ENOENT when the kernel cannot.
 */
#ifndef HOLDFAST_INJECT_IDENTITY_ROOM_H
#define HOLDFAST_INJECT_IDENTITY_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* As fork(); the handlers of pthread_atfork() may not run.  EEXIST: somebody has that PID, a zombie too. */
pid_t identity_fork_as(pid_t pid);

/* As shmget() and semget(), the new object having that id.  EEXIST also when the id went elsewhere; nothing is left then. */
int identity_shmget_as(int shmid, key_t key, size_t size, int flags);
int identity_semget_as(int semid, key_t key, int count, int flags);

/*
 * Until identity_boot_id_restore() the caller's mount namespace, which must be private, has another boot id: 36
 * characters as "01234567-89ab-4def-8123-456789abcdef".  `directory`: where a file can be made for a moment.
 */
bool identity_boot_id_set(const char *boot_id, const char *directory);
bool identity_boot_id_restore(void);

/* Children started from now on live in a new time namespace, whose clocks are off by that much; the caller does not. */
bool identity_clocks_for_children(int64_t monotonic_ns, int64_t boottime_ns);

/* ---- what works here ---- */

typedef enum IdentityMeans
{
	IDENTITY_PID, /* identity_fork_as(), by whichever way */
	IDENTITY_LAST_PID,
	IDENTITY_SHM_NEXT_ID,
	IDENTITY_SEM_NEXT_ID,
	IDENTITY_BOOT_ID,
	IDENTITY_TIME_NAMESPACE,
	IDENTITY_MEANS
} IdentityMeans;

/* "shm_next_id" */
const char *identity_means_name(IdentityMeans means);

/*
 * Tried for real, in a child in namespaces of its own: 0, or the errno of what failed.  `through_user_namespace` is set when
 * it took one.  Leaves nothing.
 */
int identity_probe(IdentityMeans means, bool *through_user_namespace);

#endif
