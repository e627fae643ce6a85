# The flags of this project, as targets.
#
#	holdfast_warnings	language level and warnings, and nothing that needs a run-time: for objects that
#						are loaded into foreign programs (holdfast_preload)
#	holdfast_flags		the above, and the sanitizer and hardening of this build: everything else
#
# Link them PRIVATE, wrapped for what is exported: $<BUILD_INTERFACE:holdfast_flags>.

add_library(holdfast_warnings INTERFACE)
# Empty on purpose: a source that says "#define _GNU_SOURCE" itself then says the same thing.
target_compile_definitions(holdfast_warnings INTERFACE _GNU_SOURCE=)
target_compile_options(holdfast_warnings INTERFACE
	-Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
	-Wvla -Wundef -Wformat=2 -Wpointer-arith -Wwrite-strings
	# __FILE__ names a place in the source, wherever it was built.
	-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=
	-fvisibility=hidden -fno-strict-aliasing -fno-common
	$<$<BOOL:${HOLDFAST_WERROR}>:-Werror>)

add_library(holdfast_flags INTERFACE)
target_link_libraries(holdfast_flags INTERFACE holdfast_warnings)

if(HOLDFAST_SANITIZE)
	set(sanitize -fsanitize=${HOLDFAST_SANITIZE} -fno-omit-frame-pointer)
	if(HOLDFAST_SANITIZE MATCHES "undefined")
		# Without this a finding is one line on stderr and exit code 0.
		list(APPEND sanitize -fno-sanitize-recover=all)
	endif()
	target_compile_options(holdfast_flags INTERFACE ${sanitize})
	target_link_options(holdfast_flags INTERFACE ${sanitize})
endif()

if(HOLDFAST_COVERAGE)
	# Processes write the same counters at once, and most of ours leave by _exit().
	target_compile_options(holdfast_flags INTERFACE --coverage -fprofile-update=atomic -fprofile-abs-path)
	# A function that is inlined five times has its branches once.  Whoever must be inlined to work says __always_inline__.
	target_compile_definitions(holdfast_flags INTERFACE always_inline=unused)
	target_link_options(holdfast_flags INTERFACE --coverage
		$<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:LINKER:--wrap=_exit,--wrap=_Exit>)
	add_library(holdfast_coverage_flush OBJECT "${PROJECT_SOURCE_DIR}/tests/support/coverage_flush.c")
	target_link_libraries(holdfast_flags INTERFACE
		$<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:$<TARGET_OBJECTS:holdfast_coverage_flush>>)
endif()

if(HOLDFAST_HARDEN)
	target_compile_options(holdfast_flags INTERFACE
		-fstack-protector-strong -fstack-clash-protection
		$<$<STREQUAL:${CMAKE_SYSTEM_PROCESSOR},x86_64>:-fcf-protection>
		-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
	target_link_options(holdfast_flags INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
	include(CheckPIESupported)
	check_pie_supported(LANGUAGES C)
endif()
