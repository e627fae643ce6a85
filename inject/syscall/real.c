/*
 * real.c
 *		In holdfast_preload.so: the functions that ours stand in front of.
 *
 * The pointers are good from the first instruction: they start at the bare system calls, for constructors
 * of other libraries that run before ours, and move to the next definition in the search order, which may
 * be the C library's or another preloaded library's, once ours has run.  So no wrapper ever resolves
 * anything itself, in whatever signal handler it is called.  Only what the kernel does not have in that
 * shape (a bare fork would skip the handlers of others) is looked up when it is called that early.
 *
 * __wrap_open() and its like are what the layer's own calls are linked to: past our wrappers.
 *
 * Owner: the pointers, written once, by the constructor, before threads start.
 */
#include "real.h"

#include <dlfcn.h>
#include <errno.h>

/* As syscall() does. */
static long
ask_kernel(long number, ...)
{
	long argument[6];
	long result;

	KERNEL_WORDS(argument, number);
	result = kernel_call(number, argument);
	if (result >= 0 || result < -4095)
		return result;
	errno = (int) -result;
	return -1;
}

/* Those that return their errno leave the variable alone. */
static long
number_of(long failed, int saved_errno)
{
	int number = failed != 0 ? errno : 0;

	errno = saved_errno;
	return number;
}

#define ANSWER_MINUS_ONE(call_) (call_)
#define ANSWER_NUMBER(call_)    number_of(call_, saved_errno)

#define UNPACK(...)       __VA_ARGS__
#define ASK(number_, ...) ask_kernel(number_, __VA_ARGS__ __VA_OPT__(, ) 0L, 0L, 0L, 0L, 0L, 0L)

#define CALL(how_, result_, name_, parameters_, arguments_, room_, failure_, ...)                  \
	RAW(result_, name_, parameters_, arguments_, failure_, __VA_ARGS__)
#define RAW(...) RAW_(__VA_ARGS__)
#define RAW_(result_, name_, parameters_, arguments_, failure_, at_, arg_, means_, post_arg_,      \
			 post_means_, actions_, before_, after_, number_, ...)                                 \
	result_ __wrap_##name_ parameters_;                                                            \
	result_ __wrap_##name_ parameters_                                                             \
	{                                                                                              \
		return real_##name_ arguments_;                                                            \
	}                                                                                              \
	static result_ raw_##name_ parameters_                                                         \
	{                                                                                              \
		int saved_errno __attribute__((unused)) = errno;                                           \
                                                                                                   \
		if ((number_) != NO_NUMBER)                                                                \
			return (result_) ANSWER_##failure_(ASK_(number_, UNPACK arguments_));                  \
		real_resolve();                                                                            \
		return real_##name_ arguments_;                                                            \
	}                                                                                              \
	__typeof__(name_) *real_##name_ = (__typeof__(name_) *) (void (*)(void)) raw_##name_;
#define ASK_(...) ASK(__VA_ARGS__)
#define LONE_POINT(...)
#include "calls.def"

static pid_t
raw_vfork(void)
{
	return real_fork();
}

__typeof__(vfork) *real_vfork = raw_vfork;
__typeof__(syscall) *real_syscall = ask_kernel;

/* What the layer asks by number. */
long __wrap_syscall(long number, ...);
long
__wrap_syscall(long number, ...)
{
	long argument[6];

	KERNEL_WORDS(argument, number);
	return ask_kernel(number, argument[0], argument[1], argument[2], argument[3], argument[4],
					  argument[5]);
}

#define RESOLVE(name_)                                                                             \
	{                                                                                              \
		void *next = dlsym(RTLD_NEXT, #name_);                                                     \
		if (next != NULL)                                                                          \
			real_##name_ = (__typeof__(name_) *) next;                                             \
	}

void
real_resolve(void)
{
#define CALL(how_, result_, name_, ...) RESOLVE(name_)
#define LONE_POINT(...)
#include "calls.def"
	RESOLVE(vfork)
	RESOLVE(syscall)
}
