# holdfast step: every instruction listed, every state killed in, two engines that agree, tokens.
load helper

@test "an acquire: every instruction with its outcome, no failure" {
	run -0 --separate-stderr "$HOLDFAST" step lwlock-acquire-exclusive --json
	jq -e '.schema_version == 1 and .failures == 0 and .instructions > 20 and .kills == .states' <<<"$output"
	jq -e '.subjects[0] | (.instruction | map(.times // 1) | add) == .instructions' <<<"$output"
	jq -e 'all(.subjects[0].instruction[]; .outcome == "killed and recovered")' <<<"$output"
	jq -e 'any(.subjects[0].instruction[]; .words_changed > 0)' <<<"$output"
	if [[ $(jq -r '.subjects[0].symbols' <<<"$output") == libdw ]]; then
		jq -e '.instructions_named == .instructions' <<<"$output"
		jq -e 'any(.subjects[0].instruction[]; .file == "lib/src/lwlock.c" and .words_changed > 0)' <<<"$output"
	fi
}

@test "every lock subject, a slot given back, the index: no failure, reports agree" {
	out=$BATS_TEST_TMPDIR
	run -0 "$HOLDFAST" step 'lwlock*' proc-kill shmem-init-struct --json "$out/json" --junit "$out/junit" --tap "$out/tap"
	count=$(jq '.subjects | length' "$out/json")
	[[ $count -ge 20 ]]
	jq -e '.failures == 0 and .findings == []' "$out/json"
	xmllint --noout "$out/junit"
	[[ $(xmllint --xpath 'count(//testcase)' "$out/junit") -eq $count && $(grep -c '^ok ' "$out/tap") -eq $count ]]
}

@test "a data directory: whoever dies over the lockfile, the next server starts" {
	run -0 "$HOLDFAST" step lockfile-append lockfile-unlink exit --quiet
	[[ $output == *" 0 failures"* ]]
}

@test "both engines see the same instructions of the library change the same" {
	local engine
	for engine in ptrace tf; do
		"$HOLDFAST" step lwlock-release-waking --no-kills --engine $engine --json "$BATS_TEST_TMPDIR/$engine"
		jq -c '[.subjects[0].instruction[] | select(.module | startswith("libholdfast")) | [.address, .words_changed]]' \
			"$BATS_TEST_TMPDIR/$engine" >"$BATS_TEST_TMPDIR/$engine.list"
	done
	[[ $(jq length "$BATS_TEST_TMPDIR/tf.list") -gt 50 ]]
	cmp "$BATS_TEST_TMPDIR/ptrace.list" "$BATS_TEST_TMPDIR/tf.list"
}

@test "a token kills at that instruction again" {
	run -0 "$HOLDFAST" replay step:subject=lwlock-release-waking,event=3,n=100
	[[ $output == *" 1 kills, 0 failures"* ]]
	run -0 "$HOLDFAST" replay step:subject=lwlock-acquire-shared,n=40
	[[ $output == *" 1 kills, 0 failures"* ]]
	run -2 "$HOLDFAST" replay step:subject=lwlock-acquire-shared
	run -2 "$HOLDFAST" replay step:subject=lwlock-acquire-shared,n=x
	run -4 "$HOLDFAST" replay step:subject=no-such,n=1
}

@test "shards are parts of the whole" {
	local i
	for i in 1 2; do
		run -0 "$HOLDFAST" step 'lwlock-c*' 'lwlock-release' 'lwlock-section' --no-kills --shard $i/2
		printf '%s\n' "$output" | awk '$1 == "ok" {print $2}'
	done >"$BATS_TEST_TMPDIR/parts"
	[[ $(sort "$BATS_TEST_TMPDIR/parts" | uniq -d | wc -l) -eq 0 && $(wc -l <"$BATS_TEST_TMPDIR/parts") -eq 4 ]]
}

@test "what is not there is said so" {
	run -4 --separate-stderr "$HOLDFAST" step lwlock-aquire-shared
	[[ $stderr == *'did you mean "lwlock-acquire-shared"'* ]]
	run -2 "$HOLDFAST" step --engine abacus
	run -0 "$HOLDFAST" step --list
	[[ $output == *recover-shared* ]]
}

@test "the rates, beside bare steps" {
	run -0 --separate-stderr "$HOLDFAST" step --bench --json
	jq -e '.schema_version == 1 and all(.engines[]; .instructions_per_second > 0 and .ratio > 0.1)' <<<"$output"
}
