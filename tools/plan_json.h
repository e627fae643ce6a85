/*
 * plan_json.h
 *		What the armed plan has done, as JSON, in the words that `exec` and `inject` share.
 */
#ifndef HOLDFAST_TOOLS_PLAN_JSON_H
#define HOLDFAST_TOOLS_PLAN_JSON_H

#include "inject/inject.h"
#include "results/json_writer.h"

/* "items": text, hits, fires and skips of each. */
void plan_json_items(JsonWriter *json);

/* The members of a process that both tell; its object stays open. */
void plan_json_proc(JsonWriter *json, const InjectProcInfo *proc);

#endif
