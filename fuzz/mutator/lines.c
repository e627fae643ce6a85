/*
 * lines.c
 *		Mutations of text that is made of lines, above all of a lockfile.
 *
 * A line is put out, in, twice, elsewhere; its contents become a word of the dictionary or a number from the edge of a
 * type.  A lockfile that says it is ours gets its checksum made right again, mostly: else nothing behind the checksum
 * would ever be reached.
 */
#include <stdio.h>
#include <string.h>

#include "crc32c.h"
#include "mutator.h"

#define CHECKSUM_LINE 15
#define OUR_LINE      9

typedef struct Span
{
	size_t at, length; /* with its line end */
} Span;

static Span
line_at(const uint8_t *data, size_t size, size_t number)
{
	Span span = {0, 0};

	for (size_t i = 0;; i++)
	{
		const uint8_t *end = memchr(data + span.at, '\n', size - span.at);

		span.length = end != NULL ? (size_t) (end - data) + 1 - span.at : size - span.at;
		if (i == number || span.at + span.length >= size)
			return span;
		span.at += span.length;
	}
}

static size_t
count_lines(const uint8_t *data, size_t size)
{
	size_t count = 0;

	for (size_t i = 0; i < size; i++)
		count += data[i] == '\n' || i + 1 == size;
	return count;
}

static Span
random_line(const uint8_t *data, size_t size, uint64_t *random)
{
	return line_at(data, size, fuzz_below(random, count_lines(data, size)));
}

/* A number from the edge of some type, or near it. */
static size_t
edge_number(uint64_t *random, char *text, size_t size)
{
	static const uint64_t edges[] = {0,     1,          9,         99,         1023,
									 5432,  65535,      65536,     INT32_MAX,  UINT32_MAX,
									 65538, UINT32_MAX, INT64_MAX, UINT64_MAX, 4784166};
	uint64_t value = edges[fuzz_below(random, sizeof(edges) / sizeof(edges[0]))];
	uint64_t how = fuzz_random(random);

	value += how % 3 - 1;
	return (size_t) snprintf(text, size, "%s%llu", (how >> 8) % 16 == 0 ? "-" : "",
							 (unsigned long long) value);
}

static size_t
new_contents(uint64_t *random, char *text, size_t size)
{
	const FuzzWord *word;

	if (fuzz_word_count == 0 || (fuzz_random(random) & 1))
		return edge_number(random, text, size);
	word = &fuzz_words[fuzz_below(random, fuzz_word_count)];
	if (word->length > size)
		return 0;
	memcpy(text, word->bytes, word->length);
	return word->length;
}

static size_t
contents_length(const uint8_t *data, Span line)
{
	return line.length > 0 && data[line.at + line.length - 1] == '\n' ? line.length - 1
																	  : line.length;
}

static size_t
replace_contents(uint8_t *data, size_t size, size_t capacity, uint64_t *random)
{
	Span line = random_line(data, size, random);
	char text[64];
	size_t length = new_contents(random, text, sizeof(text));

	return fuzz_splice(data, size, capacity, line.at, contents_length(data, line), text, length);
}

static size_t
insert_word(uint8_t *data, size_t size, size_t capacity, uint64_t *random)
{
	Span line = random_line(data, size, random);
	size_t at = line.at + fuzz_below(random, contents_length(data, line) + 1);
	char text[64];
	size_t length = new_contents(random, text, sizeof(text));

	return fuzz_splice(data, size, capacity, at, 0, text, length);
}

static size_t
copy_line(uint8_t *data, size_t size, size_t capacity, uint64_t *random)
{
	Span from = random_line(data, size, random);
	Span to = random_line(data, size, random);
	uint8_t bytes[256];
	size_t length = from.length < sizeof(bytes) ? from.length : sizeof(bytes);
	size_t replaced = (fuzz_random(random) & 1) ? to.length : 0;

	memcpy(bytes, data + from.at, length);
	return fuzz_splice(data, size, capacity, to.at, replaced, bytes, length);
}

static size_t
drop_line(uint8_t *data, size_t size, size_t capacity, uint64_t *random)
{
	Span line = random_line(data, size, random);

	return line.length == size ? size
							   : fuzz_splice(data, size, capacity, line.at, line.length, NULL, 0);
}

static size_t
change_byte(uint8_t *data, size_t size, uint64_t *random)
{
	static const char bytes[] = " \t\r\n-0129aAfz:\0\xff";
	size_t at = fuzz_below(random, size);

	if (fuzz_random(random) & 1)
		data[at] ^= (uint8_t) (1u << fuzz_below(random, 8));
	else
		data[at] = (uint8_t) bytes[fuzz_below(random, sizeof(bytes) - 1)];
	return size;
}

static size_t
cut_short(size_t size, uint64_t *random)
{
	return 1 + fuzz_below(random, size);
}

/* Line 15 of a file whose line 9 is ours. */
static size_t
mend_checksum(uint8_t *data, size_t size, size_t capacity)
{
	Span line;
	char text[16];
	size_t length;

	if (count_lines(data, size) < CHECKSUM_LINE)
		return size;
	line = line_at(data, size, OUR_LINE - 1);
	if (line.length < 8 || memcmp(data + line.at, "holdfast", 8) != 0)
		return size;
	line = line_at(data, size, CHECKSUM_LINE - 1);
	length =
		(size_t) snprintf(text, sizeof(text), "%08x\n", (unsigned) holdfast_crc32c(data, line.at));
	return fuzz_splice(data, size, capacity, line.at, line.length, text, length);
}

static size_t
mutate_once(uint8_t *data, size_t size, size_t capacity, uint64_t *random)
{
	switch (fuzz_below(random, 12))
	{
		case 0:
			return cut_short(size, random);
		case 1:
			return drop_line(data, size, capacity, random);
		case 2:
		case 3:
			return copy_line(data, size, capacity, random);
		case 4:
			return insert_word(data, size, capacity, random);
		case 5:
		case 6:
		case 7:
			return change_byte(data, size, random);
		default:
			return replace_contents(data, size, capacity, random);
	}
}

size_t
fuzz_mutate(uint8_t *data, size_t size, size_t capacity, uint64_t *random)
{
	size_t rounds = 1 + fuzz_below(random, 3);

	if (size == 0)
	{
		data[0] = '\n';
		return 1;
	}
	while (rounds-- > 0)
	{
		size = mutate_once(data, size, capacity, random);
		if (size == 0)
		{
			data[0] = '\n';
			size = 1;
		}
	}
	if (fuzz_below(random, 4) != 0)
		size = mend_checksum(data, size, capacity);
	return size;
}
