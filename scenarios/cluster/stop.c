/*
 * stop.c
 *		Ends a running cluster from outside.
 *
 * The lockfile's PID alone may by now be anybody's: the process is taken hold of by pidfd first, and its start time
 * compared after that, so that what is signalled is what the lockfile meant.
 */
#include "cluster/cluster.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <holdfast/lockfile.h>
#include <holdfast/recovery.h>

#include "runner/clock.h"

static HoldfastStatus
wait_until_gone(int pidfd, unsigned deadline_ms)
{
	uint64_t deadline = clock_deadline_ns(deadline_ms);

	for (;;)
	{
		struct pollfd one = {.fd = pidfd, .events = POLLIN};
		int left = clock_ms_until(deadline);
		int polled = poll(&one, 1, left);

		if (polled > 0)
			return HOLDFAST_OK;
		if (polled < 0 && errno != EINTR)
			return HOLDFAST_SYSTEM_ERROR;
		if (polled == 0 && left == 0)
			return HOLDFAST_TIMED_OUT;
	}
}

HoldfastStatus
cluster_stop(const char *data_dir, ClusterStopMode mode, unsigned deadline_ms, pid_t *pid)
{
	HoldfastLockfile lockfile;
	HoldfastStatus status = holdfast_lockfile_read(data_dir, &lockfile);
	int pidfd;

	*pid = 0;
	if (status < 0)
		return status;
	*pid = lockfile.pid;
	pidfd = (int) syscall(SYS_pidfd_open, lockfile.pid, 0);
	if (pidfd < 0)
		return errno == ESRCH || errno == EINVAL ? HOLDFAST_NOT_FOUND : HOLDFAST_SYSTEM_ERROR;
	if (holdfast_process_is_dead(lockfile.pid, lockfile.is_ours ? lockfile.pid_start_time : 0))
		status = HOLDFAST_NOT_FOUND;
	else if (syscall(SYS_pidfd_send_signal, pidfd, mode == CLUSTER_STOP_FAST ? SIGTERM : SIGQUIT,
					 NULL, 0) < 0)
		status = errno == ESRCH ? HOLDFAST_NOT_FOUND : HOLDFAST_SYSTEM_ERROR;
	else
		status = wait_until_gone(pidfd, deadline_ms);
	close(pidfd);
	return status;
}
