/// The scripts that run in Redis. Each stands in a file of its own beside this one, as NAME.lua.
#pragma once

#include <string_view>

namespace reseq::store::redis {

struct script {
  std::string_view text;
  std::string_view sha1; ///< what Redis calls it
};

extern const script append_script;
extern const script open_script;
extern const script update_script;

} // namespace reseq::store::redis
