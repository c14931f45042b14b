#include "reseq/model/message.hpp"

#include <algorithm>

#include "reseq/model/ascii.hpp"

namespace reseq {

bool same_header_name(std::string_view a, std::string_view b) { return ascii::equal_ignoring_case(a, b); }

std::string_view find_header(const header_list& headers, std::string_view name) {
  const auto found = std::ranges::find_if(headers, [&](const header& h) { return same_header_name(h.name, name); });
  return found == headers.end() ? std::string_view{} : std::string_view{found->value};
}

std::size_t size_bytes(const content& body) {
  auto bytes = body.payload.size() + body.content_type.size();
  for (const auto& h : body.headers) bytes += h.name.size() + h.value.size();
  return bytes;
}

std::size_t message::size_bytes() const { return id_.size() + key_.size() + reseq::size_bytes(body_); }

} // namespace reseq
