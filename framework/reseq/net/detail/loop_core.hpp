/// What a loop is made of.
#pragma once

#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>

#include "reseq/net/detail/asio.hpp"
#include "reseq/net/detail/loop_gate.hpp"
#include "reseq/net/detail/name_cache.hpp"

namespace reseq::net::detail {

struct loop_core {
  explicit loop_core(name_lookup look_up) : names(std::make_shared<name_cache>(io, gate, std::move(look_up))) {}

  asio::io_context io{1};
  std::optional<asio::executor_work_guard<executor>> work{io.get_executor()};
  std::shared_ptr<loop_gate> gate = std::make_shared<loop_gate>(io);
  std::shared_ptr<name_cache> names;
  std::thread thread;
};

} // namespace reseq::net::detail
