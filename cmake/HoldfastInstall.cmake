# How a consumer finds what "cmake --install" has put down: find_package(holdfast) gives
# holdfast::holdfast (shared) and holdfast::holdfast_static; pkg-config gives holdfast.
# Each room installs its own files; the manual is here.  All paths in the installed files are relative to
# where they lie, so that a prefix can be moved.
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/holdfast")
configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/holdfastConfig.cmake.in"
	"${PROJECT_BINARY_DIR}/holdfastConfig.cmake" INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/holdfastConfigVersion.cmake"
	COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/holdfastConfig.cmake"
	"${PROJECT_BINARY_DIR}/holdfastConfigVersion.cmake" DESTINATION "${package_dir}")
install(EXPORT holdfastTargets NAMESPACE holdfast:: DESTINATION "${package_dir}")

# pkg-config expands ${pcfiledir}; from there up to the prefix.
file(RELATIVE_PATH holdfast_pc_prefix "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
string(REGEX REPLACE "/$" "" holdfast_pc_prefix "${holdfast_pc_prefix}")
configure_file("${CMAKE_CURRENT_LIST_DIR}/holdfast.pc.in" "${PROJECT_BINARY_DIR}/holdfast.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/holdfast.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

if(TARGET holdfast_cli)
	install(FILES "${PROJECT_SOURCE_DIR}/docs/man/holdfast.1"
		DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
endif()
