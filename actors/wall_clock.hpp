/// The time of day, for records, for what receivers say, and for measuring what a restart may interrupt.
#pragma once

#include "reseq/model/clock.hpp"

namespace reseq::actors {

inline exact_wall_time exact_wall_now() { return std::chrono::system_clock::now(); }

inline wall_time wall_now() { return std::chrono::floor<wall_time::duration>(exact_wall_now()); }

} // namespace reseq::actors
