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

/// The calls, in order, that together do `updates`. Usually one: no call is so long that others wait for it noticeably,
/// or take it for a hung server. A lane is never divided. `lanes` has the name of each destination in `updates`.
std::vector<command> update_calls(const core::lane_updates& updates, epoch ours, const std::string& prefix,
                                  const std::map<destination_id, std::string>& lanes);

/// What the answers to all of those say.
result<core::lane_answers> read_answers(std::span<const reply> answers, epoch ours);

/// `errc::fenced` unless the epoch that an answer begins with is ours.
result<void> check_epoch(const reply& answer, epoch ours);

} // namespace reseq::store::redis
