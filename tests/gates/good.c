/* The wrapper must believe this one: as a whole, by filter, and under valgrind. */
#include <criterion/criterion.h>

Test(gate, passes)
{
	cr_assert(1);
}

Test(gate, is_skipped)
{
	cr_skip_test("a skip is a result");
}
