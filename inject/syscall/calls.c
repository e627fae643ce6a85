/*
 * calls.c
 *		The wrappers that are all alike: a point, the call, a point after it has succeeded.
 *
 * Before: errno(E) and return(V) replace the call, skip claims that it was made, kill leaves it undone.
 * After: kill leaves it done and unnoticed by its caller, which is how segments are orphaned.
 *
 * Thread, signal safety: that of the call; no malloc, no locks.  errno is the call's.
 */
#include "call.h"

#define REPLACED_MINUS_ONE(result_)                                                                \
	long replaced;                                                                                 \
	if (call_is_replaced(&before, 0, &replaced))                                                   \
		return (result_) replaced;
#define REPLACED_NUMBER(result_)                                                                   \
	int replaced;                                                                                  \
	if (call_is_numbered(&before, &replaced))                                                      \
		return replaced;

#define SUCCEEDED_MINUS_ONE(result_) (result != (result_) -1)
#define SUCCEEDED_NUMBER(result_)    (result == 0)

#define WRAP_GENERATED(result_, name_, parameters_, arguments_, failure_, ...)                     \
	WRAP(result_, name_, parameters_, arguments_, failure_, __VA_ARGS__)
#define WRAP(result_, name_, parameters_, arguments_, failure_, at_, arg_, means_, post_arg_,      \
			 post_means_, ...)                                                                     \
	result_ WRAPPER(name_) parameters_                                                             \
	{                                                                                              \
		InjectArrival before = call_pass(&BEFORE(name_), (at_) >= 0, (int64_t) (arg_));            \
		result_ result;                                                                            \
                                                                                                   \
		REPLACED_##failure_(result_);                                                              \
		result = REAL(name_) arguments_;                                                           \
		if (SUCCEEDED_##failure_(result_))                                                         \
			(void) call_pass(&AFTER(name_), sizeof(post_means_) > 1, (int64_t) (post_arg_));       \
		return result;                                                                             \
	}
#define WRAP_OWN(...)
#define WRAP_ATTACHES(...)

#define CALL(how_, result_, name_, parameters_, arguments_, room_, failure_, ...)                  \
	WRAP_##how_(result_, name_, parameters_, arguments_, failure_, __VA_ARGS__)
#define LONE_POINT(...)

#include "calls.def"

OTHER_NAME(mmap64, mmap)
OTHER_NAME(ftruncate64, ftruncate)
OTHER_NAME(fallocate64, fallocate)
OTHER_NAME(posix_fallocate64, posix_fallocate)
