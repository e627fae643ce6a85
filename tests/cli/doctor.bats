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
