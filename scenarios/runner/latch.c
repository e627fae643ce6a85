/*
 * latch.c
 *		See latch.h.
 */
#include "runner/latch.h"

#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runner/clock.h"

void
latch_add(Latch *latch)
{
	/* release: pairs [LA1] with the acquire in latch_read() */
	__atomic_fetch_add(&latch->count, 1, __ATOMIC_RELEASE);
	(void) syscall(SYS_futex, &latch->count, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

uint32_t
latch_read(const Latch *latch)
{
	return __atomic_load_n(&latch->count, __ATOMIC_ACQUIRE); /* [LA1] */
}

bool
latch_wait(Latch *latch, uint32_t count, uint64_t deadline_ns)
{
	for (;;)
	{
		uint32_t seen = latch_read(latch);
		int left = clock_ms_until(deadline_ns);
		struct timespec timeout = {.tv_sec = left / 1000, .tv_nsec = (left % 1000) * 1000000L};

		if (seen >= count)
			return true;
		if (left == 0)
			return false;
		(void) syscall(SYS_futex, &latch->count, FUTEX_WAIT, seen, &timeout, NULL, 0);
	}
}
