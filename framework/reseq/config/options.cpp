#include "reseq/config/options.hpp"

#include <chrono>
#include <limits>

#include "reseq/config/toml.hpp"

namespace reseq::config {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t KiB = 1U << 10U;
constexpr std::uint64_t MiB = 1U << 20U;
constexpr std::uint64_t GiB = 1U << 30U;
constexpr auto day = 24h;

complaint not_empty(const std::string& value) {
  if (!value.empty()) return {};
  return "must not be empty";
}

complaint transform_name(const std::string& value) {
  if (value.empty()) return "is missing";
  if (value == "command" || value == "http") return in_quotes(value) + " is not available in this version";
  return {};
}

complaint name_or_empty(const std::string& value) { return value.empty() ? complaint{} : check_name(value); }
complaint listening(const std::string& value) { return check_address(value, 0); }
complaint reachable(const std::string& value) { return check_address(value, 1); }

const std::vector<std::pair<std::string, give_up>> give_up_words{{"hold", give_up::hold},
                                                                 {"dead_letter", give_up::dead_letter}};

using shapes = delay_settings::shape;

const std::string no_leases = "the embedded store uses a file lock, and PostgreSQL serves who started last";

} // namespace

template <>
const std::vector<option<settings>>& options<settings>() {
  using row = settings;
  using strings = std::vector<std::pair<std::string, std::string>>;
  static const std::vector<option<settings>> rows{
    {"node.name", R"("")", text(at(&row::node, &node_settings::name), "name", name_or_empty),
     "this process in logs and leases; empty: the host's name, made to fit"},
    {"node.data_dir", R"("./reseq-data")", text(at(&row::node, &node_settings::data_dir), "path", not_empty),
     "where the embedded store keeps its files; made if it is not there"},
    {"node.drain_timeout", R"("10s")", span(at(&row::node, &node_settings::drain_timeout), 100ms, 1h),
     "how long a stopping program may take to finish what is being sent"},

    {"store.kind", R"("embedded")",
     choice(at(&row::store, &store_settings::kind), strings{{"embedded", "embedded"}, {"postgres", "postgres"}}),
     "what keeps the messages: embedded needs no server, postgres is a database"},
    {"store.postgres", R"("postgresql://reseq@localhost/reseq")",
     text(at(&row::store, &store_settings::postgres), "URL", check_postgres_url),
     "kind = \"postgres\": the database, in UTF-8; its role owns the schema reseq there, or may create it"},
    {"store.redis", R"("redis://localhost:6379/0")",
     text(at(&row::store, &store_settings::redis), "URL", check_redis_url),
     "kind = \"postgres\": the server that has the lanes; empty: they are in the supervisor's memory alone"},
    {"store.redis_timeout", R"("200ms")", span(at(&row::store, &store_settings::redis_timeout), 1ms, 1min),
     "after this long without an answer of Redis memory goes on"},
    {"store.keep_results_over", R"("5ms")", span(at(&row::store, &store_settings::keep_results_over), 0ms, 1h),
     "results of transforms that took at least this long are kept in Redis: a crash does not repeat the work"},
    {"store.lease", R"("postgres")", later<row>("word", shape::text, no_leases), "what decides who owns a shard"},
    {"store.lease_ttl", R"("2s")", later<row>("duration", shape::other, no_leases),
     "how long an owner that is silent stays the owner"},
    {"store.retention", R"("7d")", span(at(&row::store, &store_settings::retention), 1min, 3650 * day),
     "how long settled messages and message ids are kept; what is undelivered stays"},
    {"store.accept_loss", "false", boolean(at(&row::store, &store_settings::accept_loss)),
     "embedded, for one start: go on although the data directory is older than what was confirmed"},

    {"http.listen", R"("127.0.0.1:8080")", text(at(&row::http, &http_settings::listen), "HOST:PORT", listening),
     "ingress, control and metrics; port 0: any free one"},
    {"http.max_message", R"("1MiB")", size(at(&row::http, &http_settings::max_message), 1, 256 * MiB),
     "largest payload of a message; not above max_batch"},
    {"http.max_batch", R"("16MiB")", size(at(&row::http, &http_settings::max_batch), KiB, 512 * MiB),
     "largest request with a batch of messages, of which there may be 10,000"},
    {"http.max_result", R"("16MiB")", size(at(&row::http, &http_settings::max_result), 1, 256 * MiB),
     "largest payload that a transform may answer"},
    {"http.max_carried", R"("8KiB")", size(at(&row::http, &http_settings::max_carried), 0, 64 * KiB),
     "largest sum of a message's headers that destinations get (carry): many receivers refuse larger ones"},
    {"http.tls_certificate", R"("")", later<row>("path", shape::text), "PEM file; with tls_key: HTTPS"},
    {"http.tls_key", R"("")", later<row>("path", shape::text), "PEM file; with tls_certificate: HTTPS"},
    {"http.token", R"("")", text(at(&row::http, &http_settings::token), "token", check_token),
     "if set, producers need the header Authorization: Bearer TOKEN"},
    {"http.control_token", R"("")", text(at(&row::http, &http_settings::control_token), "token", check_token),
     "if set, everything but submitting, /livez and /readyz needs this one"},

    {"tcp.listen", R"("")", later<row>("HOST:PORT", shape::text), "turns the TCP ingress on"},
    {"tcp.pipeline", R"("")", later<row>("name", shape::text), "the pipeline of lines that name none"},

    {"cluster.listen", R"("127.0.0.1:4040")",
     text(at(&row::cluster, &cluster_settings::listen), "HOST:PORT", listening),
     "where workers connect, 0.0.0.0:PORT to let other machines in; port 0: any free one"},
    {"cluster.advertise", R"("")", later<row>("HOST:PORT", shape::text),
     "how others reach this supervisor; empty: as listen says"},
    {"cluster.supervisors", R"(["127.0.0.1:4040"])",
     texts(at(&row::cluster, &cluster_settings::supervisors), "list of HOST:PORT", reachable), "whom workers look for"},
    {"cluster.token", R"("")", text(at(&row::cluster, &cluster_settings::token), "token", check_token),
     "the same on all nodes; who has another one is refused"},
    {"cluster.tls_certificate", R"("")", later<row>("path", shape::text),
     "PEM file; with tls_key and tls_ca: mutual TLS"},
    {"cluster.tls_key", R"("")", later<row>("path", shape::text), "PEM file"},
    {"cluster.tls_ca", R"("")", later<row>("path", shape::text), "PEM file"},

    {"worker.slots", "64", whole(at(&row::worker, &worker_settings::slots), 0, 65536),
     "messages that this process transforms at once; 0: the supervisor starts no worker of its own"},
    {"worker.pipelines", "[]", texts(at(&row::worker, &worker_settings::pipelines), "list of names", check_name),
     "whose messages this worker takes; empty: all"},

    {"log.level", R"("info")",
     choice(at(&row::log, &log_settings::level),
            strings{{"trace", "trace"}, {"debug", "debug"}, {"info", "info"}, {"warn", "warn"}, {"error", "error"}}),
     "the least important events that are logged"},
    {"log.format", R"("text")",
     choice(at(&row::log, &log_settings::format), strings{{"text", "text"}, {"json", "json"}}),
     "how events are written to stderr, one a line"},
  };
  return rows;
}

template <>
const std::vector<option<pipeline_settings>>& options<pipeline_settings>() {
  using row = pipeline_settings;
  using retry = retry_settings;
  static const std::vector<option<pipeline_settings>> rows{
    {"name", R"("orders")", required(text(at(&row::name), "name", check_name)), "in URLs, logs and metrics"},
    {"shards", "1",
     later<row>("integer", shape::other, "one supervisor owns all of a journal, so more shards gain nothing"),
     "units of ownership and order"},
    {"key_versions", "false", later<row>("boolean"), "whether Reseq-Expect-Version works"},
    {"on_held", R"("")", later<row>("command or URL", shape::text), "what is told when a message is held"},
    {"carry", R"(["traceparent", "tracestate", "ce-*"])",
     texts(at(&row::carry), "list of header names or globs", check_header_glob),
     "producers' headers that destinations get"},

    {"retry.timeout", R"("2s")", span(at(&row::retry, &retry::timeout), 1ms, 1h),
     "no answer to the first attempt within this: it is dispatched again; not above max_timeout"},
    {"retry.jitter", R"("1s")", span(at(&row::retry, &retry::jitter), 0s, 1h),
     "largest random delay before the second attempt; not above max_timeout"},
    {"retry.multiplier", "2.0", number(at(&row::retry, &retry::multiplier), 1, 100),
     "timeout and jitter grow by this with each attempt"},
    {"retry.max_timeout", R"("60s")", span(at(&row::retry, &retry::max_timeout), 1ms, day),
     "timeout and jitter never grow beyond this"},
    {"retry.max_attempts", "5", whole(at(&row::retry, &retry::max_attempts), 1, 1'000'000),
     "after so many failed attempts, and give_up_after, the message is given up"},
    {"retry.give_up_after", R"("1m")", span(at(&row::retry, &retry::give_up_after), 0s, 365 * day),
     "no message is given up sooner after its first attempt"},
    {"retry.hedge", "true", boolean(at(&row::retry, &retry::hedge)),
     "whether a message that holds ready ones back for unusually long goes to another worker, too; at most one in "
     "twenty"},
    {"retry.on_exhausted", R"("hold")", choice(at(&row::retry, &retry::on_exhausted), give_up_words),
     "a message that is given up is held for a person, or recorded as a dead letter and passed"},
  };
  return rows;
}

template <>
const std::vector<option<transform_settings>>& options<transform_settings>() {
  using row = transform_settings;
  using delay = delay_settings;
  static const std::vector<option<transform_settings>> rows{
    {"use", R"("delay")", required(text(at(&row::use), "word", transform_name)),
     "the name it is registered under in C++; built in are identity and delay (for trials and tests)"},
    {"command", "[]", later<row>("list of strings", shape::items), "use = \"command\": the program and its arguments"},
    {"processes", "1", later<row>("integer"), "use = \"command\": how many copies of the program run"},
    {"concurrency", "0", later<row>("integer"), "use = \"command\": messages a copy has at once; 0: worker.slots"},
    {"url", R"("")", later<row>("URL", shape::text), "use = \"http\": the service to post to"},
    {"min", R"("0s")", span(at(&row::delay, &delay::min), 0s, day),
     "use = \"delay\": shortest time; the fixed one, the exponential one's mean"},
    {"max", R"("0s")", span(at(&row::delay, &delay::max), 0s, day),
     "use = \"delay\": longest time; 0s: no end to the exponential one"},
    {"distribution", R"("uniform")",
     choice(at(&row::delay, &delay::distribution),
            {{"uniform", shapes::uniform}, {"exponential", shapes::exponential}, {"fixed", shapes::fixed}}),
     "use = \"delay\": how the times lie"},
    {"fail_rate", "0.0", number(at(&row::delay, &delay::fail_rate), 0, 1),
     "use = \"delay\": share of attempts that fail"},
    {"hang_rate", "0.0", number(at(&row::delay, &delay::hang_rate), 0, 1),
     "use = \"delay\": share of attempts that never answer"},
    {"crash_rate", "0.0", number(at(&row::delay, &delay::crash_rate), 0, 1),
     "use = \"delay\": share of attempts that kill the worker's process"},
    {"seed", "0", whole(at(&row::delay, &delay::seed), 0, std::numeric_limits<std::int64_t>::max()),
     "use = \"delay\": the same seed misbehaves the same way; 0: another one at each start"},
  };
  return rows;
}

template <>
const std::vector<option<destination_settings>>& options<destination_settings>() {
  using row = destination_settings;
  static const std::vector<option<destination_settings>> rows{
    {"name", R"("billing")", required(text(at(&row::name), "name", check_name)), "unique in its pipeline"},
    {"url", R"("http://127.0.0.1:9100/billing")", required(text(at(&row::url), "URL", check_url)),
     "where messages are posted to (http://), the file they are appended to (file:///path; its folder must exist), or "
     "what they are inserted into: a table (postgresql://…?table=T) or a Redis stream (redis://…?stream=S)"},
    {"order", R"("total")", choice(at(&row::order), {{"total", delivery_order::total}, {"key", delivery_order::key}}),
     "order of all, or within each key only (Reseq-Key; messages without one are a key too); only for HTTP"},
    {"connections", "8", whole(at(&row::connections), 1, 1000),
     "order = \"key\": how many requests, of different keys, may be under way at once"},
    {"batch", "1", whole(at(&row::batch), 1, 10'000),
     "how many messages one request may carry; not above window, with order = \"key\" not above half of it"},
    {"timeout", R"("30s")", span(at(&row::timeout), 1ms, 1h), "how long the receiver may take to answer"},
    {"window", "1024", whole(at(&row::window), 1, 1'000'000), "messages that are pending or ready at once"},
    {"window_bytes", R"("64MiB")", size(at(&row::window_bytes), KiB, 1024 * GiB),
     "and their bytes; a single message may be larger"},
    {"max_pending", "1_000_000", whole(at(&row::max_pending), 1, 1'000'000'000'000),
     "messages accepted and not yet settled; past it producers get 429"},
    {"max_unsaved", "256", whole(at(&row::max_unsaved), 1, 1'000'000),
     "messages sent ahead of saved progress, which a crash may send again; not below batch, with order = \"key\" not "
     "below twice that"},
    {"retry_max", R"("60s")", span(at(&row::retry_max), 1ms, day),
     "longest wait between tries of a failing receiver; its Retry-After may say more, an hour at most"},
    {"on_refused", R"("hold")", choice(at(&row::on_refused), give_up_words),
     "a message that the receiver refuses is held for a person, or recorded as a dead letter and passed"},
    {"max_dead_letters", "100", whole(at(&row::max_dead_letters), 1, 1'000'000),
     "dead letters in a row; after that the destination is held"},
    {"secret", "[]", later<row>("list of strings", shape::items), "Standard Webhooks secrets that sign deliveries"},
    {"max_blocked_keys", "1024", whole(at(&row::max_blocked_keys), 1, 1'000'000),
     "order = \"key\": how many keys that do not move may wait outside of the window; past it all keys wait"},
    {"when", "{}", headers(at(&row::when)),
     "which messages go here: all headers must match their shell glob; empty: every message"},
    {"start", R"("now")", later<row>("\"now\" or \"beginning\"", shape::text),
     "where a destination that is added later begins"},
  };
  return rows;
}

node preset_value(std::string_view preset) { return *parse_toml_value(preset); }

} // namespace reseq::config
