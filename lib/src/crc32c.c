/*
 * crc32c.c
 *		CRC-32C, four bits at a time: the table is small enough to be read and checked by eye, and a lockfile is
 *		smaller than a kilobyte.
 */
#include "crc32c.h"

/* Remainder of each 4-bit value shifted through the reflected polynomial 0x82f63b78. */
static const uint32_t nibble_table[16] = {
	0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
	0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

uint32_t
holdfast_crc32c(const void *bytes, size_t length)
{
	const unsigned char *next = bytes;
	uint32_t crc = UINT32_MAX;

	for (; length > 0; length--, next++)
	{
		crc ^= *next;
		crc = crc >> 4 ^ nibble_table[crc & 15];
		crc = crc >> 4 ^ nibble_table[crc & 15];
	}
	return ~crc;
}
