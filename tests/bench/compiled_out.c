/*
 * compiled_out.c
 *		A point as the production build sees it: for inject.c to measure.
 */
#undef HOLDFAST_INJECT
#include "inject_point.h"

void bench_compiled_out(int calls);

void
bench_compiled_out(int calls)
{
	for (int i = 0; i < calls; i++)
	{
		INJECT_POINT("bench/inject/compiled-out", INJECT_ANYWHERE, "nothing");
		__asm__ volatile("" ::: "memory");
	}
}
