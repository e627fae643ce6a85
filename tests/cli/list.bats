# holdfast list: scenarios and points.
load helper

@test "scenarios: text and json agree" {
	run -0 --separate-stderr "$HOLDFAST" list scenarios --json
	jq -e '.schema_version == 1 and (.scenarios | length >= 10)' <<<"$output"
	ids=$(jq -r '.scenarios[].id' <<<"$output")
	run -0 "$HOLDFAST" list
	[[ $(awk '{ print $1 }' <<<"$output") == "$ids" ]]
}

@test "at least sixty cases, names unique" {
	cases=$("$HOLDFAST" list --json | jq -r '.scenarios[] | .id + "/" + .cases[].name')
	[[ $(wc -l <<<"$cases") -ge 60 ]]
	[[ -z $(sort <<<"$cases" | uniq -d) ]]
}

@test "every point has a place in the source and says what a corpse leaves" {
	run -0 --separate-stderr "$HOLDFAST" list points --json
	jq -e '.schema_version == 1 and (.points | length >= 30)' <<<"$output"
	jq -e 'all(.points[]; (.name | test("^[a-z0-9_-]+(/[a-z0-9_-]+)+$")) and (.actions | length > 0))' <<<"$output"
	jq -e 'all(.points[] | select(.file != ""); .line > 0 and .corpse != "" and (.file | startswith("/") | not))' <<<"$output"
}

@test "the shm calls list documented errnos only" {
	run -0 --separate-stderr "$HOLDFAST" list points --json
	jq -e '.points[] | select(.name == "sysv/shm/shmget") | .errnos
		| sort == ["EACCES","EEXIST","EINVAL","ENFILE","ENOENT","ENOMEM","ENOSPC","EPERM"]' <<<"$output"
}

@test "mutants: as many as there are patches, each with a reason and a hunter" {
	run -0 --separate-stderr "$HOLDFAST" list mutants --json
	patches=("$BATS_TEST_DIRNAME"/../mutants/*.patch)
	jq -e --argjson n ${#patches[@]} '.schema_version == 1 and (.mutants | length) == $n' <<<"$output"
	jq -e 'all(.mutants[]; (.why | length > 10) and (.caught_by | test("^[a-z]+ .")))' <<<"$output"
}

@test "anything else is refused with what there is" {
	run -2 "$HOLDFAST" list nonsense
	[[ $output == *scenarios*points*mutants* ]]
}

@test "list holes: what PostgreSQL lets through, what comes of it here, who shows it; the manual has the same table" {
	run -0 "$HOLDFAST" list holes
	[[ ${#lines[@]} -gt 20 ]]
	manual=$(sed -n '/^<!-- holes -->$/,/^<!-- end -->$/p' "$BATS_TEST_DIRNAME/../../docs/scenarios.md" | sed '1d;$d')
	[[ $manual == "$output" ]]
	run -0 --separate-stderr "$HOLDFAST" list holes --json
	jq -e '.schema_version == 1 and ([.holes[].hole] | unique | length) >= 19' <<<"$output"
	run -0 --separate-stderr "$HOLDFAST" list scenarios --json
	jq -e 'any(.scenarios[]; .id == "c70-taken-key" and any(.holes[]; .hole == "d2"))' <<<"$output"
}

@test "points: name, place, function, context, actions, errnos, argument and corpse of each" {
	run -0 "$HOLDFAST" list points --json
	jq -e '[.points[] | select((.name | test("^[a-z0-9_/-]+$") | not) or .file == "" or .line <= 0 or .corpse == ""
		or (.actions | index("kill") | not) or (has("no_malloc") and has("no_sleep") and has("arg") and has("function") | not))]
		== []' <<<"$output"
	jq -e '.points[] | select(.name == "lwlock/acquire/post-cas") | .no_sleep and .function != ""
		and (.actions | index("sleep") | not) and (.actions | index("throw") | not)' <<<"$output"
	jq -e '.points[] | select(.name == "sysv/shm/shmget") | .arg == "size" and (.errnos | index("ENOSPC") != null)
		and (.actions | index("errno") != null)' <<<"$output"
}

@test "docs/syscalls.md has every call with its errnos, and no other" {
	"$HOLDFAST" list points --json | jq -r '.points[] | select(.errnos | length > 0) | [
			"`" + .name + "`", .arg,
			(.actions | map(select(IN("short", "skip", "corrupt", "torn", "jump"))) | join(" ")),
			(.errnos | join(" "))] | "| " + join(" | ") + " |"' >"$BATS_TEST_TMPDIR/calls"
	sed -n '/^## The calls/,$p' "$BATS_TEST_DIRNAME/../../docs/syscalls.md" | grep '^| `' | diff "$BATS_TEST_TMPDIR/calls" -
}
