/* A test that passes and leaves a process behind, in a session of its own. */
#include <criterion/criterion.h>
#include <unistd.h>

Test(gate, leaves_a_process)
{
	pid_t pid = fork();

	cr_assert(pid >= 0);
	if (pid == 0)
	{
		(void) setsid();
		for (;;)
			(void) pause();
	}
}
