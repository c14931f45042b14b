"""The checker of the receivers' books: it must find whatever is wrong with one."""

import unittest

import book
import client
from book import Entry, check_book, check_book_by_key
from client import Receipt
from delivered_lines import Line, check_ledger


def entry(sequence: int, epoch: int = 1, **changes) -> Entry:
    message_id = f"m{sequence}"
    made = Entry(
        delivery_id=f"p/d/{sequence}", sequence=sequence, previous=sequence - 1, epoch=epoch, attempt=1,
        message_id=message_id, position=10 * sequence, sha256=client.digest(message_id.encode()), request=0, answer=200,
    )  # fmt: skip
    return made._replace(**changes)


def numbered(entries: list) -> list:
    """Each in a request of its own."""
    return [one._replace(request=number) for number, one in enumerate(entries, start=1)]


SENT = {f"m{sequence}": client.digest(f"m{sequence}".encode()) for sequence in range(1, 21)}


def good() -> list:
    return [entry(sequence) for sequence in range(1, 21)]


class BookChecker(unittest.TestCase):
    def complaints(self, entries: list, **options) -> list:
        return check_book(numbered(entries), options.pop("sent", SENT), **options)

    def assert_complains(self, entries: list, sentence: str, **options):
        self.assertIn(sentence, self.complaints(entries, **options))

    def test_a_good_book_has_nothing_wrong(self):
        self.assertEqual(self.complaints(good()), [])

    def test_two_lines_swapped_are_out_of_order(self):
        book_ = good()
        book_[4], book_[5] = book_[5], book_[4]
        self.assert_complains(book_, "sequence 6 came after 4, where 5 was next")

    def test_a_line_left_out_is_a_gap_and_a_loss(self):
        book_ = good()
        del book_[7]
        self.assert_complains(book_, "sequence 9 came after 7, where 8 was next")
        self.assert_complains(book_, "lost: 1 messages were never delivered, among m8")

    def test_the_last_line_left_out_is_a_loss(self):
        self.assert_complains(good()[:-1], "lost: 1 messages were never delivered, among m20")
        self.assertEqual(self.complaints(good()[:-1], complete=False), [])

    def test_a_line_doubled_is_a_redelivery_without_a_reason(self):
        book_ = good()
        book_.insert(8, book_[7])
        self.assert_complains(book_, "sequence 8 came again without a restart, after 8")
        self.assert_complains(book_, "sequence 8: attempt 1 after attempt 1")

    def test_altered_lines_are_found_whatever_was_altered(self):
        for changes, sentence in (
            ({"sha256": "0"}, "sequence 6: message m6 was sent with another body"),
            ({"message_id": "x"}, "sequence 6: message x was never sent"),
            ({"message_id": "m5", "sha256": SENT["m5"]}, "message m5 is at sequence 5 and at 6"),
            ({"previous": 4}, "sequence 6 says that 4 went before it, not 5"),
            ({"position": 3}, "sequence 6 has position 3, after 50"),
            ({"delivery_id": "p/d/7"}, "sequence 6 has the delivery id p/d/7"),
            ({"epoch": 0}, "sequence 6: epoch 0 after epoch 1"),
            ({"answer": 500}, "sequence 7 came after 5, where 6 was next"),
        ):
            with self.subTest(sentence):
                book_ = good()
                book_[5] = book_[5]._replace(**changes)
                self.assert_complains(book_, sentence)

    def test_a_line_inserted_is_a_message_that_was_never_sent(self):
        self.assert_complains([*good(), entry(21)], "sequence 21: message m21 was never sent")

    def test_the_latest_deliveries_may_come_again_in_order_after_a_restart(self):
        book_ = [*good()[:10], *(entry(sequence, epoch=2) for sequence in range(8, 21))]
        self.assertEqual(self.complaints(book_, max_unsaved=3), [])
        self.assert_complains(book_, "sequence 8: 3 deliveries come again, 2 may", max_unsaved=2)

    def test_what_comes_again_after_a_restart_has_no_gaps_and_is_the_same(self):
        again = [entry(sequence, epoch=2) for sequence in range(8, 21)]
        gap = [*good()[:10], *again[:1], *again[2:]]
        self.assert_complains(gap, "sequence 10 came after 8, where 9 was next", max_unsaved=5)
        again[1] = again[1]._replace(sha256="0")
        self.assert_complains([*good()[:10], *again], "sequence 9 came again with another sha256", max_unsaved=5)

    def test_a_restart_must_not_leave_anything_out(self):
        book_ = [*good()[:10], *(entry(sequence, epoch=2) for sequence in range(12, 21))]
        self.assert_complains(book_, "sequence 12 came after 10, where 11 was next", max_unsaved=5)

    def test_an_earlier_epoch_never_comes_after_a_later_one(self):
        book_ = [*good()[:10], entry(10, epoch=2), entry(11, epoch=1)]
        self.assert_complains(book_, "sequence 11: epoch 1 after epoch 2", max_unsaved=5, complete=False)

    def test_what_was_not_confirmed_comes_again_with_a_higher_attempt(self):
        failed = entry(5, answer=500)
        book_ = [*good()[:4], failed, failed._replace(attempt=2, answer=200), *good()[5:]]
        self.assertEqual(self.complaints(book_), [])
        book_[5] = book_[5]._replace(attempt=1)
        self.assert_complains(book_, "sequence 5: attempt 1 after attempt 1")
        book_[4] = book_[4]._replace(answer=0)
        self.assertEqual(self.complaints(book_), [])

    def test_what_is_recorded_as_passed_is_no_gap_and_no_loss(self):
        book_ = [one for one in good() if one.sequence != 8]
        book_[7] = book_[7]._replace(previous=7)
        self.assertEqual(self.complaints(book_, passed=[8]), [])
        refused = [*good()[:7], entry(8, answer=422), *book_[7:]]
        self.assertEqual(self.complaints(refused, passed=[8]), [])

    def test_a_batch_is_checked_message_by_message_and_repeated_as_a_whole(self):
        first = [one._replace(request=1, answer=503) for one in good()[:10]]
        again = [one._replace(request=2, attempt=2) for one in good()[:10]]
        rest = [one._replace(request=3) for one in good()[10:]]
        self.assertEqual(check_book(first + again + rest, SENT), [])
        self.assertIn(
            "sequence 6 came after 0, where 1 was next", check_book(first + again[5:] + rest, SENT)
        )
        again[2], again[3] = again[3], again[2]
        self.assertIn("sequence 4 came after 2, where 3 was next", check_book(first + again + rest, SENT))

    def test_a_batch_says_of_each_message_which_one_goes_before_it_in_the_batch(self):
        refused = [one._replace(request=1, answer=422) for one in good()[:5]]
        singly = [one._replace(request=10 + one.sequence, attempt=2) for one in good()[:5]]
        singly[2] = singly[2]._replace(answer=422)
        singly[3] = singly[3]._replace(previous=2)
        rest = [one._replace(request=20) for one in good()[5:]]
        self.assertEqual(check_book(refused + singly + rest, SENT, passed=[3]), [])
        refused[3] = refused[3]._replace(previous=2)
        self.assertEqual(
            check_book(refused + singly + rest, SENT, passed=[3]), ["sequence 4 says that 2 went before it, not 3"]
        )

    def test_an_envelope_is_read_with_its_payload_in_any_form(self):
        fields = '"delivery_id":"p/d/1","sequence":1,"previous_sequence":0,"epoch":1,"attempt":1,"message_id":"m"'
        for payload, body in (
            ('"payload":"tëxt"', "tëxt".encode()),
            ('"payload":{"a":[1,2]}', b'{"a":[1,2]}'),
            ('"payload_base64":"AP8="', b"\x00\xff"),
        ):
            line = f'{{{fields},"position":7,{payload}}}'.encode()
            read = book.envelope_entry(line, 3, 200)
            self.assertEqual((read.sha256, read.position, read.request), (client.digest(body), 7, 3))


class BookCheckerByKey(unittest.TestCase):
    """Two keys, one for even and one for odd sequences."""

    SENT = {f"m{n}": (f"k{n % 2}", client.digest(f"m{n}".encode())) for n in range(1, 21)}

    def good(self) -> list:
        keyed = [entry(n, previous=None, key=f"k{n % 2}") for n in range(1, 21)]
        return sorted(keyed, key=lambda one: one.key)  # each key's in order, and nothing between the keys

    def complaints(self, entries: list, **options) -> str:
        return " ".join(check_book_by_key(numbered(entries), self.SENT, **options))

    def test_a_good_book_has_nothing_wrong(self):
        self.assertEqual(self.complaints(self.good()), "")

    def test_two_lines_of_a_key_swapped_are_out_of_order(self):
        book_ = self.good()
        book_[4], book_[5] = book_[5], book_[4]
        self.assertIn("key k0: sequence 10 came after 12", self.complaints(book_))

    def test_a_line_left_out_is_a_loss_unless_it_is_recorded_as_passed(self):
        book_ = self.good()
        del book_[7]
        self.assertIn("lost: 1 messages were never delivered, among m16", self.complaints(book_))
        self.assertEqual(self.complaints(book_, passed=["m16"]), "")

    def test_a_line_doubled_is_out_of_order_within_an_epoch_and_bounded_after_it(self):
        book_ = self.good()
        self.assertIn("sequence 16 came after 16", self.complaints(book_[:8] + book_[7:]))
        again = book_[:10] + [one._replace(epoch=2) for one in book_[8:]]
        self.assertEqual(self.complaints(again, max_unsaved=2), "")
        self.assertIn("2 come again", self.complaints(again, max_unsaved=1))

    def test_a_line_altered_or_with_a_place_before_it_is_noticed(self):
        book_ = self.good()
        book_[3] = book_[3]._replace(sha256=client.digest(b"other"))
        book_[5] = book_[5]._replace(key="k1")
        book_[6] = book_[6]._replace(previous=12)
        told = self.complaints(book_)
        self.assertIn("message m8 came with key k0 and another body", told)
        self.assertIn("message m12 came with key k1 and another body", told)
        self.assertIn("sequence 14 says that 12 went before it", told)


class LedgerChecker(unittest.TestCase):
    RECEIPTS = {f"m{number}": Receipt(f"m{number}", False, 10 * number) for number in range(1, 21)}

    def lines(self) -> list:
        return [Line(number, 10 * number, f"m{number}", SENT[f"m{number}"], "text/plain") for number in range(1, 21)]

    def assert_complains(self, lines: list, about_places: list):
        complaints = check_ledger("table", lines, SENT, self.RECEIPTS)
        self.assertEqual([one.split(":")[0] for one in complaints], [f"table, place {place}" for place in about_places])

    def test_each_message_once_in_order_is_fine(self):
        self.assert_complains(self.lines(), [])

    def test_what_is_missing_doubled_or_swapped_is_found(self):
        self.assert_complains(self.lines()[:-1], [20])
        self.assert_complains(self.lines()[:10] + self.lines()[11:], range(11, 21))
        self.assert_complains([*self.lines(), self.lines()[-1]], [21])
        swapped = self.lines()
        swapped[3], swapped[4] = swapped[4], swapped[3]
        self.assert_complains(swapped, [4, 5])

    def test_another_body_position_id_or_type_is_found(self):
        for change in ({"sha256": "x"}, {"position": 71}, {"message_id": "m8"}, {"content_type": "text/html"}):
            lines = self.lines()
            lines[6] = lines[6]._replace(**change)
            self.assert_complains(lines, [7])


if __name__ == "__main__":
    unittest.main()
