/*
 * utf8.c
 *		See utf8.h.
 */
#include "utf8.h"

size_t
utf8_next(const char *bytes, size_t length, uint32_t *code)
{
	static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char first;
	size_t size;

	if (length == 0)
		return 0;
	first = (unsigned char) bytes[0];
	if (first < 0x80)
	{
		*code = first;
		return 1;
	}
	size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
	if (size == 0 || first > 0xf4 || size > length)
		return 0;
	*code = first & (0x7fu >> size);
	for (size_t i = 1; i < size; i++)
	{
		unsigned char next = (unsigned char) bytes[i];

		if ((next & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (next & 0x3f);
	}
	if (*code < smallest[size] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff))
		return 0;
	return size;
}
