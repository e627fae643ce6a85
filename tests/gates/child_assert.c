/* A forked child that uses the assertions of its parent: runner and worker wait for ever. */
#include <criterion/criterion.h>
#include <sys/wait.h>
#include <unistd.h>

Test(gate, child_asserts)
{
	pid_t pid = fork();

	if (pid == 0)
		cr_assert(0, "said by the wrong process");
	cr_assert(waitpid(pid, NULL, 0) == pid);
}
