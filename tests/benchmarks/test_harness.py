import json
import subprocess
import sys

import pytest

from benchmarks.harness import REPOSITORY, Contender, Promise, Report, Sample, play, run
from benchmarks.report import BEGIN, END, into, kept, page, taken

BUSY = """
from benchmarks.work import work
block = b"x" * 60_000_000
before = sum(range(6_000_000))
with work() as notes:
    total = sum(range(3_000_000))
    notes["total"] = total
"""


def sample(wall_s, **notes):
    return Sample(wall_s=wall_s, cpu_s=1, process_wall_s=wall_s, process_cpu_s=1, rss_bytes=50_000_000, notes=notes)


def python(code):
    return [sys.executable, "-c", code]


class TestRun:
    def test_work_is_part_of_the_process(self):
        took = run(Contender(name="busy", argv=python(BUSY)))
        assert 0 < took.wall_s < took.process_wall_s
        assert 0 < took.cpu_s < took.process_cpu_s / 2
        assert took.notes == {"total": sum(range(3_000_000))}

    def test_a_program_that_does_not_time_itself(self):
        took = run(Contender(name="quiet", argv=["/bin/echo", '{"wall_s" is not said']))
        assert took.wall_s == took.process_wall_s
        assert took.notes == {}

    @pytest.mark.parametrize(
        "code", [BUSY, f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])"]
    )
    def test_memory_is_that_of_the_process_or_of_its_child(self, code):
        # Measured by a process as small as a benchmark's harness is: pytest's own size would be a floor under it.
        measure = f"""
from benchmarks.harness import REPOSITORY, Contender, run
print(run(Contender(name="it", argv={python(code)!r})).rss_bytes)"""
        done = subprocess.run(python(measure), cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
        assert 60_000_000 < int(done.stdout) < 100_000_000

    def test_a_failure_ends_the_benchmark_with_what_was_said(self):
        with pytest.raises(SystemExit, match=r"(?s)broken failed with 3.*out of credits"):
            run(Contender(name="broken", argv=python("import sys; sys.stderr.write('out of credits'); sys.exit(3)")))

    def test_a_process_that_hangs_is_ended(self):
        with pytest.raises(SystemExit, match="stuck failed with -9"):
            run(Contender(name="stuck", argv=["/bin/sleep", "60"]), timeout_s=0.1)

    def test_environment(self):
        with pytest.raises(SystemExit, match="failed with 7"):
            run(
                Contender(
                    name="env", argv=python("import os, sys; sys.exit(int(os.environ['CODE']))"), env={"CODE": "7"}
                )
            )


def test_rounds_are_interleaved_and_outputs_removed_and_checked(tmp_path):
    target, calls = tmp_path / "output", []

    def contender(name, rounds=None):
        code = f"import pathlib; pathlib.Path({str(target)!r}).open('x').write({name!r})"
        return Contender(name=name, argv=python(code), rounds=rounds)

    def check(one):
        calls.append(target.read_text())
        return {"seen": len(calls)}

    contenders = [contender("a"), contender("b"), contender("slow", rounds=1)]
    samples = play(contenders, rounds=2, prepare=lambda: target.unlink(missing_ok=True), check=check)
    assert calls == ["a", "b", "a", "b", "slow", "a", "b"]  # the first two are the warm-up
    assert [taken.notes["seen"] for taken in samples["a"]] == [3, 6]
    assert len(samples["slow"]) == 1
    assert not target.exists()


class TestPromise:
    def test_ratios_are_taken_by_round(self):
        samples = {"ours": [sample(1), sample(2), sample(4)], "theirs": [sample(3), sample(4), sample(4)]}
        faster = Promise(of="ours", figure="wall_s", beside="theirs", at_least=2)
        assert faster.values(samples) == [3, 2, 1]
        assert Promise(of="ours", figure="wall_s", beside="theirs", at_most=1).values(samples) == [1 / 3, 1 / 2, 1]

    def test_only_the_rounds_in_which_both_took_part(self):
        samples = {"ours": [sample(1), sample(2)], "theirs": [sample(40)]}
        assert Promise(of="ours", figure="wall_s", beside="theirs", at_least=20).values(samples) == [40]

    def test_figures_themselves_and_notes(self):
        samples = {"ours": [sample(1, output_bytes=500)]}
        assert Promise(of="ours", figure="rss_bytes", at_most=64, scale=1e6).values(samples) == [50]
        assert Promise(of="ours", figure="output_bytes", at_most=1).values(samples) == [500]

    @pytest.mark.parametrize(
        ("limits", "median", "holds"),
        [
            ({"at_least": 2}, 2, True),
            ({"at_least": 2}, 1.99, False),
            ({"at_most": 2}, 2, True),
            ({"at_most": 2}, 2.01, False),
        ],
    )
    def test_verdict(self, limits, median, holds):
        assert Promise(of="ours", figure="wall_s", **limits).holds(median) is holds


def report(*, quick=False, name="download-link"):
    made = Report(name, "A title", quick=quick, configuration={"bytes": 5})
    samples = {"ours": [sample(1), sample(2)], "theirs": [sample(4), sample(4)]}
    promises = [
        Promise(of="ours", figure="wall_s", beside="theirs", at_least=3.5),
        Promise(of="ours", figure="rss_bytes", at_most=64, unit="MB", scale=1e6),
    ]
    made.add(samples, promises)
    return made


class TestReport:
    def test_a_promise_not_kept_fails(self, tmp_path, capsys):
        path = tmp_path / "results" / "it.json"
        assert report().finish(path) == 1
        document = json.loads(path.read_text())
        assert [promise["holds"] for promise in document["promises"]] == [False, True]
        assert document["promises"][0]["median"] == 3
        assert document["machine"]["cpus"] >= 1
        assert document["versions"]["up42-pipelines"]
        assert "NO" in capsys.readouterr().out

    def test_quick_judges_nothing(self, capsys):
        made = report(quick=True)
        assert made.finish(None) == 0
        assert [row[-1] for row in kept(made.document())[1:]] == ["not judged"] * 2
        assert "measures nothing" in capsys.readouterr().out

    def test_tables(self):
        document = report().document()
        assert kept(document)[1:] == [
            ["time: ours, times faster than theirs", ">= 3.5 x", "3 x [2-4]", "2", "NO"],
            ["peak memory of ours", "<= 64 MB", "50 MB [50-50]", "2", "yes"],
        ]
        assert taken(document)[1] == ["ours", "2", "1.50 [1.00-2.00]", "1.00 [1.00-1.00]", "1.50", "1.00", "50"]

    def test_page(self):
        text = f"before {BEGIN} old {END} after"
        made = into(text, page([report(name="cog-rgb").document(), report().document()]))
        assert made.startswith(f"before {BEGIN}\n### A title")
        assert made.endswith(f"{END} after")
        assert "old" not in made
        assert made.count("| time: ours, times faster than theirs | >= 3.5 x | 3 x [2-4] | 2 | NO |") == 2
        assert into(made, "new") == f"before {BEGIN}\nnew\n{END} after"

    def test_a_page_without_marks_is_left_alone(self):
        with pytest.raises(ValueError, match="needs the marks"):
            into("no marks", "tables")
