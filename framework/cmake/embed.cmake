# reseq_embed(TARGET TEMPLATE FILE…): TEMPLATE (a .cpp.in) as a source of TARGET, in which @NAME@ stands for the text of the
# file NAME.… and @NAME_sha1@ for its SHA-1.
function(reseq_embed target template)
  foreach(file IN LISTS ARGN)
    get_filename_component(name "${file}" NAME_WE)
    get_filename_component(file "${file}" ABSOLUTE)
    file(READ "${file}" ${name})
    file(SHA1 "${file}" ${name}_sha1)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
  endforeach()
  get_filename_component(output "${template}" NAME_WLE)
  configure_file("${template}" "${CMAKE_CURRENT_BINARY_DIR}/${target}/${output}" @ONLY)
  target_sources(${target} PRIVATE "${CMAKE_CURRENT_BINARY_DIR}/${target}/${output}")
endfunction()
