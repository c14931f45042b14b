/// Updates as calls of `update.lua`, and its answers.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "reseq/core/lane_updates.hpp"
#include "reseq/store/redis/command.hpp"
#include "reseq/store/redis/hiredis.hpp"

namespace reseq::store::redis {

/// How a shard's things are called in Redis.
struct shard_names {
  const std::string& prefix; ///< of every key
  const std::string& origin; ///< of results
  const std::map<destination_id, std::string>& lanes;
};

/// The calls, in order, that together do `updates`. Usually one: no call is so long that others wait for it noticeably,
/// or take it for a hung server. A lane is never divided. `names` has that of each destination in `updates`.
std::vector<command> update_calls(const core::lane_updates& updates, epoch ours, const shard_names& names);

/// What the answers to all of those say.
result<core::lane_answers> read_answers(std::span<const reply> answers, epoch ours);

/// `errc::fenced` unless the epoch that an answer begins with is ours.
result<void> check_epoch(const reply& answer, epoch ours);

} // namespace reseq::store::redis
