/*
 * points.c
 *		The points of the wrapped calls: calls.def as entries of the section that all points are in.
 *
 * Static data; safe anywhere.
 */
#include "call.h"

#define POINT(variable_, name_, corpse_)                                                           \
	HoldfastInjectPoint variable_ = {                                                              \
		.name = (name_),                                                                           \
		.file = __FILE__,                                                                          \
		.line = __LINE__,                                                                          \
		.context = CALL_CONTEXT,                                                                   \
		.corpse = (corpse_),                                                                       \
		.armed = &holdfast_inject_disarmed,                                                        \
	};                                                                                             \
	static HoldfastInjectPoint *const variable_##_entry                                            \
		__attribute__((section("holdfast_points"), used)) = &variable_;

#define CALL(how_, result_, name_, parameters_, arguments_, room_, failure_, ...)                  \
	POINTS(BEFORE(name_), AFTER(name_), #name_, room_, __VA_ARGS__)
#define POINTS(...) POINTS_(__VA_ARGS__)
#define POINTS_(variable_, post_variable_, name_, room_, at_, arg_, means_, post_arg_,             \
				post_means_, actions_, before_, after_, ...)                                       \
	POINT_(variable_, room_ "/" name_, before_)                                                    \
	POINT_(post_variable_, room_ "/post-" name_, after_)
#define POINT_(...) POINT(__VA_ARGS__)
#define LONE_POINT(id_, point_, at_, means_, actions_, before_, ...)                               \
	POINT_(BEFORE(id_), point_, before_)

#include "calls.def"
