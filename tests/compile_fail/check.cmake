# cmake -DCOMPILER=… -DSOURCE=… -DINCLUDES=folder;folder -P check.cmake
# Compiles SOURCE, whose first line is "// expect: TEXT", and fails unless the compiler reports exactly one error and
# that one contains TEXT. "// expect: no error": fails unless it compiles.
file(STRINGS "${SOURCE}" first_line LIMIT_COUNT 1)
if(NOT first_line MATCHES "^// expect: (.+)$")
  message(FATAL_ERROR "${SOURCE} does not begin with '// expect: …'")
endif()
set(expected "${CMAKE_MATCH_1}")

list(TRANSFORM INCLUDES PREPEND -I)
list(FILTER INCLUDES EXCLUDE REGEX "^-I$|^-I/usr/include$")
set(ENV{LC_ALL} C)
execute_process(COMMAND "${COMPILER}" -std=c++20 -fsyntax-only ${INCLUDES} "${SOURCE}"
                RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)

if(expected STREQUAL "no error")
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "does not compile:\n${output}")
  endif()
  return()
endif()

if(status EQUAL 0)
  message(FATAL_ERROR "compiles, but should not: ${expected}")
endif()
string(REGEX MATCHALL "error: [^\n]*" errors "${output}")
list(LENGTH errors count)
string(FIND "${errors}" "${expected}" found)
if(NOT count EQUAL 1 OR found EQUAL -1)
  message(FATAL_ERROR "${count} errors instead of the one that says '${expected}':\n${output}")
endif()
