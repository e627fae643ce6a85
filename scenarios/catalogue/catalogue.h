/*
 * catalogue.h
 *		Every scenario, one line each.
 */
#ifndef HOLDFAST_CATALOGUE_CATALOGUE_H
#define HOLDFAST_CATALOGUE_CATALOGUE_H

#include "runner/scenario.h"

extern const Scenario scenario_a10_serve_start;
extern const Scenario scenario_a20_serve_stop;
extern const Scenario scenario_a30_lockfile_recheck;
extern const Scenario scenario_c10_kill_mid_lock;
extern const Scenario scenario_c20_kill_in_cluster;
extern const Scenario scenario_c25_reset;
extern const Scenario scenario_c28_stopped_mid_lock;
extern const Scenario scenario_c30_kill_supervisor;
extern const Scenario scenario_c35_kill_twice;
extern const Scenario scenario_c40_shm_errno;
extern const Scenario scenario_c45_file_errno;
extern const Scenario scenario_c50_orphan;
extern const Scenario scenario_c60_bad_lockfile;
extern const Scenario scenario_c70_taken_key;
extern const Scenario scenario_c71_ipcrm;
extern const Scenario scenario_c72_lockfile_swapped;
extern const Scenario scenario_c73_pid_reuse;
extern const Scenario scenario_c74_half_made;
extern const Scenario scenario_c75_disk_full;
extern const Scenario scenario_c76_two_namespaces;
extern const Scenario scenario_c77_removeipc;
extern const Scenario scenario_c78_stopped_holder;
extern const Scenario scenario_c79_nobody_left;
extern const Scenario scenario_c80_shm_story;
extern const Scenario scenario_p10_postgresql_holes;
extern const Scenario scenario_r10_lied_about_death;
extern const Scenario scenario_x40_collision;
extern const Scenario scenario_x50_two_starters;
extern const Scenario scenario_x70_recycled;
extern const Scenario scenario_x80_futex;

#endif
