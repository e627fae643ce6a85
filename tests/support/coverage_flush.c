/*
 * coverage_flush.c
 *		In a coverage build: what a process counted is written down although it leaves by _exit(), or is another user.
 *
 * Children of tests leave so, on purpose; and some tests are another user for a while, who adds to the same files, or
 * complains of them on stderr, where the test reads.  Linked into every program of that build, with --wrap=_exit and --wrap=_Exit.
 * What a SIGKILL ends is not counted: coverage is of those who lived to tell.
 */
#include <sys/stat.h>
#include <unistd.h>

extern void __gcov_dump(void);
extern void __real__exit(int code) __attribute__((noreturn));
void __wrap__exit(int code) __attribute__((noreturn));
void __wrap__Exit(int code) __attribute__((noreturn));

/* Runs before libgcov's own, whose priority is 100. */
static __attribute__((destructor)) void
let_others_write(void)
{
	(void) umask(0);
}

void
__wrap__exit(int code)
{
	let_others_write();
	__gcov_dump();
	__real__exit(code);
}

void
__wrap__Exit(int code)
{
	__wrap__exit(code);
}
