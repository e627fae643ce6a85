/*
 * errno_table.c
 *		What can be done to a call: calls.def as a table.
 *
 * One table for checking plans, for listing points, for the carriers that stand in the kernel's way, and for
 * what libfiu's users get when they name no errno (the first of each list, the likeliest failure).
 *
 * Constant data; safe anywhere.
 */
#include "errno_table.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "inject/inject.h"
#include "kernel.h"

#define LIST(...) ((const int[]){__VA_ARGS__, 0})

#define POST_ACTIONS_GENERATED 0
#define POST_ACTIONS_OWN       0
#define POST_ACTIONS_ATTACHES  INJECT_CAN_CORRUPT

#define CALL(how_, result_, name_, parameters_, arguments_, room_, failure_, ...)                  \
	SPECS(how_, #name_, room_, __VA_ARGS__)
#define SPECS(...) SPECS_(__VA_ARGS__)
#define SPECS_(how_, name_, room_, at_, arg_, means_, post_arg_, post_means_, actions_, before_,   \
			   after_, number_, also_, ...)                                                        \
	{room_ "/" name_,                                                                              \
	 LIST(__VA_ARGS__),                                                                            \
	 (actions_) | ((at_) >= 0 ? INJECT_HAS_ARG : 0),                                               \
	 means_,                                                                                       \
	 name_,                                                                                        \
	 at_,                                                                                          \
	 number_,                                                                                      \
	 also_},                                                                                       \
		{room_ "/post-" name_,                                                                     \
		 NULL,                                                                                     \
		 POST_ACTIONS_##how_ | (sizeof(post_means_) > 1 ? INJECT_HAS_ARG : 0),                     \
		 post_means_,                                                                              \
		 NULL,                                                                                     \
		 -1,                                                                                       \
		 NO_NUMBER,                                                                                \
		 NO_NUMBER},
#define LONE_POINT(id_, point_, at_, means_, actions_, before_, number_, ...)                      \
	{                                                                                              \
		point_,                                                                                    \
		LIST(__VA_ARGS__),                                                                         \
		(actions_) | ((at_) >= 0 ? INJECT_HAS_ARG : 0),                                            \
		means_,                                                                                    \
		#id_,                                                                                      \
		at_,                                                                                       \
		number_,                                                                                   \
		NO_NUMBER},

static const InjectCallSpec specs[] = {
#include "calls.def"
};

const InjectCallSpec *
inject_call_spec_at(int index)
{
	if (index < 0 || (size_t) index >= sizeof(specs) / sizeof(specs[0]))
		return NULL;
	return &specs[index];
}

const InjectCallSpec *
inject_call_spec(const char *point)
{
	const InjectCallSpec *spec;

	for (int i = 0; (spec = inject_call_spec_at(i)) != NULL; i++)
		if (strcmp(spec->point, point) == 0)
			return spec;
	return NULL;
}
