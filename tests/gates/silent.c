/* A test that is switched off, beside one that passes: Criterion says PASS and exits 0. */
#include <criterion/criterion.h>

Test(gate, passes)
{
	cr_assert(1);
}

Test(gate, is_switched_off, .disabled = true)
{
	cr_assert(0);
}
