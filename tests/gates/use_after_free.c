/* Valgrind sees the read, in a worker whose exit code is lost. */
#include <criterion/criterion.h>
#include <stdlib.h>

static volatile char seen;

Test(gate, reads_freed_memory)
{
	char *volatile bytes = malloc(100);
	char *volatile again = bytes;

	cr_assert(bytes != NULL);
	bytes[7] = 'x';
	free(bytes);
	seen = again[7];
	cr_assert(1);
}
