#include "run/main.hpp"

int main(int argc, char** argv) {
  using namespace reseq::apps;
  return run_program({"reseq-worker", "Connects to the supervisors and runs transforms.", role::worker, {}}, argc, argv,
                     {});
}
