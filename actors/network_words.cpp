#include "actors/network_words.hpp"

#include <caf/exit_reason.hpp>
#include <caf/sec.hpp>
#include <spdlog/spdlog.h>

namespace reseq::actors {

std::string why_not_connected(const caf::error& why) {
  spdlog::debug("no connection: {}", to_string(why));
  if (why == caf::sec::request_timeout)
    return "nothing there answers: does a firewall drop what this machine sends there, or is it no supervisor?";
  if (why == caf::sec::disconnect_during_handshake)
    return "it closed the connection at once; its log says why: cluster.token has to be the same at both, and the "
           "version, too";
  if (why == caf::sec::incompatible_versions || why == caf::sec::incompatible_application_ids ||
      why == caf::sec::malformed_basp_message)
    return "it is no reseq-supervisor of this version";
  return "nobody listens there, or there is no such host: cluster.supervisors has to name a supervisor's "
         "cluster.listen, which only its own machine reaches unless it is set";
}

std::string why_gone(const caf::error& why) {
  spdlog::debug("gone: {}", to_string(why));
  if (why == caf::sec::connection_timeout) return "nothing came from it for too long";
  if (why == caf::exit_reason::remote_link_unreachable) return "its connection ended";
  return "it ended";
}

} // namespace reseq::actors
