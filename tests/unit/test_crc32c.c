/*
 * test_crc32c.c
 *		CRC-32C against published values, and what a checksum is for.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "crc32c.h"

TestSuite(crc32c, .timeout = 20);

/* RFC 3720, appendix B.4, and the customary check value. */
Test(crc32c, known_values)
{
	unsigned char bytes[32];

	cr_assert(holdfast_crc32c("123456789", 9) == 0xe3069283);
	cr_assert(holdfast_crc32c("", 0) == 0);
	memset(bytes, 0x00, sizeof(bytes));
	cr_assert(holdfast_crc32c(bytes, sizeof(bytes)) == 0x8a9136aa);
	memset(bytes, 0xff, sizeof(bytes));
	cr_assert(holdfast_crc32c(bytes, sizeof(bytes)) == 0x62a8ab43);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char) i;
	cr_assert(holdfast_crc32c(bytes, sizeof(bytes)) == 0x46dd794e);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char) (31 - i);
	cr_assert(holdfast_crc32c(bytes, sizeof(bytes)) == 0x113fdb5c);
}

Test(crc32c, every_single_bit_counts)
{
	unsigned char bytes[64] = "a header whose bits are turned one by one";
	uint32_t whole = holdfast_crc32c(bytes, sizeof(bytes));

	for (unsigned bit = 0; bit < sizeof(bytes) * 8; bit++)
	{
		bytes[bit / 8] ^= (unsigned char) (1 << bit % 8);
		cr_assert(holdfast_crc32c(bytes, sizeof(bytes)) != whole, "bit %u", bit);
		bytes[bit / 8] ^= (unsigned char) (1 << bit % 8);
	}
	cr_assert(holdfast_crc32c(bytes, sizeof(bytes)) == whole);
}
