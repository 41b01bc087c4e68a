"""`python -m gan_runner.export run=DIR [format= out= checkpoint=]`: a trained model as a file that needs no gan_runner.

A file holds `generate`, latents to samples, where samples are a function of latents alone, else the energy of samples:
that of Boltzmann machines and energy-based models. It gets its name once it is read back and gives the same numbers.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_runner.arguments import command, one_of, run_folder
from gan_runner.console import say
from gan_runner.errors import Fault, Unavailable, UsageError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.export import ExportedProgram

    from gan_runner.functions import Function

TOLERANCE = 1e-5
"""How far the numbers of a file may be from our own, as a share of their range."""


@dataclass
class Settings:
    """Arguments of the command.

    Attributes:
        run: the run folder.
        format: torch, a program of torch.export that needs torch alone; onnx, for onnxruntime; or safetensors, weights
            for a network of your own. By how out ends if it is not given, else torch.
        out: where to; by default into the run's folder exports. A JSON file beside it says what the numbers mean.
        checkpoint: newest or best.
        trust: a module of your own that the run's model or loss comes from.
    """

    run: str
    format: str = ""
    out: str = ""
    checkpoint: str = "newest"
    trust: str = ""


def main() -> None:
    command(__doc__, Settings, export)


def export(settings: Settings) -> int:
    """Write the file and, beside it, its JSON; prints where it is and how far its numbers are from our own."""
    place, name = run_folder(settings.run, settings.checkpoint), chosen(settings)
    from gan_runner.folder import write_json
    from gan_runner.functions import function_of
    from gan_runner.restore import blank, restore

    def untrained() -> Function:
        return function_of(*blank(place, 0, "cpu", settings.trust))

    form, (source, draw, step) = FORMATS[name], restore(place, settings.checkpoint, 0, "cpu", settings.trust)
    function = function_of(source, draw)
    out = Path(settings.out or place / "exports" / f"step-{step:08d}{form.suffix}")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as aside:
        draft = Path(aside) / out.name
        form.write(function, draft)
        far = function.difference(form.read(draft, untrained))
        if not far <= TOLERANCE:
            what = f"format={name} does not give this model's numbers again: off by {far:.1e} of their range"
            others = " or ".join(f"format={k}" for k in FORMATS if k != name)
            raise Fault(what, f"choose {others}", kept="the run, and no file", id="F68")
        os.replace(draft, out)
    beside = out.with_name(f"{out.name}.json")
    write_json(beside, {"sha256": digest(out), "largest_difference": far, **described(function, place, step)})
    say(f"{function.what}, step {step:,}: {out}")
    say(f"read back, it is off by {far:.1e} of the range at most; what goes in and comes out: {beside}")
    return 0


def chosen(settings: Settings) -> str:
    """The format that is asked for, or that the name of the file ends like.

    Raises:
        UsageError: there is none, or the file is named like another's.
        Unavailable: a package that it needs is missing.
    """
    ends = {form.suffix: name for name, form in FORMATS.items()}
    name = settings.format or ends.get(Path(settings.out).suffix, "torch")
    one_of("format", name, [*FORMATS])
    suffix = FORMATS[name].suffix
    if settings.out and Path(settings.out).suffix != suffix:
        raise UsageError(f"out={settings.out} does not end in {suffix}, as {name} must", f"add {suffix}", id="F61")
    for package in FORMATS[name].packages:
        if importlib.util.find_spec(package) is None:
            what = f"format={name} needs the package {package}, which is missing"
            raise Unavailable(what, "pip install 'gan-runner[export]', or set format=torch", id="F50")
    return name


def described(function: Function, place: Path, step: int) -> dict[str, Any]:
    """All that a reader of the file must know, as plain data."""
    import torch

    from gan_runner import __version__, config
    from gan_runner.folder import read_json
    from gan_runner.restore import coding_of

    source, cfg, manifest = function.source, config.read(place), read_json(place / "manifest.json")
    categories = {name: list(texts) for name, texts in zip(source.spec.names, source.levels, strict=False) if texts}
    return {
        **{"takes": function.takes, "gives": function.gives, **function.describe()},
        **{"columns": list(source.spec.names), "categories": categories},
        **{"step": step, "data": manifest["data"]["name"], "data_digest": manifest["data"]["digest"]},
        "versions": {"gan_runner": __version__, "torch": str(torch.__version__)},
        "networks": {role: str(net).splitlines() for role, net in function.average.items()},
        **{"model": cfg["model"], "loss": cfg["loss"], "coding": coding_of(manifest)},
    }


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- formats ---------------------------------------------------------------------------------------


def traced(function: Function) -> ExportedProgram:
    """The function as `torch.export` follows it, for any number of rows.

    Raises:
        Fault: it cannot be followed.
    """
    import torch

    rows = ({0: torch.export.Dim("n")},)
    try:
        with torch.no_grad():
            function(function.given)  # what networks measure once is measured here, and not followed
            return torch.export.export(function, (function.given,), dynamic_shapes=rows)
    except Exception as error:  # anything that the model's own code may raise when it is followed
        what = f"torch.export cannot follow this model: {str(error).strip().splitlines()[0]}"
        raise Fault(what, "choose format=safetensors", kept="the run, and no file", id="F68") from error


def write_program(function: Function, path: Path) -> None:
    import torch

    program = traced(function)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights that share memory on a GPU; here they are on the CPU
        torch.export.save(program, path)


def read_program(path: Path, untrained: Callable[[], Function]) -> Callable[[Tensor], Tensor]:
    import torch

    return torch.export.load(path).module()


def write_onnx(function: Function, path: Path) -> None:
    import torch

    program = torch.onnx.export(traced(function), dynamo=True, output_names=[function.gives], verbose=False)
    assert program is not None
    program.save(path, external_data=False)


def read_onnx(path: Path, untrained: Callable[[], Function]) -> Callable[[Tensor], Tensor]:
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (argument,) = session.get_inputs()
    return lambda rows: torch.from_numpy(session.run(None, {argument.name: rows.numpy()})[0])


def write_weights(function: Function, path: Path) -> None:
    from safetensors.torch import save_file

    weights = {name: t.detach().clone().contiguous() for name, t in function.average.state_dict().items()}
    save_file(weights, path, {"format": "pt"})


def read_weights(path: Path, untrained: Callable[[], Function]) -> Callable[[Tensor], Tensor]:
    """The function of networks as they were before training, but for these weights."""
    from safetensors.torch import load_file

    function = untrained()
    function.average.load_state_dict(load_file(path))
    return function


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        suffix: how its name ends.
        packages: what it needs beside torch.
        write: a function into a file.
        read: a file as a function, given what makes the function of an untrained model.
    """

    suffix: str
    packages: tuple[str, ...]
    write: Callable[[Function, Path], None]
    read: Callable[[Path, Callable[[], Function]], Callable[[Tensor], Tensor]]


FORMATS = {
    "torch": Format(".pt2", (), write_program, read_program),
    "onnx": Format(".onnx", ("onnx", "onnxscript", "onnxruntime"), write_onnx, read_onnx),
    "safetensors": Format(".safetensors", ("safetensors",), write_weights, read_weights),
}


if __name__ == "__main__":
    main()
