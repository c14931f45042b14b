/// One connection to a Redis: logged in, its database selected, and to a master where sentinels know it.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "reseq/model/clock.hpp"
#include "reseq/model/error.hpp"
#include "reseq/store/redis/command.hpp"
#include "reseq/store/redis/hiredis.hpp"
#include "reseq/store/redis/server_url.hpp"

namespace reseq::store::redis {

class connection {
public:
  /// Takes up to `timeout` for each server and sentinel that it has to ask. `errc::unavailable` when none answers;
  /// `errc::invalid` when the password, the user's rights or the database are wrong.
  static result<connection> open(const server_url& where, duration timeout);

  /// Sends all of `commands`, then reads an answer for each; errors of Redis are answers. After `errc::unavailable` it
  /// is not known which of them were done, and the connection is of no use any more.
  result<std::vector<reply>> exchange(std::span<const command> commands, duration timeout);

private:
  explicit connection(channel to) : channel_(std::move(to)) {}

  channel channel_;
};

/// An error that Redis answered, as one of ours.
error meaning(std::string_view answered);

} // namespace reseq::store::redis
