# tools/quickstart: what it installs and says, with apt-get, cmake and sudo that only write down how they were called.
bats_require_minimum_version 1.5.0

setup()
{
	root=$BATS_TEST_TMPDIR/checkout
	stubs=$BATS_TEST_TMPDIR/stubs
	calls=$BATS_TEST_TMPDIR/calls
	mkdir -p "$root/tools" "$root/build/dev/bin" "$stubs"
	cp "$BATS_TEST_DIRNAME/../../tools/quickstart" "$root/tools/"
	printf '# a comment\n\nbash\n' >"$root/tools/debian-packages"
	: >"$calls"
	for name in apt-get cmake ctest sudo; do
		stub $name 0
	done
	stub id 0 'echo "${FAKE_UID:-0}"'
	printf '#!/bin/sh\necho "holdfast $*" >>%s\nexit ${HOLDFAST_CODE:-0}\n' "$calls" >"$root/build/dev/bin/holdfast"
	chmod +x "$root/build/dev/bin/holdfast"
	PATH=$stubs:$PATH
}

stub() # NAME EXIT-CODE [COMMAND]
{
	printf '#!/bin/sh\necho "%s $*" >>%s\n%s\nexit %s\n' "$1" "$calls" "${3-}" "$2" >"$stubs/$1"
	chmod +x "$stubs/$1"
}

@test "nothing missing: apt-get is not called; build and run, reports under .holdfast" {
	run -0 "$root/tools/quickstart" run
	[[ $(<"$calls") != *apt-get* ]]
	grep -q '^cmake --build --preset dev' "$calls"
	grep -q '^holdfast run --json .holdfast/run.json --junit .holdfast/run.xml' "$calls"
}

@test "test: the dev preset's tests, and what was run is said" {
	run -0 --separate-stderr "$root/tools/quickstart" test -R unit
	grep -q '^ctest --preset dev -R unit' "$calls"
	[[ $stderr == *"ctest --preset dev -R unit"* ]]
}

@test "something missing: says what, and installs exactly that" {
	echo no-such-package-here >>"$root/tools/debian-packages"
	run -0 --separate-stderr "$root/tools/quickstart" run
	[[ $stderr == *"installing no-such-package-here"* ]]
	grep -qE '^apt-get .*install .*no-such-package-here$' "$calls"
}

@test "what only the tests want is installed for the tests only" {
	echo "no-such-package-here test" >>"$root/tools/debian-packages"
	run -0 --separate-stderr "$root/tools/quickstart" run
	[[ $(<"$calls") != *apt-get* ]]
	run -0 --separate-stderr "$root/tools/quickstart" test
	grep -qE '^apt-get .*install .*no-such-package-here$' "$calls"
}

@test "off-line: a clear word, exit 3, nothing is built" {
	echo no-such-package-here >>"$root/tools/debian-packages"
	stub apt-get 100
	run -3 --separate-stderr "$root/tools/quickstart" run
	[[ $stderr == *"could not install no-such-package-here"* ]]
	[[ $(<"$calls") != *cmake* ]]
}

@test "not root: through sudo" {
	echo no-such-package-here >>"$root/tools/debian-packages"
	FAKE_UID=1000 run -0 "$root/tools/quickstart" run
	grep -q '^sudo .*apt-get.*install' "$calls"
}

@test "not root and no sudo: says the command to run as root, exit 3" {
	echo no-such-package-here >>"$root/tools/debian-packages"
	rm "$stubs/sudo"
	mkdir "$BATS_TEST_TMPDIR/bin"
	for name in bash sh env cat grep dpkg-query dirname mkdir tail; do
		ln -s "$(command -v $name)" "$BATS_TEST_TMPDIR/bin/$name"
	done
	run -3 --separate-stderr env FAKE_UID=1000 PATH="$stubs:$BATS_TEST_TMPDIR/bin" "$root/tools/quickstart" run
	[[ $stderr == *"run as root: apt-get install no-such-package-here"* ]]
}

@test "a failed build: its last words, exit 70" {
	stub cmake 1 'echo "error: the compiler says no"'
	run -70 --separate-stderr "$root/tools/quickstart" run
	[[ $stderr == *"the compiler says no"* ]]
}

@test "the exit code is that of the run, or of the tests" {
	HOLDFAST_CODE=1 run -1 "$root/tools/quickstart" run
	stub ctest 8
	run -8 "$root/tools/quickstart" test
}

@test "no word, or a wrong one: usage, exit 2, nothing done" {
	run -2 "$root/tools/quickstart"
	[[ $output == *"quickstart run|test"* ]]
	run -2 "$root/tools/quickstart" rnu
	[[ -z $(<"$calls") ]]
}
