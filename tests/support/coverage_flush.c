/*
 * coverage_flush.c
 *		In a coverage build: what a process counted is written down although it leaves by _exit().
 *
 * Children of tests leave so, on purpose.  Linked into every program of that build, with --wrap=_exit and --wrap=_Exit.
 * What a SIGKILL ends is not counted: coverage is of those who lived to tell.
 */
#include <unistd.h>

extern void __gcov_dump(void);
extern void __real__exit(int code) __attribute__((noreturn));
void __wrap__exit(int code) __attribute__((noreturn));
void __wrap__Exit(int code) __attribute__((noreturn));

void
__wrap__exit(int code)
{
	__gcov_dump();
	__real__exit(code);
}

void
__wrap__Exit(int code)
{
	__wrap__exit(code);
}
