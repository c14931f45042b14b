#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "ctl/commands.hpp"

int main(int argc, char** argv) {
  using namespace reseq;
  std::signal(SIGPIPE, SIG_IGN); // a supervisor that goes away is an answer, not our end
  const auto parsed = ctl::parse(argc, argv, [](const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return std::string{value ? value : ""};
  });
  if (const auto* done = std::get_if<ctl::early_exit>(&parsed)) {
    std::cout << done->out;
    std::cerr << done->err;
    return done->code;
  }
  const auto& what = std::get<ctl::options>(parsed);
  const auto say = [](const std::string& sentence) { std::cerr << "reseqctl: " << sentence << '\n'; };
  const ctl::surroundings outside{
    ctl::http_exchange(what.url, what.token),
    {[] { return time_point{std::chrono::steady_clock::now()}; },
     [](duration pause) { std::this_thread::sleep_for(pause); }},
    [] { return std::chrono::time_point_cast<wall_time::duration>(std::chrono::system_clock::now()); },
    std::cin,
    say};
  const auto printed = ctl::run(what, outside);
  if (!printed) {
    say(printed.error().text());
    return 1;
  }
  std::cout << *printed << std::flush;
  if (!std::cout) {
    say("what was found cannot be written to standard output");
    return 1;
  }
  return 0;
}
