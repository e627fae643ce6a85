/*
 * preload.c
 *		holdfast_preload.so: the call points in any dynamic program.
 *
 *		LD_PRELOAD=.../holdfast_preload.so HOLDFAST_PLAN='sysv/shm/shmget=#1 errno(ENOSPC)' program
 *
 * Before main() it attaches to the table of HOLDFAST_INJECT_FD, or makes one for HOLDFAST_PLAN that all that
 * the program executes will share.  Processes are named by what they execute: proc=postgres, proc=postgres.3.
 *
 * A plan or table that is refused ends the program with status 2 and one line on stderr: a test that
 * believes faults were armed when none were would pass for the wrong reason.  Only a descriptor that some
 * ancestor has closed (daemons do) is said and let pass, without faults.
 *
 * Calls that the C library makes inside itself (fopen's open) do not come here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "inject/point/self.h"
#include "real.h"

static void
refuse(const InjectError *error)
{
	char text[400];

	inject_error_text(error, text, sizeof(text));
	dprintf(STDERR_FILENO, "holdfast_preload: %s\n", text);
	if (error->status == INJECT_SYSTEM_ERROR && error->saved_errno == EBADF)
		return;
	_exit(2);
}

static __attribute__((constructor)) void
start(void)
{
	InjectError error;
	int saved_errno = errno;

	real_resolve();
	if (inject_init_from_environment(&error) != INJECT_OK)
		refuse(&error);
	else if (inject_table_mapped())
		self_name_by_program();
	errno = saved_errno;
}
