/* A tear-down that ends the process: Criterion warns, says PASS and exits 0. */
#include <criterion/criterion.h>
#include <unistd.h>

static void
leave(void)
{
	_exit(5);
}

Test(gate, leaves_in_tear_down, .fini = leave)
{
	cr_assert(1);
}
