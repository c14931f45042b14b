/// The C++ way to compose a pipeline: values that check, while compiling, that each transform takes what the one
/// before it returns. Building starts nothing; every call returns a new value and leaves the one it was called on.
///
///     auto orders = reseq::pipeline("orders")
///                     .transform("parse", [](const reseq::message& m) { return order::from_json(m.payload()); })
///                     .transform("enrich", lookup_customer).version("2")
///                     .transform("render", &order::to_json)
///                     .destination("billing", "http://127.0.0.1:9100/billing");
///
/// A transform is any callable. The first of a chain takes `const message&` (or `message`), each next one what the
/// one before it returns, and the last returns a payload: a string, a vector of bytes, `content` or `outcome`. Each may
/// also take a `const attempt_context&` as its second parameter. Any may return `std::optional` (empty: the message
/// goes nowhere), `to({"billing"}, value)` (only there), or throw (a failed attempt; `permanent_error`: the last one).
/// Many threads call a transform at once. What is a transform's fingerprint: its name, types and version, never its
/// code.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "reseq/model/settings.hpp"
#include "reseq/model/transaction.hpp"
#include "reseq/pipeline/chain.hpp"
#include "reseq/pipeline/typed_step.hpp"

namespace reseq {

/// A chain under construction: `Last` is what its `Count` transforms return so far.
/// `reseq::transforms().transform("redact", f)` is the chain of one destination: it starts from the common chain's
/// content, presented as a message with the id and the key of the first.
template <class Last = message, unsigned Count = 0>
class transforms {
public:
  transforms() = default;

  /// This chain with `f` after it. `name` is for people, logs and the fingerprint.
  template <class Transform>
  [[nodiscard]] auto transform(std::string name, Transform f) const {
    using next = typename detail::value_after<Count + 1, Last, Transform>::type;
    auto steps = steps_;
    if constexpr (!std::is_same_v<next, detail::misfit>)
      steps.push_back(detail::make_step<Count + 1, Last>(std::move(name), std::move(f)));
    return transforms<next, Count + 1>(std::move(steps));
  }

  /// This chain with a version for the transform added last: change it when the transform's results change.
  [[nodiscard]] transforms version(std::string text) const {
    static_assert(Count > 0, "reseq: version() follows the transform that it is the version of");
    auto next = *this;
    if (!next.steps_.empty()) next.steps_.back().version = std::move(text);
    return next;
  }

  /// The finished chain. Does not compile unless it ends in a payload.
  [[nodiscard]] chain finish() const {
    if constexpr (detail::ends_in_payload<Last, Count>())
      return chain(steps_);
    else
      return {};
  }

private:
  template <class, unsigned>
  friend class transforms;

  explicit transforms(std::vector<step> steps) : steps_(std::move(steps)) {}

  std::vector<step> steps_;
};

/// A single transform, message to payload, to be registered for use from TOML (`use = "enrich"`).
class transform {
public:
  template <class Transform>
  transform(std::string name, Transform f)
    : name_(name), chain_(transforms().transform(std::move(name), std::move(f)).finish()) {}

  /// The same with a version: change it when the transform's results change.
  [[nodiscard]] transform version(std::string text) const;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const reseq::chain& as_chain() const { return chain_; }

private:
  std::string name_;
  chain chain_;
};

/// A destination with its tuning and transforms. Meanings, units and bounds are those of `destination_settings`;
/// they are checked together with the configuration, which wins.
class destination {
public:
  explicit destination(std::string name, std::string url = {});

  [[nodiscard]] destination url(std::string value) const;
  [[nodiscard]] destination order(delivery_order what) const;
  /// With `delivery_order::key`: requests of different keys at once.
  [[nodiscard]] destination connections(std::uint32_t at_once) const;
  /// With `delivery_order::key`: keys that do not move and may be left out of the window.
  [[nodiscard]] destination max_blocked_keys(std::uint32_t keys) const;
  [[nodiscard]] destination batch(std::uint32_t messages) const;
  [[nodiscard]] destination timeout(duration of_one_request) const;
  [[nodiscard]] destination window(std::uint32_t messages) const;
  [[nodiscard]] destination window_bytes(std::uint64_t bytes) const;
  [[nodiscard]] destination max_pending(std::uint64_t messages) const;
  [[nodiscard]] destination max_unsaved(std::uint32_t messages) const;
  [[nodiscard]] destination retry_max(duration longest_wait) const;
  [[nodiscard]] destination on_refused(give_up policy) const;
  [[nodiscard]] destination max_dead_letters(std::uint32_t in_a_row) const;
  /// Only messages whose header matches the shell glob; of several conditions, all must hold.
  [[nodiscard]] destination when(std::string header, std::string glob) const;

  /// Its own transforms, after the pipeline's.
  template <class Last, unsigned Count>
  [[nodiscard]] destination transformed(const transforms<Last, Count>& own) const {
    auto next = *this;
    next.own_ = own.finish();
    return next;
  }

  /// Its messages are taken by `f`, each in a transaction of the PostgreSQL database that the URL names (without
  /// `?table=`); see `model/transaction.hpp`.
  template <class Function>
  [[nodiscard]] destination taken_by(Function f) const {
    static_assert(std::is_invocable_v<const Function&, transaction&, const delivery&>,
                  "reseq: a destination's function takes a reseq::transaction& and a const reseq::delivery&, and is "
                  "callable when const");
    auto next = *this;
    if constexpr (std::is_invocable_v<const Function&, transaction&, const delivery&>) next.function_ = std::move(f);
    next.settings_.in_transaction = true;
    return next;
  }

  [[nodiscard]] const destination_settings& settings() const { return settings_; }
  [[nodiscard]] const chain& own() const { return own_; }
  [[nodiscard]] const delivery_function& function() const { return function_; }

private:
  template <class Field>
  destination with(Field destination_settings::*field, Field value) const;

  destination_settings settings_;
  chain own_;
  delivery_function function_;
};

/// A pipeline as composed in C++, its types erased.
struct composed_pipeline {
  pipeline_settings settings;       ///< names no transforms: the chains here are meant
  chain common;                     ///< empty: the identity
  std::map<std::string, chain> own; ///< by destination; only those that have transforms of their own
  std::map<std::string, delivery_function> functions{}; ///< by destination; only those that are functions
};

/// A pipeline under construction; `Last` and `Count` as in `transforms`.
template <class Last = message, unsigned Count = 0>
class pipeline {
public:
  explicit pipeline(std::string name) { definition_.settings.name = std::move(name); }
  pipeline(composed_pipeline definition, transforms<Last, Count> common)
    : definition_(std::move(definition)), common_(std::move(common)) {}

  /// This pipeline with `f` after its common transforms.
  template <class Transform>
  [[nodiscard]] auto transform(std::string name, Transform f) const {
    return reseq::pipeline(definition_, common_.transform(std::move(name), std::move(f)));
  }

  /// This pipeline with a version for the common transform added last.
  [[nodiscard]] pipeline version(std::string text) const { return {definition_, common_.version(std::move(text))}; }

  [[nodiscard]] pipeline destination(const reseq::destination& added) const {
    auto next = *this;
    next.definition_.settings.destinations.push_back(added.settings());
    if (!added.own().empty()) next.definition_.own.insert_or_assign(added.settings().name, added.own());
    if (added.function()) next.definition_.functions.insert_or_assign(added.settings().name, added.function());
    return next;
  }

  [[nodiscard]] pipeline destination(std::string name, std::string url) const {
    return destination(reseq::destination(std::move(name), std::move(url)));
  }

  /// A destination that is a function of a `transaction&` and a `const delivery&`; the configuration gives its URL.
  template <class Function>
  requires(!std::is_convertible_v<Function, std::string>) [[nodiscard]] pipeline
    destination(std::string name, Function f) const {
    return destination(reseq::destination(std::move(name)).taken_by(std::move(f)));
  }
  template <class Function>
  [[nodiscard]] pipeline destination(std::string name, std::string url, Function f) const {
    return destination(reseq::destination(std::move(name), std::move(url)).taken_by(std::move(f)));
  }

  template <class OwnLast, unsigned OwnCount>
  [[nodiscard]] pipeline destination(std::string name, std::string url,
                                     const transforms<OwnLast, OwnCount>& own) const {
    return destination(reseq::destination(std::move(name), std::move(url)).transformed(own));
  }

  [[nodiscard]] pipeline retry(retry_settings settings) const {
    auto next = *this;
    next.definition_.settings.retry = settings;
    return next;
  }

  /// The producers' headers that destinations get; `*` at the end of a name stands for any rest.
  [[nodiscard]] pipeline carry(std::vector<std::string> headers) const {
    auto next = *this;
    next.definition_.settings.carry = std::move(headers);
    return next;
  }

  [[nodiscard]] const pipeline_settings& settings() const { return definition_.settings; }

  /// The finished definition. Does not compile unless the common chain ends in a payload.
  [[nodiscard]] composed_pipeline compose() const {
    auto composed = definition_;
    composed.common = common_.finish();
    return composed;
  }

private:
  composed_pipeline definition_;
  transforms<Last, Count> common_;
};

pipeline(std::string)->pipeline<>;

template <class Last, unsigned Count>
pipeline(composed_pipeline, transforms<Last, Count>) -> pipeline<Last, Count>;

} // namespace reseq
