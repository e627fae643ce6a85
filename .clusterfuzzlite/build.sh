#!/bin/bash -eu
# What OSS-Fuzz and ClusterFuzzLite run: one program per target of fuzz/targets, its seeds (with the kept corpus and the
# regressions), its dictionary, its options.  CC, CFLAGS, LIB_FUZZING_ENGINE, OUT are theirs.
build=$WORK/holdfast
cmake -G Ninja -S "$SRC/holdfast" -B "$build" -DHOLDFAST_FUZZ_ONLY=ON -DBUILD_TESTING=OFF \
	-DHOLDFAST_FUZZ_LINK="$LIB_FUZZING_ENGINE" -DCMAKE_BUILD_TYPE=None
cmake --build "$build"
cd "$SRC/holdfast/fuzz"
while read -r name _ max_length _; do
	[[ $name == '#'* || $name == empty || ! -x $build/bin/fuzz_$name ]] && continue
	cp "$build/bin/fuzz_$name" "$OUT/$name"
	inputs=()
	for kind in seeds corpus regress; do
		[[ ! -d $kind/$name ]] || inputs+=("$kind/$name")
	done
	[[ ${#inputs[@]} -eq 0 ]] || zip -q -r "$OUT/${name}_seed_corpus.zip" "${inputs[@]}"
	[[ ! -s dict/$name.dict ]] || cp "dict/$name.dict" "$OUT/$name.dict"
	printf '[libfuzzer]\nmax_len = %s\n' "$max_length" >"$OUT/$name.options"
done <targets
