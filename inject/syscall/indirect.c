/*
 * indirect.c
 *		syscall(): the same points for those who ask the kernel by number, and the futex operations.
 *
 * A number that calls.def knows goes to the wrapper of its name.  Futexes have no other name.  Everything
 * else passes untouched.
 *
 * Thread, signal safety: that of the call; no malloc, no locks.
 */
#include <linux/futex.h>

#include "call.h"

/* Our wrappers take and give registers, as the kernel does: nothing is converted but the width. */
typedef long Words[6];

typedef void (*AnyFunction)(void);

/* Compilers refuse to call what they see to be of another type; the machine does not care. */
static inline AnyFunction
unseen(AnyFunction function)
{
	__asm__("" : "+r"(function));
	return function;
}

#define AS(result_, name_)                                                                         \
	((result_(*)(long, long, long, long, long, long)) unseen((AnyFunction) WRAPPER(name_)))(       \
		word[0], word[1], word[2], word[3], word[4], word[5])

static long
from_number(int number)
{
	if (number == 0)
		return 0;
	errno = number;
	return -1;
}

#define RESULT_MINUS_ONE(call_) ((long) (call_))
#define RESULT_NUMBER(call_)    from_number(call_)

/* False when no wrapper has that number. */
static bool
by_name(long number, const Words word, long *result)
{
#define CALL(how_, result_, name_, parameters_, arguments_, room_, failure_, ...)                  \
	CASE(result_, name_, failure_, __VA_ARGS__)
#define CASE(...) CASE_(__VA_ARGS__)
#define CASE_(result_, name_, failure_, at_, arg_, means_, post_arg_, post_means_, actions_,       \
			  before_, after_, number_, ...)                                                       \
	if ((number_) != NO_NUMBER && number == (number_))                                             \
	{                                                                                              \
		*result = RESULT_##failure_(AS(result_, name_));                                           \
		return true;                                                                               \
	}
#define LONE_POINT(...)
#include "calls.def"
	return false;
}

/* The point of a futex operation; NULL for those that only threads of one process use. */
static HoldfastInjectPoint *
futex_point(long operation)
{
	switch (operation & FUTEX_CMD_MASK)
	{
		case FUTEX_WAIT:
		case FUTEX_WAIT_BITSET:
			return &BEFORE(futex_wait);
		case FUTEX_WAKE:
		case FUTEX_WAKE_BITSET:
			return &BEFORE(futex_wake);
		case FUTEX_REQUEUE:
		case FUTEX_CMP_REQUEUE:
			return &BEFORE(futex_requeue);
		default:
			return NULL;
	}
}

static long
futex(const Words word)
{
	HoldfastInjectPoint *point = futex_point(word[1]);
	long result;

	if (point != NULL)
	{
		InjectArrival before = call_pass(point, true, (int32_t) word[2]);

		if (call_is_replaced(&before, 0, &result))
			return result;
	}
	return REAL(syscall)(SYS_futex, word[0], word[1], word[2], word[3], word[4], word[5]);
}

long
WRAPPER(syscall)(long number, ...)
{
	Words word;
	long result;

	KERNEL_WORDS(word, number);
	if (number == SYS_futex)
		return futex(word);
	if (by_name(number, word, &result))
		return result;
	return REAL(syscall)(number, word[0], word[1], word[2], word[3], word[4], word[5]);
}
