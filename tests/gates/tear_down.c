/* An assertion that fails in a .fini: Criterion says PASS and exits 0. */
#include <criterion/criterion.h>

static void
check_too_late(void)
{
	cr_assert(0, "the check that nobody would hear");
}

Test(gate, fails_in_tear_down, .fini = check_too_late)
{
	cr_assert(1);
}
