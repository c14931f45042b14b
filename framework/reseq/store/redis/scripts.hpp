/// The scripts that run in Redis. Each stands in a file of its own beside this one, as NAME.lua.
#pragma once

#include <string_view>

namespace reseq::store::redis {

extern const std::string_view open_script;
extern const std::string_view update_script;

} // namespace reseq::store::redis
