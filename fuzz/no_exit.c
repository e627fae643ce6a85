/*
 * no_exit.c
 *		proc_exit() for targets that do not link the exit callbacks: report.c names it, nothing may call it.
 */
#include "fuzz.h"

#include <holdfast/ipc.h>

void
proc_exit(int code)
{
	(void) code;
	REQUIRE(!"the library ends no process");
}
