# storm: random harm to a cluster on the production library.
load helper

setup_file()
{
	export TMPDIR=$BATS_FILE_TMPDIR/tmp
	mkdir "$TMPDIR"
}

nothing_left()
{
	[[ -z $(ls -A "$TMPDIR") ]] || { ls -A "$TMPDIR"; return 1; }
}

@test "five seconds of kills: balanced, nothing stuck, nothing left" {
	cd "$BATS_TEST_TMPDIR"
	run -0 --separate-stderr "$HOLDFAST" storm --duration 5s --workers 8 --seed 1 --json -
	jq -e '.schema_version == 1 and .outcome == "good" and .violations == 0 and .seed == 1
		and .kills.workers > 20 and .kills.in_lock_functions > 0
		and .kills.workers == ([.kills | .starting, .outside, .acquiring, .inside, .releasing, ."waiting-var"] | add)
		and .locks.tried >= 16 and .locks.stuck == 0 and .leaks == "" and .bundle == null
		and .history.sections > 0 and .history.intervals > 0 and (.audit | startswith("balanced"))
		and (.replay | startswith("storm:seed=1,"))' <<<"$output"
	[[ ! -e holdfast-storm-1 ]]
	nothing_left
}

@test "every nemesis strikes, and the cluster comes through" {
	for nemesis in supervisor stop slow ipcrm lockfile-remove lockfile-replace; do
		run -0 --separate-stderr "$HOLDFAST" storm --duration 1s --workers 4 --nemesis "kill,$nemesis" --seed 3 --json -
		jq -e --arg nemesis "$nemesis" '.outcome == "good" and (.strikes | keys == (["kill", $nemesis] | sort))' <<<"$output"
	done
	nothing_left
}

@test "all at once, and jumping clocks where there are time namespaces" {
	list=all
	unshare --time true 2>/dev/null || list=kill,supervisor,stop,slow,ipcrm,lockfile-remove,lockfile-replace
	run -0 "$HOLDFAST" storm --duration 4s --workers 8 --nemesis "$list" --seed 7
	[[ $output == *"VIOLATION"* ]] && return 1
	[[ $output == *"0 stuck"* && $output == *"audit: balanced"* ]]
	nothing_left
}

@test "reset instead of repair" {
	run -0 --separate-stderr "$HOLDFAST" storm --duration 2s --workers 4 --nemesis kill --kill-rate 5/s --on-crash reset --json -
	jq -e '.outcome == "good" and .on_crash == "reset" and .supervisors.segments > 1' <<<"$output"
}

@test "it needs no rights: a user namespace does" {
	[[ $(id -u) -eq 0 ]] && command -v setpriv >/dev/null || skip "only root can be somebody else"
	as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups env TMPDIR=/tmp)
	"${as_nobody[@]}" test -x "$HOLDFAST" || skip "somebody else cannot reach the program"
	"${as_nobody[@]}" unshare --user --pid --ipc --mount true || skip "no user namespaces here"
	cd /
	run -0 "${as_nobody[@]}" "$HOLDFAST" storm --duration 1s --workers 4 --bundle /tmp/none --nemesis kill,supervisor,ipcrm
	[[ $output == *"audit: balanced"* ]]
}

@test "it is the production library that is stormed" {
	storm=$(dirname "$HOLDFAST")/holdfast-storm
	ldd "$storm" | grep -q 'libholdfast\.so\.0'
	[[ -z $(nm "$storm" | grep -iE 'fiu_|inject|__wrap_') ]]
	[[ -z $(readelf -SW "$storm" | grep holdfast_points) ]]
	library=$(ldd "$storm" | awk '/libholdfast/ { print $3 }')
	[[ -z $(nm "$library" | grep -iE 'fiu_|inject|__wrap_') ]]
}

# A lock that lets everybody in: everything else is as it is.
broken_lock()
{
	command -v cc >/dev/null || skip "no compiler here"
	ldd "$HOLDFAST" | grep -q libasan && skip "AddressSanitizer wants to be the first to be loaded"
	cat >"$BATS_TEST_TMPDIR/broken.c" <<-'END'
		#include <stdint.h>
		int holdfast_LWLockAcquireTimed(void *lock, int mode, uint64_t us);
		int holdfast_LWLockAcquireTimed(void *lock, int mode, uint64_t us) { (void) lock; (void) mode; (void) us; return 0; }
		int holdfast_LWLockRelease(void *lock);
		int holdfast_LWLockRelease(void *lock) { (void) lock; return 0; }
	END
	cc -shared -fPIC -o "$BATS_TEST_TMPDIR/broken.so" "$BATS_TEST_TMPDIR/broken.c"
}

@test "a lock that does not lock is found: exit 1, a bundle, a line that finds it again" {
	broken_lock
	cd "$BATS_TEST_TMPDIR"
	export LD_PRELOAD=$BATS_TEST_TMPDIR/broken.so
	run -1 --separate-stderr "$HOLDFAST" storm --duration 20s --workers 8 --seed 9 --junit junit.xml
	[[ $output == *"VIOLATION: "* && $output == *"bundle: $PWD/holdfast-storm-9"* ]]
	for file in violation.txt segment.json segment.bin lockfile history.txt server.log; do
		[[ -s holdfast-storm-9/$file ]] || { echo "$file is missing or empty"; return 1; }
	done
	jq -e '.schema_version == 1 and (.locks | length > 0)' holdfast-storm-9/segment.json
	grep -q '<failure' junit.xml
	token=$(sed -n 's/^ *replay: holdfast replay //p' <<<"$output" | head -n 1)
	[[ $token == storm:seed=9,* ]]
	run -1 "$HOLDFAST" replay "$token"
	[[ $output == *"VIOLATION: "* ]]
	nothing_left
}

@test "Ctrl-C: 130, nothing left" {
	"$HOLDFAST" storm --duration 60s --workers 4 3>&- &
	pid=$!
	pids+=("$pid")
	begun()
	{
		compgen -G "$TMPDIR/holdfast-run.*/server.log"
	}
	wait_until 20 begun
	kill -INT "$pid"
	code=0
	wait "$pid" || code=$?
	[[ $code -eq 130 ]]
	nothing_left
}

@test "bad options are refused with a word" {
	run -2 --separate-stderr "$HOLDFAST" storm --nemesis kil
	[[ $stderr == *'no nemesis "kil"; did you mean "kill"?'* ]]
	run -2 "$HOLDFAST" storm --nemesis ""
	run -2 "$HOLDFAST" storm --kill-rate fast
	run -2 "$HOLDFAST" storm --kill-rate 0
	run -2 "$HOLDFAST" storm --workers 100000
	run -2 "$HOLDFAST" storm --accounts 1
	run -2 "$HOLDFAST" storm --on-crash pray
	run -2 "$HOLDFAST" storm now
	run -2 "$HOLDFAST" replay storm:seed=x
	run -2 "$HOLDFAST" replay storm:seed=1,colour=red
	run -2 "$(dirname "$HOLDFAST")/holdfast-storm"
	nothing_left
}
