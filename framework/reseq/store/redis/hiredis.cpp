#include "reseq/store/redis/hiredis.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <sys/time.h>

#ifdef RESEQ_REDIS_TLS
#include <hiredis/hiredis_ssl.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#endif

namespace reseq::store::redis {
namespace {

using std::chrono::steady_clock;

/// What is left until `until`, for a call that takes no less than nothing: a millisecond at least.
timeval left_until(time_point until) {
  const auto left = std::max<duration>(until - steady_clock::now(), std::chrono::milliseconds{1});
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(left).count();
  return {static_cast<time_t>(us / 1'000'000), static_cast<suseconds_t>(us % 1'000'000)};
}

int milliseconds_until(time_point until) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - steady_clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000));
}

tl::unexpected<error> broken(const redisContext& context) {
  return fail(errc::unavailable, std::string("the connection to Redis broke: ") + context.errstr);
}

#ifdef RESEQ_REDIS_TLS

/// The certificate must be for `host`, which may be an address.
bool expect_name(SSL* session, const std::string& host) {
  if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), host.c_str()) == 1) return true;
  return SSL_set1_host(session, host.c_str()) == 1 && SSL_set_tlsext_host_name(session, host.c_str()) == 1;
}

#endif

} // namespace

void reply::free_reply::operator()(redisReply* owned) const { freeReplyObject(owned); }

reply::reply(redisReply* owned) : owned_(owned), seen_(owned) {}

reply::kind reply::type() const {
  switch (seen_->type) {
  case REDIS_REPLY_INTEGER: return kind::integer;
  case REDIS_REPLY_ARRAY: return kind::list;
  case REDIS_REPLY_STRING:
  case REDIS_REPLY_STATUS: return kind::text;
  case REDIS_REPLY_ERROR: return kind::error;
  default: return kind::nil; // others need RESP3, which is not asked for
  }
}

std::string_view reply::text() const {
  const auto what = type();
  return what == kind::text || what == kind::error ? std::string_view{seen_->str, static_cast<std::size_t>(seen_->len)}
                                                   : std::string_view{};
}

std::int64_t reply::integer() const { return type() == kind::integer ? seen_->integer : 0; }

std::size_t reply::size() const { return type() == kind::list ? seen_->elements : 0; }

reply reply::operator[](std::size_t i) const {
  const redisReply* part = seen_->element[i];
  return reply{part};
}

void channel::free_context::operator()(redisContext* context) const { redisFree(context); }

result<channel> channel::adopt(redisContext* connected, const std::string& where) {
  if (connected == nullptr) return fail(errc::unavailable, "no memory for a connection to Redis", where);
  channel made(connected);
  if (connected->err != 0)
    return fail(errc::unavailable, std::string("cannot connect to Redis: ") + connected->errstr, where);
  return made;
}

result<channel> channel::connect_tcp(const std::string& host, std::uint16_t port, time_point until) {
  auto made = adopt(redisConnectWithTimeout(host.c_str(), port, left_until(until)), host + ":" + std::to_string(port));
  if (made) redisEnableKeepAlive(made->context_.get());
  return made;
}

result<channel> channel::connect_unix(const std::string& path, time_point until) {
  return adopt(redisConnectUnixWithTimeout(path.c_str(), left_until(until)), path);
}

#ifdef RESEQ_REDIS_TLS

bool channel::has_tls() { return true; }

result<void> channel::start_tls(const std::string& host, time_point until) {
  redisInitOpenSSL();
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> settings(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  if (!settings || SSL_CTX_set_default_verify_paths(settings.get()) != 1)
    return fail(errc::internal, "OpenSSL cannot be set up", host);
  SSL_CTX_set_min_proto_version(settings.get(), TLS1_2_VERSION);
  SSL_CTX_set_verify(settings.get(), SSL_VERIFY_PEER, nullptr);
  std::unique_ptr<SSL, decltype(&SSL_free)> session(SSL_new(settings.get()), SSL_free);
  if (!session || !expect_name(session.get(), host)) return fail(errc::internal, "OpenSSL cannot be set up", host);
  redisSetTimeout(context_.get(), left_until(until));
  // hiredis frees the session with the context, and on failure too.
  if (redisInitiateSSL(context_.get(), session.release()) != REDIS_OK)
    return fail(errc::unavailable, std::string("TLS with Redis failed: ") + context_->errstr, host);
  return {};
}

#else

bool channel::has_tls() { return false; }

result<void> channel::start_tls(const std::string& host, time_point /*until*/) {
  return fail(errc::invalid, "rediss:// needs hiredis 1.0 or later; this program was built with an earlier one", host);
}

#endif

void channel::append(const command& what) {
  std::vector<const char*> arguments(what.size());
  std::vector<std::size_t> lengths(what.size());
  for (std::size_t i = 0; i < what.size(); ++i) {
    arguments[i] = what[i].data();
    lengths[i] = what[i].size();
  }
  redisAppendCommandArgv(context_.get(), static_cast<int>(what.size()), arguments.data(), lengths.data());
}

result<reply> channel::receive(time_point until) {
  // hiredis's own timeouts begin again with each piece of an answer; here one deadline counts. So the socket never
  // blocks, whatever hiredis was told while it connected.
  if ((context_->flags & REDIS_BLOCK) != 0) {
    context_->flags &= ~REDIS_BLOCK;
    fcntl(context_->fd, F_SETFL, fcntl(context_->fd, F_GETFL) | O_NONBLOCK);
  }
  for (bool too_late = false;;) {
    void* answer = nullptr;
    if (redisReaderGetReply(context_->reader, &answer) != REDIS_OK)
      return fail(errc::corrupt, std::string("what Redis sent is no answer: ") + context_->reader->errstr);
    if (answer != nullptr) return reply{static_cast<redisReply*>(answer)};
    if (too_late) return fail(errc::unavailable, "Redis did not answer in time");
    too_late = steady_clock::now() >= until; // what is there already still counts
    if (auto fine = exchange(until); !fine) return tl::unexpected(std::move(fine.error()));
  }
}

/// Writes what can be written, and reads what has come; waits for one of them, or for the time.
result<void> channel::exchange(time_point until) {
  int all_sent = 0;
  if (redisBufferWrite(context_.get(), &all_sent) != REDIS_OK) return broken(*context_);
  pollfd wait{context_->fd, static_cast<short>(all_sent != 0 ? POLLIN : POLLIN | POLLOUT), 0};
  const int ready = poll(&wait, 1, milliseconds_until(until));
  if (ready < 0 && errno != EINTR) return fail(errc::unavailable, std::string("poll: ") + std::strerror(errno));
  if (ready > 0 && (wait.revents & ~POLLOUT) != 0 && redisBufferRead(context_.get()) != REDIS_OK)
    return broken(*context_);
  return {};
}

} // namespace reseq::store::redis
