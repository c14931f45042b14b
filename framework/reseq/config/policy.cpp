#include "reseq/config/policy.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <string_view>
#include <system_error>

#include "reseq/config/file.hpp"
#include "reseq/config/keys.hpp"

namespace reseq::config {
namespace {

/// A value that takes part in a comparison, with the last part of its key.
struct operand {
  std::string key;
  std::string shown;
};

/// Which of `known` was probably meant, or all of them.
std::string meant(const std::string& wanted, const std::vector<std::string>& known) {
  if (const auto one = nearest(wanted, known)) return "; the nearest is " + in_quotes(*one);
  std::string all;
  for (const auto& one : known) all += (all.empty() ? "; known: " : ", ") + one;
  return all;
}

class policy {
public:
  policy(const source& from, findings& found) : from_(from), transforms_(from.transforms), found_(found) {}

  void check(const settings& all) {
    refuse_if(all.http.max_batch < all.http.max_message, "http", {"max_batch", format_size(all.http.max_batch)},
              "cannot be less than", {"max_message", format_size(all.http.max_message)});
    check_store(all.store);
    // Who is told of a wrong name there is to be told of wrong transforms at the same time.
    selects_none_ = std::ranges::none_of(all.worker.pipelines, [&](const std::string& name) {
      return std::ranges::find(all.pipelines, name, &pipeline_settings::name) != all.pipelines.end();
    });
    std::map<std::string, int> names;
    for (const auto& p : all.pipelines) {
      const auto label = member_label("pipeline", p.name);
      refuse_second(names, p.name, label);
      check_pipeline(p, label);
      if (runs(all.worker, p)) check_known(p, label);
    }
    check_selection(all);
    check_any(all);
    warn_of_strangers("http.listen", all.http.listen, "http.token", all.http.token, "submit messages");
    warn_of_strangers("http.listen", all.http.listen, "http.control_token", all.http.control_token,
                      "read messages, skip them and pause destinations");
    warn_of_strangers("cluster.listen", all.cluster.listen, "cluster.token", all.cluster.token,
                      "get messages to work on, and answer them");
  }

private:
  void check_any(const settings& all) {
    const bool tried = found_.faulty("pipeline") || found_.written(member_label("pipeline", placeholder_name(0)));
    if (from_.reader == role::none || tried || !all.pipelines.empty()) return;
    found_.add({from_.path, 0}, "pipeline",
               "none is configured: add a [[pipeline]] to the file that --config names; conf/embedded.toml shows one");
  }

  void warn_of_strangers(const std::string& listen, const std::string& address, const std::string& token_key,
                         const std::string& token, const std::string& can) {
    if (from_.reader != role::supervisor || !token.empty() || is_loopback(address)) return;
    if (found_.faulty(listen) || found_.faulty(token_key)) return;
    found_.warn(found_.origin_of(listen), listen,
                "other machines may reach it, and " + token_key + " is empty: whoever does can " + can);
  }

  /// Workers are often told of no destination: those are in the supervisor's file.
  void check_any_destination(const pipeline_settings& p, const std::string& label) {
    const auto key = label + ".destination";
    const bool tried = found_.faulty(key) || found_.written(member_label(key, placeholder_name(0)));
    if (from_.reader != role::supervisor || tried || !p.destinations.empty()) return;
    add(key,
        "there is none, and messages would be taken and lost: add a [[pipeline.destination]] with name and url below "
        "the [[pipeline]]");
  }

  void check_store(const store_settings& s) {
    static const auto usual = presets<settings>().store;
    if (s.kind == "postgres") {
      const auto* const why = "has an effect with kind = \"embedded\" only; reseqctl recover is for PostgreSQL";
      refuse_unused(s.accept_loss, "store.accept_loss", "store.kind", why);
      check_openable(from_.check_postgres, s.postgres, "store.postgres");
      return check_openable(from_.check_redis, s.redis, "store.redis");
    }
    const auto* const why = "has an effect with kind = \"postgres\" only";
    refuse_unused(s.postgres != usual.postgres, "store.postgres", "store.kind", why);
    refuse_unused(s.redis != usual.redis && !s.redis.empty(), "store.redis", "store.kind", why);
    refuse_unused(s.redis_timeout != usual.redis_timeout, "store.redis_timeout", "store.kind", why);
    refuse_unused(s.keep_results_over != usual.keep_results_over, "store.keep_results_over", "store.kind", why);
  }

  /// Whether this program runs the pipeline's transforms itself.
  bool runs(const worker_settings& worker, const pipeline_settings& p) const {
    return !transforms_.empty() && worker.slots > 0 &&
           (selects_none_ || worker.pipelines.empty() ||
            std::ranges::find(worker.pipelines, p.name) != worker.pipelines.end());
  }

  void check_known(const pipeline_settings& p, const std::string& label) {
    check_known(p.transforms, label);
    for (const auto& d : p.destinations) check_known(d.transforms, member_label(label + ".destination", d.name));
  }

  void check_known(const std::vector<transform_settings>& all, const std::string& around) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto key = member_label(around + ".transform", placeholder_name(i)) + ".use";
      if (found_.faulty(key) || std::ranges::find(transforms_, all[i].use) != transforms_.end()) continue;
      add(key, in_quotes(all[i].use) + " is no transform of this program" + meant(all[i].use, transforms_) +
                 (from_.reader == role::worker ? "" : " (where only workers elsewhere have it, set worker.slots = 0)"));
    }
  }

  void check_selection(const settings& all) {
    std::vector<std::string> names;
    for (const auto& p : all.pipelines)
      if (!is_placeholder(p.name)) names.push_back(p.name);
    if (names.empty() || found_.faulty("worker.pipelines")) return;
    for (const auto& wanted : all.worker.pipelines) {
      if (std::ranges::find(names, wanted) != names.end()) continue;
      add("worker.pipelines", in_quotes(wanted) + " is no pipeline" + meant(wanted, names));
    }
  }

  void check_pipeline(const pipeline_settings& p, const std::string& label) {
    check_keys(p, label);
    const auto& r = p.retry;
    const auto retry = label + ".retry";
    const operand longest{"max_timeout", format_duration(r.max_timeout)};
    refuse_if(r.timeout > r.max_timeout, retry, {"timeout", format_duration(r.timeout)}, "cannot be more than",
              longest);
    refuse_if(r.jitter > r.max_timeout, retry, {"jitter", format_duration(r.jitter)}, "cannot be more than", longest);
    check_transforms(p.transforms, label);
    check_any_destination(p, label);
    std::map<std::string, int> names;
    for (const auto& d : p.destinations) {
      const auto destination = member_label(label + ".destination", d.name);
      refuse_second(names, d.name, destination);
      check_destination(d, destination);
    }
  }

  void check_destination(const destination_settings& d, const std::string& label) {
    const bool untold = from_.reader == role::worker && d.url.empty();
    check_keys(d, label, untold ? "url" : "");
    check_room(d, label);
    if (d.order == delivery_order::key) check_by_key(d, label);
    check_unused(d, label);
    if (is_stream(d.url)) check_openable(from_.check_stream, d.url, label + ".url");
    if (d.url.starts_with("postgresql://")) check_openable(from_.check_postgres, d.url, label + ".url");
    if (!untold) {
      check_table_or_function(d, label);
      check_file(d, label);
    }
    check_transforms(d.transforms, label);
  }

  void check_unused(const destination_settings& d, const std::string& label) {
    static const destination_settings usual;
    if (d.order == delivery_order::total) {
      const auto* const why = "has an effect with order = \"key\" only";
      refuse_unused(d.connections != usual.connections, label + ".connections", label + ".order", why);
      refuse_unused(d.max_blocked_keys != usual.max_blocked_keys, label + ".max_blocked_keys", label + ".order", why);
    }
    const bool file = d.url.starts_with("file://");
    const auto* const waits = "has no effect with a file, which is not waited for";
    refuse_unused(file && d.timeout != usual.timeout, label + ".timeout", label + ".url", waits);
    const auto refuses = "has no effect with a " + std::string(file ? "file" : "stream") + ", which refuses no message";
    refuse_unused((file || is_stream(d.url)) && d.on_refused != usual.on_refused, label + ".on_refused", label + ".url",
                  refuses);
  }

  static bool is_stream(const std::string& url) {
    constexpr std::array schemes{"redis://", "rediss://", "unix://", "redis-sentinel://", "rediss-sentinel://"};
    return std::ranges::any_of(schemes, [&](const char* scheme) { return url.starts_with(scheme); });
  }

  void check_table_or_function(const destination_settings& d, const std::string& label) {
    if (found_.faulty(label + ".url") || (!d.in_transaction && !d.url.starts_with("postgresql://"))) return;
    if (auto wrong = d.in_transaction ? check_no_table(d.url) : check_table(d.url)) add(label + ".url", *wrong);
  }

  /// A request must fit; of order by key two, for a key whose receiver fails must leave room for the others.
  void check_room(const destination_settings& d, const std::string& label) {
    const bool by_key = d.order == delivery_order::key;
    const auto least = by_key ? 2 * d.batch : d.batch;
    const auto relation = by_key ? "with order = \"key\" cannot be less than twice" : "cannot be less than";
    const operand batch{"batch", std::to_string(d.batch)};
    refuse_if(d.max_unsaved < least, label, {"max_unsaved", std::to_string(d.max_unsaved)}, relation, batch);
    refuse_if(d.window < least, label, {"window", std::to_string(d.window)}, relation, batch);
  }

  void check_by_key(const destination_settings& d, const std::string& label) {
    if (found_.faulty(label + ".order")) return;
    if (d.url.starts_with("file://"))
      add(label + ".order", "cannot be \"key\" for a file, which is written in one order");
    if (d.url.starts_with("postgresql://"))
      add(label + ".order", d.in_transaction ? "cannot be \"key\" for a function, which is called in one order"
                                             : "cannot be \"key\" for a table, which is written in one order");
    if (is_stream(d.url)) add(label + ".order", "cannot be \"key\" for a stream, which is written in one order");
  }

  /// A file, a table or a stream belongs to one destination: two would take each other's messages for their own.
  void check_file(const destination_settings& d, const std::string& label) {
    constexpr std::string_view scheme = "file://";
    if (d.url.starts_with("http://") || found_.faulty(label + ".url")) return;
    if (d.in_transaction) return;
    if (!d.url.starts_with(scheme)) {
      const auto [other, is_first] = files_.emplace(d.url, label);
      if (!is_first) add(label + ".url", "is that of " + other->second + " as well");
      return;
    }
    const auto path = std::filesystem::path(d.url.substr(scheme.size())).lexically_normal();
    const auto [first, is_new] = files_.emplace(path.string(), label);
    if (!is_new) add(label + ".url", "is the file of " + first->second + " as well");
    warn_of_no_folder(label + ".url", path.parent_path());
  }

  /// No problem: the start takes it as well, for it may come later, or this be another machine than the supervisor's.
  void warn_of_no_folder(const std::string& key, const std::filesystem::path& folder) {
    if (from_.reader != role::supervisor) return;
    using std::filesystem::file_type;
    std::error_code hidden; // from whoever checks, and perhaps not from whoever starts
    const auto there = std::filesystem::status(folder, hidden).type();
    if (there == file_type::directory || there == file_type::none) return;
    found_.warn(found_.origin_of(key), key, "the file's folder is not there: deliveries are tried again until it is");
  }

  void check_transforms(const std::vector<transform_settings>& all, const std::string& around) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto label = member_label(around + ".transform", placeholder_name(i));
      check_keys(all[i], label);
      if (all[i].use == "delay") {
        check_delay(all[i].delay, label);
      } else {
        refuse_delay_keys(label);
      }
    }
  }

  void check_delay(const delay_settings& d, const std::string& label) {
    // Only the uniform distribution needs an upper end; for the others 0s says that there is none.
    const bool ends = d.distribution == delay_settings::shape::uniform || d.max != duration{};
    refuse_if(ends && d.min > d.max, label, {"min", format_duration(d.min)}, "cannot be more than",
              {"max", format_duration(d.max)});
    const auto sum = d.fail_rate + d.hang_rate + d.crash_rate;
    constexpr double rounding = 1e-9;
    if (sum > 1 + rounding && !any_faulty(label, {"fail_rate", "hang_rate", "crash_rate"})) {
      add(label + ".fail_rate",
          "fail_rate, hang_rate and crash_rate are " + show_number(sum) + " together, which is more than 1");
    }
  }

  void refuse_delay_keys(const std::string& label) {
    if (found_.faulty(label + ".use")) return;
    for (const auto& row : options<transform_settings>()) {
      const auto key = label + "." + std::string(row.key);
      const bool of_delay = row.takes.set && row.key != "use";
      if (of_delay && found_.written(key) && !found_.faulty(key)) add(key, "is a key of use = \"delay\" only");
    }
  }

  template <class T>
  void check_keys(const T& target, const std::string& label, std::string_view but_for = {}) {
    for (const auto& row : options<T>()) {
      const auto key = label + "." + std::string(row.key);
      if (!row.takes.check || row.key == but_for || found_.faulty(key)) continue;
      if (auto wrong = row.takes.check(target)) add(key, *wrong);
    }
  }

  void check_openable(const std::function<complaint(std::string_view)>& check, const std::string& url,
                      const std::string& key) {
    if (from_.reader != role::supervisor || !check || url.empty() || found_.faulty(key)) return;
    if (auto wrong = check(url)) add(key, *wrong);
  }

  /// `says`: `key` says something other than its default, on which nothing acts because of what `by` says.
  void refuse_unused(bool says, const std::string& key, const std::string& by, const std::string& why) {
    if (!says || !found_.written(key) || found_.faulty(key) || found_.faulty(by)) return;
    const auto at = found_.origin_of(key);
    // An environment may be shared: what it says may be meant for another program's start.
    if (at.environment) return;
    // A file is whole with what `by` says there; what overrides that is meant for one start.
    const bool overridden = at.line > 0 && found_.written(by) && found_.origin_of(by).line == 0;
    if (!overridden) found_.add_conflict(at, key, why);
  }

  /// Two members of the file with one name were found there; this is for what C++ composed.
  void refuse_second(std::map<std::string, int>& names, const std::string& name, const std::string& label) {
    if (++names[name] == 2) add(label, "is there twice");
  }

  void refuse_if(bool wrong, const std::string& label, const operand& a, const std::string& relation,
                 const operand& b) {
    if (!wrong || any_faulty(label, {a.key, b.key})) return;
    // The key that the user wrote is the one to point at; the other may be a default.
    const bool only_b = found_.written(label + "." + b.key) && !found_.written(label + "." + a.key);
    const auto key = label + "." + (only_b ? b.key : a.key);
    found_.add_conflict(found_.origin_of(key), key,
                        a.key + " (" + a.shown + ") " + relation + " " + b.key + " (" + b.shown + ")");
  }

  bool any_faulty(const std::string& label, std::initializer_list<std::string> keys) const {
    for (const auto& key : keys) {
      if (found_.faulty(label + "." + key)) return true;
    }
    return false;
  }

  void add(const std::string& key, std::string what) { found_.add(found_.origin_of(key), key, std::move(what)); }

  const source& from_;
  const std::vector<std::string>& transforms_;
  findings& found_;
  bool selects_none_ = false;                ///< `worker.pipelines` has no pipeline that there is
  std::map<std::string, std::string> files_; ///< the destination that a file belongs to
};

} // namespace

void check_policy(const settings& all, const source& from, findings& found) { policy(from, found).check(all); }

} // namespace reseq::config
