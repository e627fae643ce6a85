# holdfast gate: one verdict over all campaigns, never a false green; the reports that a CI reads.
load helper

setup()
{
	run "$HOLDFAST" merge /dev/null
	[[ $status -ne 3 ]] || skip "built without jansson"
	data=$BATS_TEST_TMPDIR/data
	pids=()
	mkfifo "$BATS_TEST_TMPDIR/never"
	exec {never}<>"$BATS_TEST_TMPDIR/never"
	export TMPDIR=$BATS_TEST_TMPDIR/tmp
	mkdir "$TMPDIR"
	cd "$BATS_TEST_TMPDIR"
}

nothing_left()
{
	[[ -z $(ls -A "$TMPDIR") ]] || { ls -A "$TMPDIR"; return 1; }
}

# SARIF 2.1.0: what the format demands of a result, and code scanning on top of it.
sarif_is_valid()
{
	jq -e '.version == "2.1.0" and (.runs | length == 1) and (.runs[0] |
		.tool.driver.name == "holdfast" and ([.tool.driver.rules[].id] as $rules |
		.results | all(.[]; (.ruleId | IN($rules[])) and (.message.text | length > 0) and (.level | IN("error", "warning", "note"))
			and (.locations | length == 1)
			and (.locations[0].physicalLocation | .artifactLocation.uri | test("^[a-z]+/"))
			and (.partialFingerprints | length == 1))))' "$1" >/dev/null
}

@test "green: a table, a verdict, five reports that agree" {
	run -0 --separate-stderr "$HOLDFAST" gate --budget 60s --filter fuzz,step/lwlock-acquire-exclusive,a20-serve-stop \
		--json json --junit junit --tap tap --sarif sarif --html html
	[[ $output == *$'\n''ok        step '* && ${lines[-1]} == "good: "* ]]
	count=$(jq '.results.cases | length' json)
	[[ $count -gt 15 ]]
	jq -e '.schema_version == 1 and .command == "gate" and .exit_code == 0 and .outcome == "good"
		and ([.parts[] | select(.state == "ran") | .part] == ["fuzz", "step", "run"])
		and ([.parts[].cases] | add) == (.results.cases | length)' json
	xmllint --noout junit
	[[ $(xmllint --xpath 'count(//testcase)' junit) -eq $count && $(grep -c '^ok ' tap) -eq $count ]]
	sarif_is_valid sarif
	jq -e '.runs[0].results == [] and .runs[0].invocations[0].executionSuccessful' sarif
	grep -q '<span class="good">good</span>' html
	run -0 "$HOLDFAST" report json --html again
	cmp html again
	nothing_left
}

@test "a deliberate bug: exit 1, in every report with its replay line; known afterwards; then gone" {
	run -1 "$HOLDFAST" gate explore --mutant 15-no-second-try --write-baseline known.json \
		--sarif sarif --html html --junit junit --tap tap
	[[ $output == *'replay: holdfast replay explore:'* ]]
	sarif_is_valid sarif
	jq -e '(.runs[0].results | length > 0) and all(.runs[0].results[]; (.message.text | contains("replay: holdfast replay explore:"))
		and .locations[0].physicalLocation.artifactLocation.uri == "lib/src/lwlock_wait.c"
		and .locations[0].physicalLocation.region.startLine > 1)' sarif
	grep -q '<code>holdfast replay explore:' html
	[[ $(xmllint --xpath 'count(//failure[contains(., "replay: holdfast replay explore:")])' junit) -gt 0 ]]
	grep -q '^# replay: holdfast replay explore:' tap
	jq -e '.schema_version == 1 and all(.known[]; .kind == "explore" and (.signature | length > 0))' known.json

	run -0 "$HOLDFAST" gate explore --mutant 15-no-second-try --baseline known.json --junit junit --sarif sarif
	[[ $output == *'known explore: '* ]]
	[[ $(xmllint --xpath 'count(//failure) + count(//error)' junit) -eq 0 ]]
	jq -e '.runs[0].results | length > 0 and all(.[]; .suppressions | length == 1)' sarif

	run -0 "$HOLDFAST" gate explore --baseline known.json --write-baseline left.json
	[[ $output == *'fixed    explore: '* ]]
	jq -e '.known == []' left.json
	run -1 "$HOLDFAST" gate explore --baseline known.json --strict-baseline
	nothing_left
}

@test "a fault that is armed and never fires is a finding, with the plan in its replay line" {
	run -1 "$HOLDFAST" gate --plan 'sysv/shm/shmget=#100000 errno(ENOSPC)' a10-serve-start/repair:1-workers --write-baseline known.json
	[[ $output == *"replay: holdfast replay --plan 'sysv/shm/shmget=#100000 errno(ENOSPC)' a10-serve-start/"* ]]
	# Another seed, another time: the same finding.
	run -0 "$HOLDFAST" gate --plan 'sysv/shm/shmget=#100000 errno(ENOSPC)' a10-serve-start/repair:1-workers --baseline known.json --seed 4711
	[[ $output == *'known run.a10-serve-start: '* ]]
}

@test "an empty selection is exit 4, also beside one that is not" {
	run -4 "$HOLDFAST" gate no-such-scenario
	[[ $output == *'no scenario matches "no-such-scenario"'* ]]
	run -4 "$HOLDFAST" gate fuzz step/no-such-subject
	run -2 "$HOLDFAST" gate --filter ''
	run -2 "$HOLDFAST" gate explore/anything
	run -2 "$HOLDFAST" gate fuzz --mutant 15-no-second-try
	run -2 "$HOLDFAST" gate fuzz --plan 'sysv/shm/shmget=#1 kill'
	run -2 "$HOLDFAST" gate a10-serve-start --plan 'sysv/shm/shmget=#1 errno(EBOGUS)'
	[[ $output == *'"EBOGUS" is no errno'* ]]
	run -2 "$HOLDFAST" gate fuzz --baseline no-such-file
	nothing_left
}

part_of_gate()
{
	part=$(pgrep -P "$gate" -f ' storm ')
}

@test "a part that is killed in the middle is never green" {
	"$HOLDFAST" gate storm --json json --junit junit >out 2>&1 3>&- &
	gate=$!
	pids+=("$gate")
	wait_until 20 part_of_gate
	part_of_gate
	kill -KILL "$part"
	code=0
	wait "$gate" || code=$?
	[[ $code -eq 1 ]]
	grep -q '^BROKEN    storm .*ended by signal 9' out
	jq -e '.exit_code == 1 and .parts[-1].state == "broken"' json
	[[ $(xmllint --xpath 'count(//error)' junit) -eq 1 ]]
	# What the storm had made stays, as it would without a gate; the gate's own does not.
	[[ -z $(compgen -G "$TMPDIR/holdfast-gate.*") ]]
}

@test "interrupted: exit 130, what there is is written, and nothing is left" {
	"$HOLDFAST" gate fuzz storm --json json >out 2>&1 3>&- &
	gate=$!
	pids+=("$gate")
	wait_until 20 part_of_gate
	kill -TERM "$gate"
	code=0
	wait "$gate" || code=$?
	[[ $code -eq 130 ]]
	jq -e '.exit_code == 130 and .outcome == "interrupted" and .parts[1].state == "ran"' json
	nothing_left
	[[ -z $(pgrep -P "$gate") ]]
}

@test "no time: incomplete, and said; --allow-incomplete is no licence for nothing at all" {
	run -5 "$HOLDFAST" gate --budget 2s fuzz step c10-kill-mid-lock
	[[ $output == *'cut'* && $output == *'not run'* ]]
	run -0 "$HOLDFAST" gate --budget 2s fuzz step --allow-incomplete
	run -5 "$HOLDFAST" gate --budget 100ms step --allow-incomplete
}

@test "an unfit machine is said, and is not green" {
	# Without the program that steps, there is nothing to step with.
	mkdir -p elsewhere
	cp "$HOLDFAST" elsewhere/holdfast
	run -3 elsewhere/holdfast gate step
	[[ $output == *'unfit '* && $output == *'there is no holdfast-step beside this program'* ]]
	run -0 elsewhere/holdfast gate step a20-serve-stop --allow-unfit
	run -3 elsewhere/holdfast gate step --allow-unfit
	run -3 elsewhere/holdfast gate step a20-serve-stop
}

@test "shards: each part of the work once" {
	for i in 1 2 3; do
		"$HOLDFAST" gate fuzz powerloss a20-serve-stop --seed 1 --shard $i/3 --json $i.json >/dev/null || [[ $? -eq 4 ]]
		jq -r '.results.cases[] | .scenario + "/" + .case' $i.json
	done | sort >shards
	"$HOLDFAST" gate fuzz powerloss a20-serve-stop --seed 1 --json all.json >/dev/null
	jq -r '.results.cases[] | .scenario + "/" + .case' all.json | sort | diff - shards
}

@test "hostile bytes in a result are text in every report" {
	jq -n '{schema_version: 1, outcome: "findings", exit_code: 1, seed: 1, plan: "<b>&", summary: {selected: 1, run: 1, pass: 0,
		fail: 1, skip: 0, error: 0, flaky: 0, not_run: 0, milliseconds: 1}, cases: [{scenario: "<script>alert(1)</script>",
		case: "\u0000\u001b\"]]>&<img src=x onerror=y>" | ltrimstr("\u0000"), status: "fail", milliseconds: 1,
		message: "</title><script>\u0000\u0007", detail: "]]><!--", replay: "holdfast replay <x>"}]}' >hostile.json
	run -0 "$HOLDFAST" report hostile.json --html html --sarif sarif --junit junit --tap tap
	[[ $(grep -c '<script\|<img\|<b>' html) -eq 0 ]]
	xmllint --noout junit
	jq -e '.runs[0].results[0].ruleId == "<script>alert(1)</script>"' sarif
	grep -qx '1..1' tap
}

@test "in a GitHub workflow: annotations, and nothing that breaks out of them" {
	run -1 env GITHUB_ACTIONS=true "$HOLDFAST" gate --plan 'sysv/shm/shmget=#100000 errno(ENOSPC)' a10-serve-start/repair:1-workers
	[[ $(grep -c '^::error file=scenarios/catalogue/a10_serve_start.c,line=[0-9]*,title=run.a10-serve-start::' <<<"$output") -eq 1 ]]
	run -1 "$HOLDFAST" gate --plan 'sysv/shm/shmget=#100000 errno(ENOSPC)' a10-serve-start/repair:1-workers
	[[ $output != *'::error'* ]]
}
