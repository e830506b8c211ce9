"""The examples say what they do and do it: as text everywhere, as runs where a framework is there.

`make frameworks` installs the frameworks.
"""

import ast
import importlib.util
import re
import subprocess
import sys

import pytest
import torch
from browser import ROOT

FOLDER = ROOT / "examples"
sys.path.insert(0, str(FOLDER))
SCRIPTS = sorted(path.stem for path in FOLDER.glob("escape_*.py"))
OTHERS = {"at_saddle", "saddlelib", "torch", *sys.stdlib_module_names}
README = (FOLDER / "README.md").read_text()


def pins(path):
    """The lines of a list of requirements, without comments."""
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


def imported(tree):
    """The packages that a script imports."""
    return {name.split(".")[0] for node in ast.walk(tree)
            for name in ([node.module] if isinstance(node, ast.ImportFrom) else
                         [a.name for a in node.names] if isinstance(node, ast.Import) else [])}


def frameworks_of(script):
    return imported(ast.parse((FOLDER / f"{script}.py").read_text())) - OTHERS


def skip_without(script):
    missing = [name for name in frameworks_of(script) if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: make frameworks")


def test_each_framework_has_a_script():
    assert SCRIPTS == ["escape_accelerate", "escape_fabric", "escape_lightning", "escape_trainer"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_says_how_it_is_run_and_stands_in_the_readme(script):
    tree = ast.parse((FOLDER / f"{script}.py").read_text())
    said = ast.get_docstring(tree)
    assert f"python examples/{script}.py" in said and f"python examples/{script}.py" in README
    pinned = {pin.partition("==")[0] for pin in pins(FOLDER / "frameworks.txt")}
    assert frameworks_of(script) <= pinned
    for name in frameworks_of(script):
        assert re.search(rf"pip install.*\b{name}\b", said), name


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_gives_escape_an_optimizer_of_torch_and_the_loss_once(script):
    tree = ast.parse((FOLDER / f"{script}.py").read_text())
    [call] = [node for node in ast.walk(tree) if isinstance(node, ast.Call)
              and getattr(node.func, "id", "") == "Escape"]
    [loss] = [key.value for key in call.keywords if key.arg == "loss"]
    assert isinstance(loss, ast.Lambda) and not loss.args.args
    inner = call.args[0]
    if isinstance(inner, ast.Name):  # assigned before
        [inner] = [node.value for node in ast.walk(tree) if isinstance(node, ast.Assign)
                   and getattr(node.targets[0], "id", "") == inner.id]
    assert ast.unparse(inner).startswith("torch.optim.")


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning")  # Lightning's
def test_a_script_leaves_the_saddle(script, capsys):
    skip_without(script)
    assert importlib.import_module(script).main() < 0.5
    assert ", 1 at the saddle; " in capsys.readouterr().out


@pytest.mark.parametrize("script", SCRIPTS)
def test_two_processes_end_at_the_same_weights(script, tmp_path):
    """Each has mini-batches of its own, and `loss` often sees the model inside DDP, not DDP."""
    skip_without(script)
    settings = {"devices": 2, "strategy": "ddp"} if "lightning" in frameworks_of(script) else {}
    driver = tmp_path / "driver.py"
    driver.write_text(f"import sys\nsys.path[:0] = [{str(ROOT)!r}, {str(FOLDER)!r}]\n"
                      f"import {script}\nloss = {script}.main(epochs=2, **{settings})\n"
                      f"print(f'\\nended at {{loss!r}}')\n")
    done = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone",
                           "--nproc-per-node", "2", driver], capture_output=True, text=True)
    ended = re.findall(r"ended at ([\d.]+)", done.stdout)
    assert len(ended) == 2, done.stderr
    assert ended[0] == ended[1] and float(ended[0]) < 0.95


def test_the_task_begins_exactly_at_a_strict_saddle():
    """No gradient on any batch, and a direction in which the loss falls like −t²."""
    from at_saddle import Autoencoder, data, error

    model, x = Autoencoder().double(), data().double()
    for batch in (x, x[:64], x[64:65]):
        loss = error(model, batch)
        assert not any(g.any() for g in torch.autograd.grad(loss, list(model.parameters())))
    assert abs(error(model, x).item() - 1) < 0.01
    v = torch.linalg.eigh(x.T @ x / len(x))[1][:, -1]
    falls = []
    for t in (1e-3, 2e-3):
        with torch.no_grad():
            model.encode.weight[0], model.decode.weight[:, 0] = t * v, t * v
            falls.append(float(error(model, x)) - float(x.square().sum(1).mean()))
    assert falls[0] < 0 and abs(falls[1] / falls[0] - 4) < 1e-3


def test_the_frameworks_are_pinned_and_change_no_pin_of_the_book():
    names = [re.fullmatch(r"([\w.-]+)==[\w.!+]+", pin)[1]
             for pin in pins(FOLDER / "frameworks.txt")]
    assert names == sorted(names)
    book = {re.sub("[-_.]+", "-", pin.partition("==")[0]).lower()
            for pin in pins(ROOT / "requirements.txt")}
    assert book.isdisjoint(re.sub("[-_.]+", "-", name).lower() for name in names)
