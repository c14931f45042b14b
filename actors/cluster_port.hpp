/// The cluster port: connections between supervisors and workers that cannot be made to take memory by strangers.
#pragma once

#include <cstdint>
#include <string>

#include <caf/actor_system.hpp>
#include <caf/io/middleman_actor.hpp>

namespace reseq::actors {

/// Opens and makes connections as CAF's own middleman actor does, and adds two bounds, since BASP reserves what a
/// header announces, up to 4 GiB, before it knows who sent it:
///
/// - Whoever connects first sends a greeting, by which it shows that it knows the token. Without one, or with another
///   token's, the connection is closed before BASP hears of anything, and that is logged. Of those that say nothing at
///   all the latest 64 stay open.
/// - What is announced is not reserved: memory grows with what has come.
///
/// Use it for `publish_atom` and `connect_atom`; end it with `exit_reason::kill` before the actor system ends.
caf::io::middleman_actor spawn_cluster_port(caf::actor_system& system, const std::string& token);

/// Publishes `whom` there, as `middleman::publish` does: the port in use. Blocks.
caf::expected<std::uint16_t> publish(const caf::io::middleman_actor& at, caf::strong_actor_ptr whom, std::uint16_t port,
                                     const std::string& host);

} // namespace reseq::actors
