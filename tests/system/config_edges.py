"""Command lines and configurations: mistakes are named with file, line and key, and start nothing."""

import os
import subprocess
import unittest

from client import receipt_of
from harness import SystemTest, clean_environment, free_port, merged, pipeline, program, write_config
from waiting import PATIENCE_SECONDS

PIPELINE = """[[pipeline]]
name = "orders"
[[pipeline.destination]]
name = "billing"
url = "file:///tmp/never-written.jsonl"
"""

MISTAKES = (
    ("[http]\nlisten = 8080\n", 2, "http.listen", "must be a string"),
    ("[node]\ndrain_timeot = \"5s\"\n", 2, "node.drain_timeot", "node.drain_timeout"),
    ("[node]\n\ndrain_timeout = \"5 parsecs\"\n", 3, "node.drain_timeout", "unit"),
    ("[store]\nlease = \"redis\"\n", 2, "store.lease", "not available in this version"),
    (PIPELINE + "batch = 10\nmax_unsaved = 5\n", 7, "pipeline.orders.destination.billing.max_unsaved", "batch"),
    (PIPELINE + "url = \"http://h\"\n", 6, "", "url"),
    (PIPELINE.replace("file:", "ftp:"), 5, "pipeline.orders.destination.billing.url", "ftp"),
    (PIPELINE.replace("orders", "Orders"), 2, "pipeline[1].name", "Orders"),
    (PIPELINE + "[[pipeline.transform]]\nuse = \"delay\"\nmin = \"2s\"\nmax = \"1s\"\n", 8, "min", "more than"),
    ("[pipeline.retry]\njitter = \"1s\"\n" + PIPELINE, 1, "pipeline.retry", "[[pipeline]]"),
    (PIPELINE + "[[pipeline.transform]]\nuse = \"identiti\"\n", 7, "pipeline.orders.transform[1].use", "identity"),
    ("[node\nname = \"a\"\n", 1, "", ""),
)


class ConfigTest(SystemTest):
    def run_program(self, name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [program(name), *arguments], cwd=self.folder, env={**clean_environment(), **environment},
            capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
        )  # fmt: skip

    def write(self, text: str) -> str:
        with open(self.path("c.toml"), "w", encoding="utf-8") as file:
            file.write(text)
        return "c.toml"

    def valid(self) -> dict:
        return self.config([pipeline("p", [{"name": "d", "url": f"file://{self.path('out.jsonl')}"}])])


class CommandLine(ConfigTest):
    def test_help_and_version_go_to_stdout_and_are_enough_to_start(self):
        for name in ("reseq-supervisor", "reseq-worker"):
            shown = self.run_program(name, "--help")
            self.assertEqual((shown.returncode, shown.stderr), (0, ""))
            for part in ("--config", "--set", "--check-config", "--version", "http.listen", "drain_timeout"):
                self.assertIn(part, shown.stdout)
            version = self.run_program(name, "--version")
            self.assertEqual((version.returncode, version.stderr), (0, ""))
            self.assertRegex(version.stdout, rf"^{name} \d+\.\d+\.\d+\n$")

    def test_a_program_composed_in_c_plus_plus_names_the_command_that_it_does_not_know(self):
        done = self.run_program("example-orders", "supervise")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("there is no command supervise\n", done.stderr)
        self.assertIn("usage: example-orders COMMAND", done.stderr)
        version = self.run_program("example-orders", "--version")
        self.assertRegex(version.stdout, r"^example-orders, with reseq \d+\.\d+\.\d+\n$")

    def test_bad_usage_exits_with_2_and_points_to_the_help(self):
        for arguments in (["--nonsense"], ["stray"], ["--config"], ["--set"]):
            with self.subTest(arguments):
                done = self.run_program("reseq-supervisor", *arguments)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn("--help", done.stderr)

    def test_a_file_that_is_not_there_is_named(self):
        done = self.run_program("reseq-supervisor", "--config", "missing.toml")
        self.assertEqual(done.returncode, 2)
        self.assertIn("missing.toml", done.stderr)


class Checking(ConfigTest):
    def test_each_mistake_is_named_with_file_line_and_key_and_exits_with_2(self):
        for text, line, key, what in MISTAKES:
            for name, check in (("reseq-supervisor", ["--check-config"]), ("reseq-worker", [])):
                with self.subTest(f"{name}: {text}"):
                    done = self.run_program(name, "--config", self.write(text), *check)
                    self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
                    place = next(one for one in done.stderr.splitlines() if one.startswith(f"c.toml:{line}: "))
                    self.assertIn(key, place)
                    self.assertIn(what, place)
        self.assertEqual(os.listdir(self.folder), ["c.toml"], "something was started")

    def test_every_problem_is_printed_at_once_the_files_by_line_and_the_command_lines_too(self):
        file = self.write("[node]\nname = 5\n[worker]\nslots = -1\n")  # and no pipeline
        done = self.run_program("reseq-supervisor", "--config", file, "--check-config", "--set", "http.listen=nowhere")
        lines = done.stderr.splitlines()
        self.assertEqual(done.returncode, 2)
        self.assertEqual([line.split(": ")[0] for line in lines[:4]], ["c.toml:2", "c.toml:4", "--set", "c.toml"])
        self.assertIn("4 problems", lines[4])

    def test_a_pipeline_without_a_destination_is_for_workers_only(self):
        file = self.write(PIPELINE.partition("[[pipeline.destination]]")[0])
        for arguments in ([], ["--check-config"]):
            refused = self.run_program("reseq-supervisor", "--config", file, *arguments)
            self.assertEqual(refused.returncode, 2)
            self.assertIn("c.toml:1: pipeline.orders.destination: there is none", refused.stderr)
        self.assertEqual(self.run_program("reseq-worker", "--config", file, "--check-config").returncode, 0)

    def test_a_good_configuration_says_so_and_starts_nothing(self):
        write_config(self.valid(), self.folder, "good")
        for name in ("reseq-supervisor", "reseq-worker"):
            done = self.run_program(name, "--config", "good.toml", "--check-config")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("no problems", done.stdout)
        self.assertEqual(os.listdir(self.folder), ["good.toml"])

    def test_the_example_configurations_have_no_problems(self):
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        for name in sorted(os.listdir(os.path.join(root, "conf"))):
            if name.endswith(".toml"):
                with self.subTest(name):
                    file = os.path.join(root, "conf", name)
                    who = "reseq-worker" if name == "worker.toml" else "reseq-supervisor"
                    done = self.run_program(who, "--config", file, "--check-config")
                    self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_warning_is_printed_and_logged_and_changes_nothing_else(self):
        config = merged(self.valid(), {"http": {"listen": "0.0.0.0:0", "control_token": "t"}})
        write_config(config, self.folder, "open")
        done = self.run_program("reseq-supervisor", "--config", "open.toml", "--check-config")
        self.assertEqual(done.returncode, 0)
        self.assertIn("no problems", done.stdout)
        self.assertRegex(done.stderr, r"^warning: open.toml:\d+: http.listen: .* http.token is empty.*\n$")
        faulty = self.run_program("reseq-supervisor", "--config", "open.toml", "--check-config", "--set", "log.level=x")
        self.assertEqual(faulty.returncode, 2)
        self.assertIn("http.token is empty", faulty.stderr)
        self.assertIn("1 problem in", faulty.stderr)
        running = self.supervisor(config, "t")
        self.assertEqual(running.logged(r"warning: .*http.listen: .* http.token is empty"), 1)

    def test_a_file_whose_folder_is_not_there_yet_is_warned_of_and_written_once_it_is(self):
        file = self.path("later/out.jsonl")
        config = self.config([pipeline("p", [{"name": "d", "url": f"file://{file}", "retry_max": "100ms"}])])
        write_config(config, self.folder, "later")
        done = self.run_program("reseq-supervisor", "--config", "later.toml", "--check-config")
        warning = r"pipeline\.p\.destination\.d\.url: the file's folder is not there"
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stderr, r"^warning: later.toml:\d+: " + warning)
        self.assertEqual(self.run_program("reseq-worker", "--config", "later.toml", "--check-config").stderr, "")
        running = self.supervisor(config)
        self.assertEqual(running.logged(warning), 1)
        running.submit("p", b"x")
        running.wait_for_state("p", "d", "failing")
        os.mkdir(os.path.dirname(file))
        running.wait_until_settled("p", "d", 1)

    def test_what_this_build_cannot_open_is_said_before_the_start(self):
        file = self.write("[store]\nkind = \"postgres\"\n" + PIPELINE)
        arguments = ["--config", file, "--check-config", "--set"]
        stream = "pipeline.orders.destination.billing.url="
        for wrong in ("store.redis=redis://h:99999/", stream + "redis://h:99999/?stream=s"):
            done = self.run_program("reseq-supervisor", *arguments, wrong)
            self.assertEqual(done.returncode, 2)
            self.assertIn("the port must be 1 to 65535", done.stderr)
            self.assertEqual(self.run_program("reseq-worker", *arguments, wrong).returncode, 0)
        for encrypted in ("store.redis=rediss://h/", stream + "rediss://h/?stream=s"):
            done = self.run_program("reseq-supervisor", *arguments, encrypted)
            self.assertEqual(done.returncode == 2, "needs hiredis 1.0" in done.stderr, done.stderr)

    def test_secrets_come_from_the_environment_and_are_never_shown(self):
        file = self.write("[http]\ntoken = \"${SECRET}\"\ncontrol_token = \"${MISSING}\"\n" + PIPELINE)
        done = self.run_program("reseq-supervisor", "--config", file, "--check-config", SECRET="two words")
        self.assertEqual(done.returncode, 2)
        self.assertIn("MISSING", done.stderr)
        self.assertNotIn("two words", done.stderr)

    def test_a_variable_wins_over_the_file_and_set_wins_over_the_variable(self):
        file = self.write("[worker]\nslots = 1\n" + PIPELINE)
        arguments = ["--config", file, "--check-config"]
        self.assertEqual(self.run_program("reseq-supervisor", *arguments).returncode, 0)
        bad = self.run_program("reseq-supervisor", *arguments, RESEQ_WORKER_SLOTS="many")
        self.assertEqual(bad.returncode, 2)
        self.assertIn("RESEQ_WORKER_SLOTS", bad.stderr)
        unknown = self.run_program("reseq-supervisor", *arguments, RESEQ_WORKER_SLOT="1")
        self.assertIn("RESEQ_WORKER_SLOT", unknown.stderr)


class Starting(ConfigTest):
    def start(self, config: dict) -> subprocess.CompletedProcess:
        write_config(config, self.folder, "second")
        return self.run_program("reseq-supervisor", "--config", "second.toml")

    def test_a_data_directory_that_is_in_use_is_named_and_the_first_one_goes_on(self):
        first = self.supervisor(self.valid())
        done = self.start(merged(first.config, {"cluster": {"listen": f"127.0.0.1:{free_port()}"}}))
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"data directory is in use by process {first.pid}", done.stderr)
        self.assertEqual(first.submit("p", b"x").status, 202)

    def test_a_port_that_is_in_use_is_named_with_its_key(self):
        first = self.supervisor(self.valid())
        other = {"node": {"data_dir": self.path("other")}}
        for key, address in (("http", first.http), ("cluster", first.cluster)):
            with self.subTest(key):
                changes = {"http": {"listen": "127.0.0.1:0"}, "cluster": {"listen": "127.0.0.1:0"}}
                changes[key]["listen"] = address
                done = self.start(merged(first.config, {**other, **changes}))
                self.assertEqual(done.returncode, 1)
                self.assertIn(f"{key}.listen", done.stderr)
                self.assertIn(address, done.stderr)
        self.assertEqual(first.submit("p", b"x").status, 202)

    def test_a_lost_journal_is_named_and_accepted_once_goes_on_behind_what_it_had_given(self):
        running = self.supervisor(self.config([pipeline("p", [{"name": "d", "url": self.receiver().url()}])]))
        running.submit_all("p", ["a", "b", "c"])
        running.wait_until_settled("p", "d", 3)
        running.kill()
        for name in os.listdir(self.path("data")):
            if name.startswith("journal.sqlite"):
                os.unlink(os.path.join(self.path("data"), name))
        refused = self.starting_supervisor(running.config)
        self.assertEqual(refused.wait(), 1)
        refused.wait_for_line("missing or empty, and held messages that were confirmed.*store.accept_loss=true")
        again = self.restart(running, store={"accept_loss": True})
        again.wait_for_line("info: made a new journal in ")
        self.assertEqual(receipt_of(again.submit("p", b"x", "next")).position, 4)
        again.wait_until_settled("p", "d", 4)
        epoch = again.get("/v1/pipelines/p")["epoch"]
        self.assertEqual(again.stop(), 0)
        self.assertEqual(self.restart(running).get("/v1/pipelines/p")["epoch"], epoch + 1)

    def test_a_data_directory_that_cannot_be_written_is_named(self):
        with open(self.path("file"), "w", encoding="ascii"):
            pass
        done = self.start(merged(self.valid(), {"node": {"data_dir": self.path("file")}}))
        self.assertEqual(done.returncode, 1)
        self.assertIn(self.path("file"), done.stderr)

    def test_a_pipeline_that_left_with_messages_is_named_at_the_start_and_goes_on_when_it_is_back(self):
        book = self.receiver(lambda request: 503)
        left = pipeline("left", [{"name": "d", "url": book.url(), "retry_max": "50ms"}])
        both = self.valid()
        both["pipeline"].append(left)
        running = self.supervisor(both)
        running.submit_all("left", ["a", "b"])
        self.assertEqual(running.logged("is not configured here"), 0)
        running.kill()
        running = self.restart(running, pipeline=both["pipeline"][:1])
        running.wait_for_line("pipeline left is not configured here, and still has 2 messages for its destination d")
        running.kill()
        book.answer = lambda request: 200
        running = self.restart(running, pipeline=both["pipeline"])
        running.wait_until_settled("left", "d", 2)
        running.kill()
        running = self.restart(running, pipeline=both["pipeline"][:1])
        self.assertEqual(running.logged("is not configured here"), 0)

    def test_set_wins_over_the_file_for_the_supervisor_and_its_worker(self):
        config = self.valid()
        write_config(config, self.folder, "file")
        done = self.run_program(
            "reseq-supervisor", "--config", "file.toml", "--check-config", "--set", "pipeline.p.destination.d.window=0"
        )
        self.assertEqual(done.returncode, 2)
        self.assertIn("pipeline.p.destination.d.window", done.stderr)

    def test_its_own_worker_is_started_again_with_what_was_read_at_the_start(self):
        """Whoever is in the middle of changing the file does not stop the work."""
        config = self.valid()
        running = self.supervisor(config)
        file = self.path(f"supervisor-{config['node']['name']}.toml")
        for number, text in enumerate(("[cluster\n", "[cluster]\ntoken = \"another\"\n", None), start=1):
            with self.subTest(text):
                os.remove(file)
                if text:
                    self.write(text)
                    os.rename(self.path("c.toml"), file)
                running.wait_for_workers(1)
                running.kill_own_worker()
                receipt_of(running.submit("p", b"x"))
                running.wait_until_settled("p", "d", number)

    def test_a_transform_that_only_workers_elsewhere_have_needs_a_supervisor_without_slots(self):
        destinations = self.valid()["pipeline"][0]["destination"]
        config = self.config([pipeline("p", destinations, [{"use": "enrichh"}])])
        write_config(config, self.folder, "file")
        refused = self.run_program("reseq-supervisor", "--config", "file.toml")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("pipeline.p.transform[1].use", refused.stderr)
        self.assertIn("worker.slots = 0", refused.stderr)
        running = self.supervisor(merged(config, {"worker": {"slots": 0}}))
        worker = self.worker(running, "other")
        worker.wait_for_line("pipeline.p.transform.1..use: .*enrichh")
        self.assertEqual(worker.wait(), 2)


if __name__ == "__main__":
    unittest.main()
