#include "reseq/net/detail/http_body.hpp"

#include <algorithm>
#include <string>

namespace reseq::net::detail {
namespace {

constexpr std::size_t max_size_digits = 15; ///< below 2^60, so that sums cannot overflow
constexpr std::size_t max_overhead_bytes = 8U << 10U;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

} // namespace

body_decoder::body_decoder(body_framing framing) {
  switch (framing.by) {
  case body_framing::kind::none: break;
  case body_framing::kind::length:
    left_ = framing.length;
    at_ = left_ > 0 ? state::payload : state::done;
    break;
  case body_framing::kind::chunked: at_ = state::chunk_size; break;
  case body_framing::kind::until_close: at_ = state::until_close; break;
  }
}

parsed<body_decoder::piece> body_decoder::next(std::string_view input) {
  for (std::size_t at = 0; at < input.size(); ++at) {
    if (at_ == state::done) return piece{at, {}};
    if (at_ == state::payload || at_ == state::chunk || at_ == state::until_close) return take_payload(input, at);
    if (!take(input[at]) || overhead_ > max_overhead_bytes) {
      return tl::unexpected(protocol_error{400, "the chunked body is malformed"});
    }
  }
  return piece{input.size(), {}};
}

body_decoder::piece body_decoder::take_payload(std::string_view input, std::size_t skipped) {
  const auto rest = input.substr(skipped);
  if (at_ == state::until_close) return {input.size(), rest};
  const auto data = rest.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(left_, rest.size())));
  left_ -= data.size();
  if (left_ == 0) at_ = at_ == state::payload ? state::done : state::chunk_cr;
  return {skipped + data.size(), data};
}

bool body_decoder::take_size(char c) {
  if (const auto digit = hex_value(c); digit >= 0) {
    left_ = left_ * 16 + static_cast<unsigned>(digit);
    return ++digits_ <= max_size_digits;
  }
  at_ = state::chunk_size_end;
  return digits_ > 0 && take_size_end(c);
}

/// White space may stand behind a size (RFC 9112 §7.1.1), nothing else: "5 6" is 5 to some and 56 to others.
bool body_decoder::take_size_end(char c) {
  if (c != '\r') ++overhead_;
  if (c == '\r') at_ = state::chunk_size_lf;
  if (c == ';') at_ = state::chunk_extension;
  return c == '\r' || c == ';' || c == ' ' || c == '\t';
}

/// Takes one byte of framing: whether it may stand there.
bool body_decoder::take(char c) {
  const auto step = [&](char wanted, state then) {
    at_ = then;
    return c == wanted;
  };
  switch (at_) {
  case state::chunk_size: return take_size(c);
  case state::chunk_size_end: return take_size_end(c);
  case state::chunk_extension:
    ++overhead_;
    if (c == '\r') at_ = state::chunk_size_lf;
    return c != '\n';
  case state::chunk_size_lf: digits_ = 0; return step('\n', left_ == 0 ? state::trailer_start : state::chunk);
  case state::chunk_cr: return step('\r', state::chunk_lf);
  case state::chunk_lf: return step('\n', state::chunk_size);
  case state::trailer_start:
    if (c == '\r') return step('\r', state::last_lf);
    at_ = state::trailer;
    ++overhead_;
    return c != '\n';
  case state::trailer:
    ++overhead_;
    if (c == '\r') at_ = state::trailer_lf;
    return c != '\n';
  case state::trailer_lf: return step('\n', state::trailer_start);
  case state::last_lf: return step('\n', state::done);
  case state::done:
  case state::payload:
  case state::until_close:
  case state::chunk: break;
  }
  return false;
}

} // namespace reseq::net::detail
