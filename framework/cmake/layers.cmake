# One target per layer, with the same language, warnings and sanitizers everywhere.

set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

# reseq_target(NAME): the project's language level, warnings and sanitizers for one target.
function(reseq_target name)
  target_compile_features(${name} PUBLIC cxx_std_20)
  set_target_properties(${name} PROPERTIES CXX_EXTENSIONS OFF)
  target_compile_options(${name} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
                                         -Wnon-virtual-dtor -Woverloaded-virtual)
  if(RESEQ_UNITY)
    set_target_properties(${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
    target_compile_options(${name} PRIVATE -Wno-shadow -Wno-subobject-linkage) # of what other sources declare
  endif()
  # Seen where there is none: in optionals that lambdas capture (g++ 13 and later), in <regex> (with sanitizers).
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND (RESEQ_SANITIZE OR CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 13))
    target_compile_options(${name} PRIVATE -Wno-maybe-uninitialized)
  endif()
  if(RESEQ_WERROR)
    target_compile_options(${name} PRIVATE -Werror)
  endif()
  if(RESEQ_FUZZ)
    target_compile_options(${name} PUBLIC -fsanitize=fuzzer-no-link)
  endif()
  if(RESEQ_SANITIZE)
    target_compile_options(${name} PUBLIC -fsanitize=${RESEQ_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(${name} PUBLIC -fsanitize=${RESEQ_SANITIZE})
    if(RESEQ_SANITIZE MATCHES "thread") # g++ warns of fences in Asio that it does not model
      target_compile_options(${name} PUBLIC -Wno-tsan)
    endif()
    if(RESEQ_SANITIZE MATCHES "undefined") # CAF binds references to null where nobody reads them
      target_compile_options(${name} PUBLIC -fno-sanitize=null -fno-sanitize-recover=undefined)
    endif()
  endif()
endfunction()

# reseq_layer(NAME [DIR folder] [LINK targets of other layers and libraries…]): every source in one folder of
# framework/reseq (not below it) as the static library reseq-NAME.
function(reseq_layer name)
  cmake_parse_arguments(arg "" "DIR" "LINK" ${ARGN})
  if(NOT arg_DIR)
    set(arg_DIR ${name})
  endif()
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/reseq/${arg_DIR}/*.cpp")
  if(sources)
    add_library(reseq-${name} STATIC ${sources})
    target_include_directories(reseq-${name} PUBLIC "${CMAKE_CURRENT_SOURCE_DIR}")
    target_link_libraries(reseq-${name} PUBLIC ${arg_LINK})
    reseq_target(reseq-${name})
  else()
    add_library(reseq-${name} INTERFACE)
    target_include_directories(reseq-${name} INTERFACE "${CMAKE_CURRENT_SOURCE_DIR}")
    target_link_libraries(reseq-${name} INTERFACE ${arg_LINK})
  endif()
endfunction()
