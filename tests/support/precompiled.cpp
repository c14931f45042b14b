#include "precompiled.hpp" // CMake makes the header for a target that has a source to use it
