/*
 * table.c
 *		The catalogue, in order of id.
 */
#include "catalogue/catalogue.h"

/* One a line, so that two who add theirs do not meet. */
/* clang-format off */
const Scenario *const scenario_table[] = {
	&scenario_a10_serve_start,
	&scenario_a20_serve_stop,
	&scenario_a30_lockfile_recheck,
	&scenario_c10_kill_mid_lock,
	&scenario_c20_kill_in_cluster,
	&scenario_c25_reset,
	&scenario_c28_stopped_mid_lock,
	&scenario_c30_kill_supervisor,
	&scenario_c35_kill_twice,
	&scenario_c40_shm_errno,
	&scenario_c45_file_errno,
	&scenario_c50_orphan,
	&scenario_c60_bad_lockfile,
	&scenario_c70_taken_key,
	&scenario_c71_ipcrm,
	&scenario_c72_lockfile_swapped,
	&scenario_c73_pid_reuse,
	&scenario_c74_half_made,
	&scenario_c75_disk_full,
	&scenario_c76_two_namespaces,
	&scenario_c77_removeipc,
	&scenario_c78_stopped_holder,
	&scenario_c79_nobody_left,
	&scenario_c80_shm_story,
	&scenario_p10_postgresql_holes,
	&scenario_r10_lied_about_death,
	&scenario_x40_collision,
	&scenario_x50_two_starters,
	&scenario_x70_recycled,
	&scenario_x80_futex,
};
/* clang-format on */
const size_t scenario_count = sizeof(scenario_table) / sizeof(scenario_table[0]);
