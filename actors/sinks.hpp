/// The owners of connections to receivers.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/protocol.hpp"
#include "reseq/core/shard.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/model/settings.hpp"
#include "reseq/net/http_client.hpp"
#include "reseq/store/transactional_receiver.hpp"
#include "reseq/wire/delivery.hpp"

namespace reseq::actors {

/// Who delivers, and to whom.
struct sink_setup {
  std::string pipeline;
  destination_settings destination;
  epoch owner;
  sequence assigned; ///< the last sequence that the journal had given this destination when the process started
  std::function<void()> restart{}; ///< everything is to be opened again
  bool compared = true;            ///< what a transactional receiver has was compared with the journal at the start
};

/// The connections to one receiver, each with one request at a time.
class client_pool {
public:
  client_pool(std::size_t connections, net::loop& loop, const net::url& to);

  /// POSTs over a connection that has nothing to do; there is one.
  void post(net::client_request request, duration timeout, net::http_client::done_handler done);

private:
  struct idle_clients;

  std::vector<std::unique_ptr<net::http_client>> clients_;
  std::shared_ptr<idle_clients> idle_;
};

struct http_sink_state {
  static inline const char* name = "http_sink";
  std::unique_ptr<client_pool> clients;
};

/// Both answer whoever sent `deliver`. POSTs one message, or a batch as NDJSON, and reads the answer as the README
/// says; with order by key, as many requests at once as the destination has connections. `loop` outlives the actor.
sink_actor::behavior_type http_sink(sink_actor::stateful_pointer<http_sink_state> self, sink_setup setup,
                                    net::loop* loop, net::url to);

struct file_sink_state {
  static inline const char* name = "file_sink";
  ~file_sink_state();

  /// Opens and locks the file if it is not, cuts off a torn last line, and finds out what the last whole line holds.
  result<void> open(const std::string& path);
  /// Whether the file has that sequence, with that message. Cheap when it is the one behind the one asked for before.
  result<bool> has(sequence seq, const std::string& message_id, const std::string& path);
  result<void> append(const std::string& lines);

  int file = -1;
  off_t whole = 0;                    ///< where the last whole line ends
  std::optional<off_t> doubtful_from; ///< what stands behind it was not made durable: to be cut off and written again
  sequence last;                      ///< of the last whole line; 0 in an empty file
  std::string last_id;                ///< its message
  off_t next = 0;                     ///< where the line begins that `has` is likely to be asked for
  bool checked = false;
};

/// Appends envelope lines and makes them durable before confirming. What the file holds already is confirmed without
/// writing, so that it holds each sequence once whatever was killed. Spawn detached: it blocks in fsync.
sink_actor::behavior_type file_sink(sink_actor::stateful_pointer<file_sink_state> self, sink_setup setup,
                                    std::string path);

struct transactional_sink_state {
  static inline const char* name = "transactional_sink";
  std::unique_ptr<store::transactional_receiver> receiver;
  bool compared = true; ///< as in `sink_setup`, or it turned out that there is nothing to compare
  bool restarting = false;
  bool asked_for_risk = false; ///< what the receiver may lose
};

using receiver_maker = std::function<std::unique_ptr<store::transactional_receiver>()>;

/// Hands messages to a receiver that takes them in transactions of its own, `make`'s. Everything is opened again, by
/// which it is compared with the journal, when it turns out to lack what was delivered, or was away at the start and
/// has what is still to be delivered. Spawn detached: it blocks.
sink_actor::behavior_type transactional_sink(sink_actor::stateful_pointer<transactional_sink_state> self,
                                             sink_setup setup, receiver_maker make);

/// How an HTTP answer to a delivery is read.
core::receiver_answer read_answer(const result<net::client_answer>& got, epoch ours, wall_time now);

/// An item of a request as its receiver will see it.
wire::delivery to_delivery(const sink_setup& setup, const core::send_item& item);

} // namespace reseq::actors
