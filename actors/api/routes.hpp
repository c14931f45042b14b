/// What a method and a path mean.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "reseq/model/ids.hpp"
#include "reseq/wire/receipt.hpp"

namespace reseq::actors::api {

enum class endpoint {
  livez,
  readyz,
  metrics,
  pipelines,
  pipeline,
  destination,
  message,
  message_by_id,
  held,
  dead_letters,
  submit,
  submit_batch,
  retry_message,
  skip_message,
  retry_held,
  pause,
  resume,
  recover,
};

struct route {
  endpoint what = endpoint::livez;
  std::string pipeline;
  std::string destination;
  std::uint32_t shard = 0;
  position at;
};

/// A path that exists with another method: 405 with `Allow`.
struct wrong_method {
  std::string allow;
};

/// `path` is as it came, without the query. Nothing that a name may consist of needs percent-encoding, so that
/// encoded paths are unknown ones.
std::variant<route, wrong_method, wire::problem> match(std::string_view method, std::string_view path);

/// Endpoints that work without `http.control_token`.
bool is_public(endpoint what);
bool is_submission(endpoint what);

} // namespace reseq::actors::api
