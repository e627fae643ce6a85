# `holdfast bench`: what it measures, how it says it, and that nothing is left.
load helper

@test "figures come as JSON, with bounds and whether they were reached" {
	run --separate-stderr "$HOLDFAST" bench --filter start-up --rounds 1 --json
	[ "$status" -eq 0 ]
	jq -e '.schema_version == 2 and (.figures | length) >= 4' <<<"$output"
	jq -e '.figures[] | select(.name | test("orphan scan")) | has("at_most") and has("reached")' <<<"$output"
}

@test "figures come as a table and as a plot" {
	run --separate-stderr "$HOLDFAST" bench --filter attach --rounds 1 --svg "$BATS_TEST_TMPDIR/plot.svg"
	[ "$status" -eq 0 ]
	[[ $output == *"holdfast join + detach"* ]]
	xmllint --noout "$BATS_TEST_TMPDIR/plot.svg"
}

@test "pairs: ours and its peers in one run, as ratios" {
	run --separate-stderr "$HOLDFAST" bench --filter pair --rounds 1 --no-postgresql --json
	[ "$status" -eq 0 ]
	jq -e '[.figures[] | select(.unit == "ratio")] | length >= 4' <<<"$output"
}

@test "PostgreSQL's own lock is measured where PostgreSQL is" {
	[ -x /usr/lib/postgresql/15/bin/postgres ] && [ -e /usr/include/postgresql/15/server/storage/lwlock.h ] ||
		skip "no PostgreSQL 15 with server headers"
	[ -e "$(dirname "$HOLDFAST")/../lib/holdfast_bench_pg.so" ] || skip "built without it: a sanitizer"
	run --separate-stderr "$HOLDFAST" bench --filter pair --rounds 1 --peers --json
	[ "$status" -eq 0 ]
	jq -e '.figures[] | select(.name == "holdfast exclusive / PostgreSQL LWLock exclusive")' <<<"$output"
}

@test "a filter that selects nothing is refused" {
	run "$HOLDFAST" bench --filter nonsense
	[ "$status" -eq 4 ]
	[[ $output == *nonsense* ]]
}

@test "interrupted: 130, and nothing is left" {
	export TMPDIR=$BATS_TEST_TMPDIR/tmp
	mkdir "$TMPDIR"
	"$HOLDFAST" bench --filter "contention*" --no-postgresql >/dev/null 2>&1 3>&- &
	pid=$!
	until ls "$TMPDIR"/holdfast-bench-*/data/postmaster.pid >/dev/null 2>&1; do kill -0 $pid; done
	kill -INT $pid
	code=0
	wait $pid || code=$?
	[ "$code" -eq 130 ]
	[ -z "$(ls -A "$TMPDIR")" ]
}

@test "a point's cost: compiled out, disarmed, armed for others, beside fiu_fail" {
	run -0 --separate-stderr "$HOLDFAST" bench --filter inject --json
	jq -e '[.figures[] | select(.group == "inject" and .unit == "ns") | .name] as $names
		| all("production: compiled out", "disarmed", "armed, for another role", "fiu_fail, nothing enabled"; IN($names[]))' <<<"$output"
	jq -e 'any(.figures[]; .unit == "ratio" and (.name | startswith("fiu_fail")))' <<<"$output"
}

@test "isolation beside its floors: bare fork, bare namespaces" {
	run -0 --separate-stderr "$HOLDFAST" bench --filter runner --json
	jq -e '[.figures[] | select(.group == "runner" and .unit == "/s" and .value > 0)] | length == 5' <<<"$output"
	jq -e 'any(.figures[]; .name == "isolated cases / bare clone3")' <<<"$output"
}
