/// What supervisors and workers say to each other over the actor network. Member order is the wire format:
/// any change of a struct here raises `protocol_version`.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <caf/meta/load_callback.hpp>
#include <caf/meta/type_name.hpp>
#include <caf/sec.hpp>

#include "reseq/model/message.hpp"

namespace reseq::actors {

inline constexpr std::uint32_t protocol_version = 5;

/// Worker → supervisor, first of all. Its layout never changes, so that two versions can tell each other apart.
struct hello {
  std::uint32_t protocol = protocol_version;
  std::string token; ///< `cluster.token`
  std::string node;  ///< `node.name`, for people
  std::uint32_t slots = 0;
  std::vector<std::string> pipelines;    ///< what it has transforms for
  std::vector<std::string> fingerprints; ///< of those transforms, in the same order
};

/// Supervisor → worker: you are in, or not. Its layout never changes, either: a worker of another version reads why it
/// is not.
struct welcome {
  bool accepted = false;
  std::string why;                    ///< when not accepted
  std::vector<std::string> pipelines; ///< those whose fingerprints agree; work comes for these
  std::vector<std::string> refused;   ///< a sentence for each of the others
  std::string name;                   ///< what the supervisor calls it: "b", or "b#2" while another one is "b"
};

/// Supervisor → worker: one copy of a job.
struct order {
  std::uint64_t dispatch = 0;
  std::uint32_t attempt = 0;
  std::string pipeline;
  std::vector<std::string> chains; ///< the destinations whose own chains are wanted; "" is the common one
  message_ptr message;
};

/// Supervisor → worker. At most as many as the worker has free slots.
struct orders {
  std::vector<order> items;
};

enum class answer_kind : std::uint8_t {
  produced,
  dropped,
  failed,
  permanent,
  unchanged, ///< produced, and the message's own content, which the other side has
};

/// Worker → supervisor: one chain of one copy is done.
struct answer {
  std::uint64_t dispatch = 0;
  std::uint32_t chain = 0; ///< index into `order::chains`
  answer_kind kind = answer_kind::failed;
  std::string error;
  bool narrowed = false;
  std::vector<std::string> only_to; ///< when narrowed
  std::vector<std::string> named;   ///< whatever its chains have narrowed to; also when it is left out by that
  content_ptr body;                 ///< when produced
  std::uint64_t took_ns = 0;        ///< what the transforms took
};

struct answers {
  std::vector<answer> items;
};

/// Worker → supervisor: it stops; what it has is answered first, nothing new is wanted.
struct farewell {
  std::string why;
};

/// Worker → supervisor, every `pulse_interval` while nothing else has to be said. The actor library notices by its own
/// heartbeats when a peer falls silent, but ends its actors as if the connection had been closed: by this a dispatcher
/// tells a worker that was cut off or stopped from one that died.
struct pulse {};

inline constexpr auto pulse_interval = std::chrono::milliseconds{200};

/// Supervisor → worker: its slots have hung for so long that only a new process helps.
struct dismissed {
  std::string why;
};

template <class Inspector>
auto inspect(Inspector& f, hello& x) {
  return f(caf::meta::type_name("hello"), x.protocol, x.token, x.node, x.slots, x.pipelines, x.fingerprints);
}

template <class Inspector>
auto inspect(Inspector& f, welcome& x) {
  return f(caf::meta::type_name("welcome"), x.accepted, x.why, x.pipelines, x.refused, x.name);
}

template <class Inspector>
auto inspect(Inspector& f, orders& x) {
  return f(caf::meta::type_name("orders"), x.items);
}

template <class Inspector>
auto inspect(Inspector& f, answers& x) {
  return f(caf::meta::type_name("answers"), x.items);
}

template <class Inspector>
auto inspect(Inspector& f, pulse&) {
  return f(caf::meta::type_name("pulse"));
}

template <class Inspector>
auto inspect(Inspector& f, dismissed& x) {
  return f(caf::meta::type_name("dismissed"), x.why);
}

template <class Inspector>
auto inspect(Inspector& f, farewell& x) {
  return f(caf::meta::type_name("farewell"), x.why);
}

} // namespace reseq::actors

namespace reseq {

template <class Inspector>
auto inspect(Inspector& f, header& x) {
  return f(caf::meta::type_name("header"), x.name, x.value);
}

} // namespace reseq

namespace reseq::actors {

/// Shared immutable parts travel by value: written from where they are, read into new ones.
template <class Inspector>
auto inspect(Inspector& f, order& x) {
  const auto head = [&](auto&... parts) {
    return f(caf::meta::type_name("order"), x.dispatch, x.attempt, x.pipeline, x.chains, parts...);
  };
  if constexpr (Inspector::reads_state) {
    static const message nothing;
    auto& m = const_cast<message&>(x.message ? *x.message : nothing); // only read, though the signature does not say so
    auto& body = const_cast<content&>(m.body());
    return head(const_cast<std::string&>(m.id()), const_cast<std::string&>(m.key()), body.content_type, body.headers,
                body.payload);
  } else {
    std::string id;
    std::string key;
    content body;
    auto build = caf::meta::load_callback([&]() -> caf::error {
      x.message = std::make_shared<const message>(std::move(id), std::move(key), std::move(body));
      return caf::none;
    });
    return head(id, key, body.content_type, body.headers, body.payload, build);
  }
}

template <class Inspector>
auto inspect(Inspector& f, answer& x) {
  const auto head = [&](auto&... parts) {
    return f(caf::meta::type_name("answer"), x.dispatch, x.chain, x.kind, x.error, x.narrowed, x.only_to, x.named,
             x.took_ns, parts...);
  };
  if constexpr (Inspector::reads_state) {
    static const content nothing;
    auto& body = const_cast<content&>(x.body ? *x.body : nothing);
    return head(body.content_type, body.headers, body.payload);
  } else {
    auto body = std::make_shared<content>();
    auto build = caf::meta::load_callback([&]() -> caf::error {
      if (x.kind > answer_kind::unchanged) return caf::sec::invalid_argument; // else it would pass for dropped
      if (x.kind == answer_kind::produced) x.body = body;
      return caf::none;
    });
    return head(body->content_type, body->headers, body->payload, build);
  }
}

} // namespace reseq::actors
