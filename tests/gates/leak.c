/* A leak that only LeakSanitizer, or valgrind, sees: the worker's exit code is lost. */
#include <criterion/criterion.h>
#include <stdlib.h>

static char *volatile kept;

Test(gate, leaks)
{
	kept = malloc(100);
	cr_assert(kept != NULL);
	kept = NULL;
}
