/// One answer to a client's request, read as it arrives. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "reseq/net/detail/http_body.hpp"
#include "reseq/net/detail/http_parse.hpp"
#include "reseq/net/http_client.hpp"

namespace reseq::net::detail {

inline constexpr std::size_t max_interim_answers = 64;

/// Passes over interim answers (1xx), keeps of the body what the limits allow, and is done once they allow no more.
class answer_reader {
public:
  answer_reader() = default;
  answer_reader(std::string request_method, client_limits limits)
    : request_method_(std::move(request_method)), limits_(limits) {}

  /// `in` is all that has come and was not taken. Returns how many bytes of it are dealt with: drop them, and call
  /// again once more has come, until `done`. Errors: what cannot be read as an answer, an answer that switches
  /// protocols, more than `max_interim_answers`.
  parsed<std::size_t> take(std::string_view in);

  /// The answer is complete, or its body is longer than what is read of it.
  [[nodiscard]] bool done() const { return has_head_ && (body_.done() || body_size_ > limits_.read_body); }

  /// Whether the end of the stream completes the answer.
  [[nodiscard]] bool ends_with_stream() const { return has_head_ && body_.ends_with_stream(); }

  /// Once done: whether the connection may carry another request.
  [[nodiscard]] bool keeps_connection() const { return body_.done() && keep_alive_ && body_size_ <= limits_.read_body; }

  /// The answer so far.
  [[nodiscard]] client_answer take_answer();

private:
  parsed<std::size_t> take_head(std::string_view in);
  parsed<std::size_t> take_body(std::string_view in);

  std::string request_method_ = "POST";
  client_limits limits_;
  head_scanner scanner_;
  body_decoder body_;
  client_answer answer_;
  std::uint64_t body_size_ = 0;
  std::size_t interim_ = 0;
  bool has_head_ = false;
  bool keep_alive_ = false;
};

} // namespace reseq::net::detail
