# What "cmake --install" puts down, and how a consumer finds it again: find_package(holdfast) gives
# holdfast::holdfast (shared) and holdfast::holdfast_static; pkg-config gives holdfast.
# All paths in the installed files are relative to where they lie, so that a prefix can be moved.
include(CMakePackageConfigHelpers)

if(TARGET holdfast_shared AND TARGET holdfast_static)
	set_target_properties(holdfast_shared PROPERTIES EXPORT_NAME holdfast)
	install(TARGETS holdfast_shared holdfast_static EXPORT holdfastTargets
		LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT library
		ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT library)
	install(DIRECTORY "${PROJECT_SOURCE_DIR}/lib/include/holdfast"
		DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT library
		FILES_MATCHING PATTERN "*.h")

	set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/holdfast")
	configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/holdfastConfig.cmake.in"
		"${PROJECT_BINARY_DIR}/holdfastConfig.cmake" INSTALL_DESTINATION "${package_dir}")
	write_basic_package_version_file("${PROJECT_BINARY_DIR}/holdfastConfigVersion.cmake"
		COMPATIBILITY SameMinorVersion)
	install(FILES "${PROJECT_BINARY_DIR}/holdfastConfig.cmake"
		"${PROJECT_BINARY_DIR}/holdfastConfigVersion.cmake"
		DESTINATION "${package_dir}" COMPONENT library)
	install(EXPORT holdfastTargets NAMESPACE holdfast:: DESTINATION "${package_dir}"
		COMPONENT library)

	# pkg-config expands ${pcfiledir}; from there up to the prefix.
	file(RELATIVE_PATH holdfast_pc_prefix
		"/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
	configure_file("${CMAKE_CURRENT_LIST_DIR}/holdfast.pc.in"
		"${PROJECT_BINARY_DIR}/holdfast.pc" @ONLY)
	install(FILES "${PROJECT_BINARY_DIR}/holdfast.pc"
		DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT library)
endif()
