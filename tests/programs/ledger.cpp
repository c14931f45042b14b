// A pipeline whose destination `table` is a function that writes into two tables.
#include <reseq/reseq.hpp>

namespace {

void enter(reseq::transaction& tx, const reseq::delivery& d) {
  tx.execute("INSERT INTO public.ledger (sequence, position, message_id, headers, payload) VALUES ($1, $2, $3, $4, $5)",
             {d.seq.value(), d.at.value(), d.message_id, d.headers, reseq::parameter::bytes(d.body->payload)});
  tx.execute("UPDATE public.total SET messages = messages + 1, bytes = bytes + $1", {d.body->payload.size()});
}

} // namespace

int main(int argc, char** argv) { return reseq::run(argc, argv, reseq::pipeline("p").destination("table", enter)); }
