/*
 * explore_bundle.h
 *		What a finding of `holdfast explore` leaves on disk: all that is known of it, a file each.
 */
#ifndef HOLDFAST_TOOLS_EXPLORE_BUNDLE_H
#define HOLDFAST_TOOLS_EXPLORE_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>

#include "explore_case.h"

/*
 * Makes PARENT/explore-ID with token, finding, schedule, stacks and environment; the ID is the token's, so the same finding
 * has the same place.  *path receives its name.  False: it could not be made, or not all of it.
 */
bool explore_leave_bundle(const char *parent, const ExploreCase *what, const ExploreReport *report,
						  const char *token, char *path, size_t size);

#endif
