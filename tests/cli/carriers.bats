# holdfast exec --via: the same plan by preload, seccomp and strace, on programs dynamic and static.
load helper

# The last lines of a report: what was reached and what fired, without pids.
counts()
{
	sed -n 's/.*reached \([0-9]*\), fired \([0-9]*\).*/\1 \2/p' <<<"$1"
}

# via CARRIER PLAN COMMAND...: the program's output in $output, its end in $status, the counts in $counted.
via()
{
	run --separate-stderr "$HOLDFAST" exec --via "$1" --plan "$2" -- "${@:3}"
	counted=$(counts "$stderr")
}

need()
{
	"$HOLDFAST" doctor --json | jq -e --arg name "$1" '.checks[] | select(.name == $name) | .verdict == "ok"' >/dev/null ||
		skip "no $1 here"
}

@test "seccomp: a static binary gets ENOSPC at its second shmget" {
	need "seccomp notify"
	[[ -x $VICTIM_STATIC ]] || skip "no static C library"
	run -0 --separate-stderr "$HOLDFAST" exec --via seccomp --plan 'sysv/shm/shmget=#2 errno(ENOSPC)' -- "$VICTIM_STATIC" shm 3
	[[ $output == $'ok\nENOSPC\nok' ]]
	[[ $stderr == *"reached 3, fired 1"* && $stderr == *"errno at sysv/shm/shmget, hit 2"* ]]
	# no preload reaches it: what was armed never fired
	run -1 --separate-stderr "$HOLDFAST" exec --plan 'sysv/shm/shmget=#2 errno(ENOSPC)' -- "$VICTIM_STATIC" shm 3
	[[ $stderr == *"is a static program; --via seccomp does"*"armed, never fired"* ]]
	run --separate-stderr "$HOLDFAST" exec --plan 'sysv/shm/shmget=off' -- "$VICTIM" shm 1
	[[ $status -eq 0 && $stderr != *static* ]]
}

@test "seccomp: every second fsync fails in each child of a static binary" {
	need "seccomp notify"
	[[ -x $VICTIM_STATIC ]] || skip "no static C library"
	cd "$BATS_TEST_TMPDIR"
	via seccomp 'file/fsync=#2../2 errno(EIO)[count=proc]' "$VICTIM_STATIC" children 3 5
	[[ $status -eq 0 && $counted == "15 6" ]]
	[[ $(sort <<<"$output" | uniq -c | tr -s ' ') == $' 6 EIO\n 9 ok' ]]
}

@test "the same plan, the same outcome, by preload, seccomp and strace" {
	need "seccomp notify"
	need "strace"
	cd "$BATS_TEST_TMPDIR"
	local plan
	while IFS='|' read -r plan command; do
		local first='' carrier
		for carrier in preload seccomp strace; do
			# shellcheck disable=SC2086 # the command is words
			via "$carrier" "$plan" "$VICTIM" $command
			local outcome="$status|$output|$counted"
			: "${first:=$outcome}"
			[[ $outcome == "$first" ]] || {
				echo "$plan: $carrier says $outcome, preload $first"
				return 1
			}
		done
		rm -f synced
		[[ -n $counted && $counted != *" 0" ]]
	done <<-'PLANS'
		sysv/shm/shmget=#2 errno(ENOSPC)[count=proc]|shm 3
		sysv/shm/shmget=2*errno(ENOMEM)[count=proc]|shm 4
		file/fsync=#2../2 errno(EIO)[count=proc]|children 2 5
		file/fsync=#2..3 errno(ENOSPC)[count=proc]|children 2 4
		file/fsync=#3 kill[count=proc]|children 2 4
		file/fsync=#1 kill[count=proc]|fsync 2
		file/fsync=skip|fsync 3
		file/unlink=#1 errno(EBUSY)[count=proc]; file/fsync=#1 sleep(1ms)[count=proc]|fsync 1
		sysv/sem/semop=errno(EIDRM)|call semop 3
		sysv/msg/msgget=#2 errno(ENOSPC)[count=proc]|call msgget 3
		process/kill=return(7)|call kill 2
		linux/pidfd/pidfd_open=2*errno(EMFILE)[count=proc]|call pidfd_open 3
		file/flock=#1 errno(EINTR)[count=proc]|call flock 2
	PLANS
}

@test "seccomp: each errno of each call that the kernel can see, as by preload" {
	need "seccomp notify"
	[[ -x $VICTIM_STATIC ]] || skip "no static C library"
	local point call errnos calls=0
	while IFS=$'\t' read -r point errnos; do
		call=${point##*/}
		[[ $point != linux/futex/* ]] || call=futex_$call
		# of these the C library makes some itself, before main()
		[[ $call != vfork && $call != mprotect ]] || continue
		local plan='' count=0 name
		for name in $errnos; do
			plan+="${plan:+->}#1 errno($name)"
			((count += 1))
		done
		via seccomp "$point=$plan" "$VICTIM_STATIC" call "$call" "$count"
		if [[ $status -eq 2 && $stderr == *"not possible by seccomp"* ]]; then
			continue
		fi
		[[ $status -eq 0 ]] || { echo "$point: $status $stderr"; return 1; }
		((calls += 1))
		[[ $(awk '{ print $3 }' <<<"$output" | xargs) == "$errnos" ]] || { echo "$point: $output"; return 1; }
		[[ $call == clock_nanosleep ]] || ! grep -v '^-1 ' <<<"$output"
	done < <("$HOLDFAST" list points --json | jq -r '.points[] | select(.errnos | length > 0) | [.name, (.errnos | join(" "))] | @tsv')
	((calls > 45)) || { echo "only $calls calls"; return 1; }
}

@test "seccomp: sleep delays one and serves the others meanwhile; the errno comes after it" {
	need "seccomp notify"
	cd "$BATS_TEST_TMPDIR"
	via seccomp 'file/fsync=#1 sleep(50ms)+errno(EIO)' "$VICTIM" fsync 2
	[[ $status -eq 0 && $output == $'EIO\nok' ]]
}

@test "seccomp: killed before the call" {
	need "seccomp notify"
	via seccomp 'sysv/shm/shmget=#2 kill' "$VICTIM" shm 3
	[[ $status -eq 137 && $counted == "2 1" ]]
	[[ $stderr == *"killed by SIGKILL"*"kill at sysv/shm/shmget, hit 2"* ]]
}

@test "seccomp: by roles, and children that outlive the command" {
	need "seccomp notify"
	cd "$BATS_TEST_TMPDIR"
	via seccomp 'file/fsync=errno(EIO)[proc=holdfast_victim.1]' sh -c "'$VICTIM' fsync 1; '$VICTIM' fsync 1"
	[[ $status -eq 0 && $output == $'ok\nEIO' ]]
	via seccomp 'file/fsync=errno(EIO)' sh -c "{ '$VICTIM' fsync 2 >late & } ; exit 4"
	[[ $status -eq 4 && $counted == "2 2" && $(<late) == $'EIO\nEIO' ]]
}

@test "seccomp: without rights, in a program that may gain none" {
	need "seccomp notify"
	[[ $(id -u) -eq 0 ]] || skip "the other tests are without rights already"
	local open
	open=$(mktemp -d /tmp/holdfast-carriers-XXXXXX)
	cp "$HOLDFAST" "$VICTIM" "$open"
	chmod -R a+rX "$open"
	run --separate-stderr setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$open/holdfast" exec --via seccomp --plan 'sysv/shm/shmget=#2 errno(ENOSPC)' -- "$open/holdfast_victim" shm 3
	rm -r "$open"
	[[ $status -eq 0 && $output == $'ok\nENOSPC\nok' ]]
}

@test "what a carrier cannot do is refused with its place; the program is not run" {
	local case
	while IFS='|' read -r carrier plan place words; do
		run -2 --separate-stderr "$HOLDFAST" exec --via "$carrier" --plan "$plan" -- touch "$BATS_TEST_TMPDIR/ran"
		[[ $stderr == *"$place"*"$words"* ]] || { echo "$carrier $plan: $stderr"; return 1; }
		[[ ! -e $BATS_TEST_TMPDIR/ran ]]
	done <<-'CASES'
		seccomp|file/post-fsync=kill|1:1:|never after
		seccomp|file/write=short(3)|1:12:|cannot be changed from outside
		seccomp|clock/clock_gettime=errno(EINVAL)|1:1:|vDSO
		seccomp|process/posix_spawn=errno(EAGAIN)|1:1:|a clone and an exec
		seccomp|file/fsync=pause(x)|1:12:|which serves all
		seccomp|file/fsync=#1 errno(EIO)[count=thread]|1:15:|count=thread
		seccomp|file/fsync=errno(EIO)[in=main]|1:23:|the kernel knows no functions
		strace|file/fsync=50% errno(EIO)|1:1:|neither chances nor filters
		strace|file/fsync=#1 errno(EIO)|1:1:|say [count=proc]
		strace|file/fsync=#1 errno(EIO)[count=proc]->off|1:1:|one step
		gdb|file/fsync=off|--via gdb|preload, seccomp and strace
	CASES
}

@test "seccomp: no such program, and nothing is left" {
	need "seccomp notify"
	run -127 --separate-stderr "$HOLDFAST" exec --via seccomp --plan 'file/fsync=off' -- /no/such/program
	[[ $stderr == *"/no/such/program"*"No such file"* ]]
}
