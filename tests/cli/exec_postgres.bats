# holdfast exec on a real PostgreSQL, which knows nothing of us.  Skipped only where none is installed.
load helper

setup_file()
{
	export PG_BIN PG_HOME PG_USER=""
	PG_BIN=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
	[[ -x $PG_BIN/postgres && -x $PG_BIN/initdb ]] || { PG_BIN=""; return 0; }
	PG_HOME=$(mktemp -d /tmp/holdfast-pg-XXXXXX)
	chmod 755 "$PG_HOME"
	# PostgreSQL runs as anybody but root, who must reach the module and the data.
	cp "$(dirname "$HOLDFAST")/../lib/holdfast_preload.so" "$PG_HOME/"
	mkdir "$PG_HOME/run"
	if [[ $(id -u) -eq 0 ]]; then
		PG_USER=nobody
		chown nobody "$PG_HOME/run"
	fi
	as_user "$PG_BIN/initdb" -D "$PG_HOME/run/data" -U tester --no-sync -A trust >"$PG_HOME/initdb.log" 2>&1
}

teardown_file()
{
	[[ -z $PG_BIN ]] || rm -rf "$PG_HOME"
}

as_user()
{
	if [[ -n $PG_USER ]]; then
		setpriv --reuid="$PG_USER" --regid="$(id -g "$PG_USER")" --clear-groups env HOME=/tmp "$@"
	else
		"$@"
	fi
}

# under PLAN [OPTION...]: the server, in the foreground
under()
{
	local plan=$1
	shift
	local command=("$PG_BIN/postgres" -D "$PG_HOME/run/data" -k "$PG_HOME/run" -c listen_addresses=)
	[[ -z $PG_USER ]] || command=(setpriv --reuid="$PG_USER" --regid="$(id -g "$PG_USER")" --clear-groups "${command[@]}")
	(cd / && "$HOLDFAST" exec --preload "$PG_HOME/holdfast_preload.so" "$@" --plan "$plan" -- "${command[@]}")
}

@test "shmget says ENOSPC: PostgreSQL's own hint; the report names pid, point and hit" {
	[[ -n $PG_BIN ]] || skip "no PostgreSQL"
	run -1 --separate-stderr under 'sysv/shm/shmget=#1 errno(ENOSPC)' --json "$BATS_TEST_TMPDIR/report"
	echo "$stderr"
	[[ $stderr == *"could not create shared memory segment: No space left on device"* ]]
	[[ $stderr == *"does *not* mean that you have run out of disk space"*SHMMNI* ]]
	[[ $stderr =~ "pid "[0-9]+" "+"errno at sysv/shm/shmget, hit 1" ]]
	[[ $stderr == *"postgres as postgres.0, called from "*postgres* ]]
	jq -e '.procs[] | select(.fires == 1) | .program == "postgres" and .pid > 1 and .last_point == "sysv/shm/shmget"
		and .last_hit == 1 and (.points[] | select(.name == "sysv/shm/shmget") | .fires == 1)' "$BATS_TEST_TMPDIR/report"
}

@test "killed at its first shmat: the report says where; what it left is met by the next start" {
	[[ -n $PG_BIN ]] || skip "no PostgreSQL"
	run -137 --separate-stderr under 'sysv/shm/post-shmat=#1 kill'
	echo "$stderr"
	[[ $stderr == *"killed by SIGKILL"* && $stderr == *"kill at sysv/shm/post-shmat, hit 1"* ]]
	# Its first key is taken now; it attaches, sees no header, and asks for another.
	run -1 --separate-stderr under 'sysv/shm/shmget=#2.. errno(ENOMEM)[in=PGSharedMemoryCreate]'
	echo "$stderr"
	[[ $stderr == *"Cannot allocate memory"*SHMALL* && $stderr != *"never fired"* ]]
	ipcs -m | awk '/^0x/ { print $2 }' | xargs -r -n 1 ipcrm -m
}
