/*
 * inject_point.h
 *		The places in the library where a fault can be made to happen.
 *
 * In the production build INJECT_POINT() is nothing: no symbol, no instruction, no string.  Built with
 * HOLDFAST_INJECT each use registers one HoldfastInjectPoint in the ELF section "holdfast_points" and, at
 * run time, costs one relaxed load while nothing is armed.  The library only declares the function that
 * is called when a point is armed; whoever links holdfast_injected supplies it (inject/point/).  So the
 * arrow inject -> lib stays the only one.
 *
 *		INJECT_POINT("lwlock/acquire/post-cas", INJECT_ANYWHERE,
 *					 "lock owned by the corpse, slot entry says HELD; recover.c takes it back");
 *
 * The third argument is the contract of the place: what a process that dies there leaves behind and who
 * mends it.  `holdfast list points` prints it, and a scenario exists for each.
 *
 * Names are room/op/site, [a-z0-9_-] and '/', at most 63 characters.
 */
#ifndef HOLDFAST_INJECT_POINT_H
#define HOLDFAST_INJECT_POINT_H

/* What the place forbids an action to do, or-able. */
typedef enum HoldfastInjectContext
{
	INJECT_ANYWHERE = 0,
	INJECT_NO_MALLOC = 1 << 0, /* no malloc, no stdio: signal handler or child of a threaded parent */
	INJECT_NO_SLEEP = 1 << 1,  /* others spin on us: sleep and pause are refused unless forced */
	INJECT_STEP_FOLLOWS = 1 << 2, /* skip is possible: INJECT_STEP() sets it */
} HoldfastInjectContext;

typedef struct HoldfastInjectPoint
{
	const char *name;
	const char *file;
	int line;
	int context;		/* HoldfastInjectContext */
	const char *corpse; /* what a death here leaves, and who mends it */
	const char *function; /* it is written in, for in=FUNC; NULL: a call, whose caller is meant */
	/*
	 * Non-zero when a plan may match here.  Points into the control table, which all processes share, so
	 * that one arm reaches every process; at holdfast_inject_disarmed until a table is mapped.
	 */
	const unsigned char *armed;
} HoldfastInjectPoint;

#ifdef HOLDFAST_INJECT

/* Supplied by inject/point; may kill, stop, delay or park the caller, and returns otherwise. */
extern void holdfast_inject_hit(HoldfastInjectPoint *point);
extern int holdfast_inject_step(HoldfastInjectPoint *point); /* 0: leave the step out */
extern const unsigned char holdfast_inject_disarmed; /* for ever 0 */

/*
 * The section holds pointers, not the structs: the compiler may align a struct as it likes, and gaps would
 * break the walk from __start_holdfast_points to __stop_holdfast_points.
 */
#define INJECT_SITE_(name_, context_, corpse_)                                                     \
		static HoldfastInjectPoint inject_point_ = {                                               \
			.name = (name_),                                                                       \
			.file = __FILE__,                                                                      \
			.line = __LINE__,                                                                      \
			.context = (context_),                                                                 \
			.corpse = (corpse_),                                                                   \
			.function = __func__,                                                                  \
			.armed = &holdfast_inject_disarmed,                                                    \
		};                                                                                         \
		static HoldfastInjectPoint *const inject_entry_                                            \
			__attribute__((section("holdfast_points"), used)) = &inject_point_;

#define INJECT_POINT(name_, context_, corpse_)                                                     \
	do                                                                                             \
	{                                                                                              \
		INJECT_SITE_(name_, context_, corpse_)                                                     \
		if (__builtin_expect(__atomic_load_n(inject_point_.armed, __ATOMIC_RELAXED), 0))           \
			holdfast_inject_hit(&inject_point_);                                                   \
	} while (0)

/*
 * if (INJECT_STEP("room/op/step", ...)) step();		a point before a step that a plan may leave out: skip
 */
#define INJECT_STEP(name_, context_, corpse_)                                                      \
	__extension__({                                                                                \
		INJECT_SITE_(name_, (context_) | INJECT_STEP_FOLLOWS, corpse_)                             \
		!__builtin_expect(__atomic_load_n(inject_point_.armed, __ATOMIC_RELAXED), 0) ||            \
			holdfast_inject_step(&inject_point_) != 0;                                             \
	})

#else

#define INJECT_POINT(name_, context_, corpse_) ((void) 0)
#define INJECT_STEP(name_, context_, corpse_)  1

#endif
#endif
