/*
 * suggest.c
 *		"Did you mean": the nearest of a list of names.
 *
 * Used for points, actions, errnos, filters, and by the command line for commands and options.
 * Pure functions on the caller's memory, no allocation, safe anywhere.
 */
#include "inject/inject.h"

#include <string.h>

#define WORD_MAX 63

static unsigned
smaller(unsigned left, unsigned right)
{
	return left < right ? left : right;
}

/*
 * Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours cost one each.
 * Three rows of the table are alive at a time; the swap looks two rows up.
 */
unsigned
inject_edit_distance(const char *left, const char *right)
{
	unsigned rows[3][WORD_MAX + 1];
	size_t left_length = strnlen(left, WORD_MAX);
	size_t right_length = strnlen(right, WORD_MAX);

	for (size_t j = 0; j <= right_length; j++)
		rows[0][j] = (unsigned) j;
	for (size_t i = 1; i <= left_length; i++)
	{
		unsigned *row = rows[i % 3];
		const unsigned *above = rows[(i + 2) % 3];
		const unsigned *two_above = rows[(i + 1) % 3];

		row[0] = (unsigned) i;
		for (size_t j = 1; j <= right_length; j++)
		{
			unsigned substituted = above[j - 1] + (left[i - 1] != right[j - 1]);

			row[j] = smaller(substituted, smaller(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1])
				row[j] = smaller(row[j], two_above[j - 2] + 1);
		}
	}
	return rows[left_length % 3][right_length];
}

const char *
inject_suggest(const char *word, const char *const *candidates, size_t count)
{
	unsigned limit = (unsigned) strnlen(word, WORD_MAX) / 3;
	unsigned best_distance;
	const char *best = NULL;

	if (limit == 0)
		limit = 1;
	best_distance = limit + 1;
	for (size_t i = 0; i < count; i++)
	{
		unsigned distance = inject_edit_distance(word, candidates[i]);

		if (distance < best_distance)
		{
			best_distance = distance;
			best = candidates[i];
		}
	}
	return best;
}
