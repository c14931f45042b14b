#include "reseq/net/http_blocking.hpp"

#include <future>
#include <utility>

namespace reseq::net {

result<client_answer> request(std::string method, const url& to, header_list headers, std::string body,
                              duration timeout, client_limits limits) {
  std::promise<result<client_answer>> answered;
  loop io;
  http_client client(io, to, limits);
  io.start();
  client_request wanted;
  wanted.method = std::move(method);
  wanted.headers = std::move(headers);
  wanted.body = std::make_shared<const std::string>(std::move(body));
  client.send(std::move(wanted), timeout, [&](result<client_answer> answer) { answered.set_value(std::move(answer)); });
  return answered.get_future().get();
}

} // namespace reseq::net
