/// The public header: compose a pipeline, or write transforms for use from TOML, and hand them to `run`.
///
///     int main(int argc, char** argv) {
///       return reseq::run(argc, argv,
///                         reseq::transform("enrich", [](const reseq::message& m) { return enrich(m.payload()); }));
///     }
#pragma once

#include <concepts>
#include <iostream>
#include <type_traits>
#include <utility>

#include "reseq/model/message.hpp"
#include "reseq/model/permanent_error.hpp"
#include "reseq/model/transaction.hpp"
#include "reseq/pipeline/builder.hpp"
#include "reseq/pipeline/registry.hpp"

namespace reseq {

/// Something `run` can take: a pipeline or a single transform.
template <class T>
concept definition = requires(registry& all, const T& one) {
  { all.add(one) } -> std::same_as<result<void>>;
};

/// Runs the program: the subcommands `supervisor`, `worker` and `run` (both in one process), as `argv` says. Blocks
/// until the program is told to stop. Returns the exit code: 0 clean, 1 failed while running, 2 bad usage or
/// configuration. Two more end the process without returning: 3, of a supervisor, if another one has taken over; 75, of
/// a worker that is to be started again, because transforms hang. Call it from `main`, before any other thread exists.
int run(int argc, char** argv, registry definitions);

/// The same with pipelines and transforms in any order. Exit code 2 if two of them have the same name.
template <definition... Definitions>
int run(int argc, char** argv, const Definitions&... definitions) {
  registry all;
  result<void> added;
  static_cast<void>(((added = all.add(definitions)) && ...));
  if (!added) {
    std::cerr << "reseq: " << added.error().text() << '\n';
    return 2;
  }
  return run(argc, argv, std::move(all));
}

} // namespace reseq
