"""A program of one's own, as the README says: a folder beside reseq, three lines of CMake, a pipeline in C++. Only in
`tests/run --full`, since it builds the whole framework once more."""

import json
import os
import subprocess
import unittest

from client import request
from harness import FULL, Program, SystemTest
from waiting import eventually

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")

CMAKE = """
cmake_minimum_required(VERSION 3.25)
project(mine LANGUAGES CXX)
add_subdirectory({root} reseq)
add_executable(mine main.cpp)
target_link_libraries(mine PRIVATE reseq::reseq)
"""

MAIN = """
#include <reseq/reseq.hpp>
#include <string>

struct order {{
  std::string text;
}};

int main(int argc, char** argv) {{
  auto orders = reseq::pipeline("orders")
                  .transform("parse", [](const reseq::message& m) {{ return order{{m.payload()}}; }})
                  .transform("render", [](const order& o) {{ return "<" + o.text + ">"; }})
                  .destination("billing", "file://{file}");
  return reseq::run(argc, argv, std::move(orders));
}}
"""


@unittest.skipUnless(FULL, "only in full: builds everything again")
class OwnProgram(SystemTest):
    def test_it_builds_and_runs_as_the_readme_says(self):
        out = self.path("billing.ndjson")
        for name, text in (("CMakeLists.txt", CMAKE.format(root=ROOT)), ("main.cpp", MAIN.format(file=out))):
            with open(self.path(name), "w", encoding="utf-8") as file:
                file.write(text)
        build = self.path("build")
        for command in (
            ["cmake", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-S", self.folder, "-B", build],
            ["cmake", "--build", build, "--target", "mine"],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-3000:])
        sets = ["http.listen=127.0.0.1:0", "cluster.listen=127.0.0.1:0", f"node.data_dir={self.path('data')}"]
        command = [os.path.join(build, "mine"), "supervisor", *(word for one in sets for word in ("--set", one))]
        running = Program("mine", command, self.folder)
        self.programs.append(running)
        address = running.wait_for_line(r"ready http=(\S+)")[1]
        for id_, status in (("a", 202), ("b", 202), ("a", 200)):
            answer = request(address, "POST", "/v1/pipelines/orders/messages", id_.encode(), {"Idempotency-Key": id_})
            self.assertEqual(answer.status, status, answer.body)

        def payloads() -> list:
            with open(out, encoding="utf-8") as lines:
                return [json.loads(line)["payload"] for line in lines]

        eventually("both are there", lambda: os.path.exists(out) and payloads() == ["<a>", "<b>"])
        self.assertEqual(running.stop(), 0)


if __name__ == "__main__":
    unittest.main()
