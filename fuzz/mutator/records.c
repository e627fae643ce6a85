/*
 * records.c
 *		Mutations of a row of records of FUZZ_RECORD bytes behind a head of FUZZ_HEAD: bytecode, lists of changes.
 *
 * A whole record is put out, in, twice, or elsewhere, so that those behind it keep their meaning; or one of its bytes
 * becomes another.
 */
#include <string.h>

#include "mutator.h"

#ifndef FUZZ_RECORD
#define FUZZ_RECORD 4
#endif
#ifndef FUZZ_HEAD
#define FUZZ_HEAD 0
#endif

static size_t
random_record(size_t size, uint64_t *random)
{
	size_t count = size > FUZZ_HEAD ? (size - FUZZ_HEAD + FUZZ_RECORD - 1) / FUZZ_RECORD : 0;

	return FUZZ_HEAD + fuzz_below(random, count) * FUZZ_RECORD;
}

static size_t
change_byte(uint8_t *data, size_t size, uint64_t *random)
{
	static const uint8_t bytes[] = {0, 1, 2, 3, 4, 7, 8, 16, 64, 127, 128, 254, 255};
	size_t at = fuzz_below(random, size);

	switch (fuzz_below(random, 3))
	{
		case 0:
			data[at] = bytes[fuzz_below(random, sizeof(bytes))];
			break;
		case 1:
			data[at] = (uint8_t) (data[at] + (fuzz_random(random) & 1 ? 1 : -1));
			break;
		default:
			data[at] = (uint8_t) fuzz_random(random);
	}
	return size;
}

static size_t
insert_record(uint8_t *data, size_t size, size_t capacity, uint64_t *random)
{
	size_t at = random_record(size, random);
	uint8_t record[FUZZ_RECORD];

	for (size_t i = 0; i < sizeof(record); i++)
		record[i] = (uint8_t) (fuzz_random(random) >> (fuzz_random(random) & 7));
	return at > size ? size : fuzz_splice(data, size, capacity, at, 0, record, sizeof(record));
}

static size_t
copy_records(uint8_t *data, size_t size, size_t capacity, uint64_t *random)
{
	size_t from = random_record(size, random);
	size_t to = random_record(size, random);
	uint8_t bytes[FUZZ_RECORD * 16];
	size_t length = FUZZ_RECORD * (1 + fuzz_below(random, 16));

	if (from >= size || to > size)
		return size;
	if (length > size - from)
		length = size - from;
	memcpy(bytes, data + from, length);
	return fuzz_splice(data, size, capacity, to, 0, bytes, length);
}

static size_t
drop_records(uint8_t *data, size_t size, size_t capacity, uint64_t *random)
{
	size_t at = random_record(size, random);
	size_t length = FUZZ_RECORD * (1 + fuzz_below(random, 4));

	if (at >= size)
		return size;
	if (length > size - at)
		length = size - at;
	return length == size ? size : fuzz_splice(data, size, capacity, at, length, NULL, 0);
}

size_t
fuzz_mutate(uint8_t *data, size_t size, size_t capacity, uint64_t *random)
{
	if (size == 0)
	{
		data[0] = 0;
		return 1;
	}
	for (size_t rounds = 1 + fuzz_below(random, 4); rounds > 0; rounds--)
	{
		switch (fuzz_below(random, 8))
		{
			case 0:
				size = drop_records(data, size, capacity, random);
				break;
			case 1:
				size = copy_records(data, size, capacity, random);
				break;
			case 2:
			case 3:
				size = insert_record(data, size, capacity, random);
				break;
			default:
				size = change_byte(data, size, random);
		}
	}
	return size;
}
