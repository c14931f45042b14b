// expect: a destination's function takes a reseq::transaction& and a const reseq::delivery&
#include "reseq/reseq.hpp"

int main(int argc, char** argv) {
  return reseq::run(argc, argv,
                    reseq::pipeline("orders").destination("ledger", [](const reseq::message& m) { m.payload(); }));
}
