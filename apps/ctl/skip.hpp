/// What giving up held messages shows, and the code by which it is agreed to.
///
/// `what` is the `skip` that was asked for, `held` a list as of `GET …/held`, `destination` as of
/// `GET …/destinations/{d}`.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "ctl/options.hpp"
#include "reseq/model/clock.hpp"

namespace reseq::ctl {

/// By when they came to be held: what is held later stands behind.
std::vector<nlohmann::json> oldest_first(const nlohmann::json& held);

/// Their number, and a hash of which they are: whoever says it has seen them.
std::string code_of(std::span<const nlohmann::json> held);

/// What was asked for without having agreed to anything: "reseqctl skip orders --to billing".
std::string skip_call(const options& what);

/// The list, and the command that gives up just that.
std::string show_skip(const options& what, const nlohmann::json& held, wall_time now);

/// With --until: what it would give up now and later, and the command for it.
std::string show_skip_until(const options& what, const nlohmann::json& held, const nlohmann::json& destination,
                            wall_time now);

/// What the command waits for where nothing is held, and what it does then.
std::string say_what_is_waited_for(const options& what, const nlohmann::json& destination);

/// What was done.
std::string show_given_up(std::uint64_t messages);
std::string show_given_up_until(const options& what, std::uint64_t messages, const nlohmann::json& destination);

} // namespace reseq::ctl
