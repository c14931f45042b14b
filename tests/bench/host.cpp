#include "host.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include <fcntl.h>
#include <unistd.h>

namespace reseq::bench {
namespace {

using clock = std::chrono::steady_clock;

constexpr std::size_t repeats = 150;
constexpr std::chrono::milliseconds pause{1};

double ms_since(clock::time_point start) {
  return std::chrono::duration<double, std::milli>(clock::now() - start).count();
}

std::vector<double> measure_syncs(const std::filesystem::path& folder) {
  constexpr std::size_t bytes = 8192;
  auto path = (folder / "sync-XXXXXX").string();
  const int file = mkstemp(path.data());
  if (file < 0) throw std::runtime_error("cannot write in " + folder.string());
  unlink(path.c_str());
  const std::string blocks(repeats * bytes, 'x');
  bool good = pwrite(file, blocks.data(), blocks.size(), 0) == static_cast<ssize_t>(blocks.size()) && fsync(file) == 0;
  std::vector<double> took;
  for (std::size_t i = 0; good && i < repeats; ++i) {
    std::this_thread::sleep_for(pause);
    const auto start = clock::now();
    good = pwrite(file, blocks.data(), bytes, static_cast<off_t>(i * bytes)) == static_cast<ssize_t>(bytes) &&
           fdatasync(file) == 0;
    took.push_back(ms_since(start));
  }
  close(file);
  if (!good) throw std::runtime_error("cannot write in " + folder.string());
  return took;
}

std::vector<double> measure_wake_ups() {
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t asked = 0;
  std::vector<double> took;
  clock::time_point start;
  std::thread waiting([&] {
    std::unique_lock hold(mutex);
    for (std::size_t i = 1; i <= repeats; ++i) {
      changed.wait(hold, [&] { return asked >= i; });
      took.push_back(ms_since(start));
    }
  });
  for (std::size_t i = 0; i < repeats; ++i) {
    std::this_thread::sleep_for(pause);
    const std::lock_guard hold(mutex);
    start = clock::now();
    ++asked;
    changed.notify_one();
  }
  waiting.join();
  return took;
}

} // namespace

host_times measure_host(const std::filesystem::path& folder) { return {measure_syncs(folder), measure_wake_ups()}; }

} // namespace reseq::bench
