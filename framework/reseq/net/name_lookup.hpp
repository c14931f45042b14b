/// How the names of hosts become addresses.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "reseq/model/error.hpp"

namespace reseq::net {

/// The addresses of a host's name as text ("192.0.2.1", "2001:db8::1"), those to try first at the beginning.
/// `errc::not_found`: there is no such name, or it has no address; any other error: nobody knows now. May block for as
/// long as it takes; called from several threads at once, never for one name twice at the same time.
using name_lookup = std::function<result<std::vector<std::string>>(const std::string& name)>;

/// What this machine knows: its hosts file, DNS, whatever else it is told to ask (getaddrinfo).
result<std::vector<std::string>> look_up_by_system(const std::string& name);

} // namespace reseq::net
