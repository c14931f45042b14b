#include "reseq/net/detail/http_answer.hpp"

#include <algorithm>
#include <utility>

namespace reseq::net::detail {

parsed<std::size_t> answer_reader::take(std::string_view in) {
  std::size_t taken = 0;
  while (!done() && taken < in.size()) {
    const auto rest = in.substr(taken);
    auto size = has_head_ ? take_body(rest) : take_head(rest);
    if (!size) return size;
    if (*size == 0) break;
    taken += *size;
  }
  return taken;
}

/// 0 while the head is not all here.
parsed<std::size_t> answer_reader::take_head(std::string_view in) {
  const auto size = scanner_.scan(in);
  if (!size || *size == 0) return size;
  auto head = parse_response_head(in.substr(0, *size), request_method_);
  if (!head) return tl::unexpected(std::move(head.error()));
  scanner_ = {};
  if (head->status == 101) return tl::unexpected(protocol_error{400, "it switches protocols unasked"});
  if (head->status < 200) {
    if (++interim_ > max_interim_answers)
      return tl::unexpected(protocol_error{400, "interim answers (1xx) do not end"});
    return size;
  }
  has_head_ = true;
  keep_alive_ = head->keep_alive;
  body_ = body_decoder(head->body);
  answer_.status = head->status;
  answer_.headers = std::move(head->headers);
  return size;
}

parsed<std::size_t> answer_reader::take_body(std::string_view in) {
  const auto piece = body_.next(in);
  if (!piece) return tl::unexpected(piece.error());
  const auto room = limits_.keep_body - std::min(limits_.keep_body, answer_.body.size());
  answer_.body.append(piece->data.substr(0, room));
  body_size_ += piece->data.size();
  return piece->consumed;
}

client_answer answer_reader::take_answer() {
  answer_.truncated = body_size_ > answer_.body.size();
  return std::move(answer_);
}

} // namespace reseq::net::detail
