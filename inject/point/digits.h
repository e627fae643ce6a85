/*
 * digits.h
 *		A number as text where snprintf, which is not async-signal-safe, may not be called.
 */
#ifndef HOLDFAST_INJECT_DIGITS_H
#define HOLDFAST_INJECT_DIGITS_H

#include <stdint.h>

/* At most 20 digits and a NUL from `at` on.  Returns where the NUL is. */
static inline char *
append_number(char *at, uint64_t number)
{
	char digits[20];
	int count = 0;

	do
	{
		digits[count++] = (char) ('0' + number % 10);
		number /= 10;
	} while (number != 0);
	while (count > 0)
		*at++ = digits[--count];
	*at = '\0';
	return at;
}

#endif
