# reseq_embed(TARGET TEMPLATE FILE…): TEMPLATE (a .cpp.in) with each @NAME@ replaced by the text of NAME.lua or NAME.sql, as
# a source of TARGET.
function(reseq_embed target template)
  foreach(file IN LISTS ARGN)
    get_filename_component(name "${file}" NAME_WE)
    file(READ "${file}" ${name})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
  endforeach()
  get_filename_component(output "${template}" NAME_WLE)
  configure_file("${template}" "${CMAKE_CURRENT_BINARY_DIR}/${target}/${output}" @ONLY)
  target_sources(${target} PRIVATE "${CMAKE_CURRENT_BINARY_DIR}/${target}/${output}")
endfunction()
