/*
 * plan_json.c
 *		See plan_json.h.
 */
#include "plan_json.h"

void
plan_json_items(JsonWriter *json)
{
	InjectItemInfo item;

	json_array(json, "items");
	for (int i = 0; inject_item_at(i, &item); i++)
	{
		json_object(json, NULL);
		json_string(json, "text", item.text);
		json_uint(json, "hits", item.hits);
		json_uint(json, "fires", item.fires);
		json_uint(json, "skips", item.skips);
		json_object_end(json);
	}
	json_array_end(json);
}

void
plan_json_proc(JsonWriter *json, const InjectProcInfo *proc)
{
	json_object(json, NULL);
	json_int(json, "pid", proc->pid);
	json_string(json, "program", proc->program);
	json_string(json, "role", proc->role);
	json_int(json, "ordinal", proc->ordinal);
	json_bool(json, "live", proc->live);
	json_uint(json, "hits", proc->hits);
	json_uint(json, "fires", proc->fires);
	json_string(json, "last_point", proc->last_point);
}
