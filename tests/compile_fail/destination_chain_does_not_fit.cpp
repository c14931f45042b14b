// expect: this transform does not take what the one before it returns
#include "reseq/reseq.hpp"

int main(int argc, char** argv) {
  auto own = reseq::transforms()
               .transform("length", [](const reseq::message& m) { return m.payload().size(); })
               .transform("redact", [](const reseq::message& m) { return m.payload(); });
  return reseq::run(argc, argv, reseq::pipeline("orders").destination("audit", "file:///tmp/audit", own));
}
