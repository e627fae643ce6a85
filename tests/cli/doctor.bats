# holdfast doctor: what this machine can do.
load helper

@test "text: one verdict a line" {
	run "$HOLDFAST" doctor
	[[ $status -eq 0 || $status -eq 3 ]]
	for line in "${lines[@]}"; do
		[[ $line =~ ^(ok|warn|fix)\ + ]]
	done
	[[ ${#lines[@]} -ge 8 ]]
}

@test "json: the same verdicts, and a schema version" {
	text=$("$HOLDFAST" doctor | awk '{ print $1 }' || true)
	run --separate-stderr "$HOLDFAST" doctor --json
	jq -e '.schema_version == 1 and (.checks | length >= 8)' <<<"$output"
	[[ $(jq -r '.checks[].verdict' <<<"$output") == "$text" ]]
}

@test "exit 3 exactly when something must be fixed" {
	run --separate-stderr "$HOLDFAST" doctor --json
	if jq -e 'any(.checks[]; .verdict == "fix")' <<<"$output"; then
		[[ $status -eq 3 ]]
	else
		[[ $status -eq 0 ]]
	fi
}

@test "without namespaces it says so, names the remedy, and exits 3" {
	[[ $(id -u) -eq 0 ]] || skip "needs root to take rights away"
	# No capabilities, and no user namespace allowed in this one.
	run unshare --user --map-root-user -- bash -c '
		echo 0 >/proc/sys/user/max_user_namespaces &&
		exec setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all "$HOLDFAST" doctor'
	[[ $status -eq 3 && $output == *"fix  namespaces"*"max_user_namespaces"* ]]
}

@test "a missing program is a warning, not a failure" {
	mkdir "$BATS_TEST_TMPDIR/empty"
	run env PATH="$BATS_TEST_TMPDIR/empty" "$HOLDFAST" doctor
	[[ $output == *"warn valgrind"* && $status -ne 1 ]]
}

@test "an operand is refused" {
	run -2 "$HOLDFAST" doctor now
}

verdict_of()
{
	jq -r --arg name "$1" '.checks[] | select(.name == $name) | .verdict' <<<"$output"
}

@test "a compiler that is there and does not compile is no compiler" {
	mkdir "$BATS_TEST_TMPDIR/bin"
	printf '#!/bin/sh\nexit 1\n' >"$BATS_TEST_TMPDIR/bin/afl-gcc-fast"
	cp "$BATS_TEST_TMPDIR/bin/afl-gcc-fast" "$BATS_TEST_TMPDIR/bin/afl-clang-fast"
	chmod +x "$BATS_TEST_TMPDIR"/bin/*
	run --separate-stderr env PATH="$BATS_TEST_TMPDIR/bin:$PATH" "$HOLDFAST" doctor --json
	[[ $(verdict_of afl-gcc-fast) == warn && $(verdict_of AFL++) == warn && $status -ne 1 ]]
	printf '#!/bin/sh\nexit 0\n' >"$BATS_TEST_TMPDIR/bin/afl-gcc-fast"
	run --separate-stderr env PATH="$BATS_TEST_TMPDIR/bin:$PATH" "$HOLDFAST" doctor --json
	[[ $(verdict_of afl-gcc-fast) == ok ]]
}

@test "carriers and identities: each is tried, and said" {
	run --separate-stderr "$HOLDFAST" doctor --json
	local name
	for name in "seccomp notify" strace "PID reuse" ns_last_pid shm_next_id sem_next_id boot_id "time namespace" \
		"huge pages" PMU core_pattern libFuzzer; do
		[[ $(verdict_of "$name") =~ ^(ok|warn)$ ]] || { echo "$name: $(verdict_of "$name")"; return 1; }
	done
	# nothing that was tried is left
	[[ $(wc -l </proc/sysvipc/sem) -eq 1 && $(wc -l </proc/sysvipc/shm) -eq 1 ]]
}

@test "what needs rights says so where there are none" {
	[[ $(id -u) -eq 0 ]] || skip "needs root to take rights away"
	run unshare --user --map-root-user -- bash -c '
		echo 0 >/proc/sys/user/max_user_namespaces &&
		exec setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all "$HOLDFAST" doctor --json'
	[[ $(verdict_of shm_next_id) == warn && $(verdict_of boot_id) == warn && $(verdict_of "seccomp notify") == ok ]]
}
