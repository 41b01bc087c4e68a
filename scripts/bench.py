"""Speed as ratios: both sides alternate in one process, so that a busy machine slows them alike. `make bench`.

python scripts/bench.py [name ...] [--page FILE]     a line each: what was measured (median of rounds), and the target
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gan_runner.build import build
from gan_runner.console import Console
from gan_runner.draw import Draw, Stopwatch
from gan_runner.folder import create
from gan_runner.logbook import Logbook
from gan_runner.loop import Run, fit
from gan_runner.metrics.probe import Metric
from gan_runner.metrics.quality import ImageQuality
from gan_runner.models.rbm import RBM
from gan_runner.models.roles import Discriminator, Generator
from gan_runner.program import exactness
from gan_runner.record import Recorder
from gan_runner.signals import Stop

HUBER = (
    "dataset=huber",
    "model.generator.hidden=[100]",
    "model.generator.latent=50",
    "model.discriminator.hidden=[100,25]",
)
TOY = (
    "dataset=ring8",
    "train.batch_size=64",
    "model.generator.hidden=[32,32]",
    "model.generator.latent=2",
    "model.discriminator.hidden=[32,32]",
)
IMAGE = ("dataset=fashion", "model=dcgan")


def compose(*overrides: str) -> dict:
    """The configuration that the command line would compose."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from omegaconf import OmegaConf

    from gan_runner import config

    config.register()
    with initialize_config_dir(str(config.config_dir()), version_base="1.3"):
        cfg = hydra_compose("config", overrides=["run.name=bench", "sweep=bench", *overrides])
    return cast(dict, OmegaConf.to_container(cfg, resolve=True))


class Segments:
    """A loop that can be run for some steps at a time; also the recorder and stop of a run nobody watches."""

    def __init__(self, run: Run, recorder: Recorder | None = None):
        self.run, self.recorder, self.until = run, recorder, 0
        self.run.steps = sys.maxsize

    def step(self, logs: dict[str, Tensor]) -> None:
        if self.recorder:
            self.recorder.step(logs)

    @property
    def requested(self) -> str | None:
        return "SIGTERM" if self.run.state.clock.step >= self.until else None

    def __call__(self, steps: int) -> None:
        self.until = self.run.state.clock.step + steps
        fit(self.run, self, self)


class Bare:
    """What a hand-written loop could not leave out: shuffled rows, the step, the moving average."""

    def __init__(self, run: Run):
        self.run, self.at = run, 0
        self.rows = run.batch * run.objective.batches(run.state.clock)
        self.order = torch.randperm(len(run.source))

    def __call__(self, steps: int) -> None:
        run, key = self.run, self.run.objective.prepare(self.run.state)
        for _ in range(steps):
            if self.at + self.rows > len(self.order):
                self.at = 0
            x = run.source.take(self.order[self.at : self.at + self.rows])
            self.at += self.rows
            run.program(x, key)
            run.state.tick(len(x), run.batch, run.halflife)


def with_recorder(run: Run, cfg: dict, folder: Path) -> Segments:
    """A run with logging, pictures, metrics and checkpoints at its defaults."""
    console = Console(total=10**9, start=0, log=folder / "run.log", title="bench", stream=open(os.devnull, "w"))
    train = cfg["train"]
    recorder = Recorder(
        run,
        folder,
        Logbook(folder, start=0, console=console),
        console,
        log_every=train["log_every"],
        checkpoint_every=train["checkpoint_every"],
        keep=train["checkpoint_keep"],
        facts={},
        stop=Stop(),
    )
    recorder.start()
    gc.freeze()  # as gan_runner.train does
    return Segments(run, recorder)


def ratio(slow: Callable[[int], object], fast: Callable[[int], object], steps: int, rounds: int = 7) -> float:
    """How many times faster `fast` is: the median over rounds of alternating segments, after one warm-up each."""
    slow(steps)
    fast(steps)
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        slow(steps)
        middle = time.perf_counter()
        fast(steps)
        found.append((middle - began) / (time.perf_counter() - middle))
    return statistics.median(found)


def share(full: Segments, bare: Bare, period: int, segment: int) -> float:
    """Time of the bare step over that of the full run, summed over one whole period of all intervals."""
    full(segment)
    bare(segment)
    full_time = bare_time = 0.0
    for _ in range(period // segment):
        began = time.perf_counter()
        full(segment)
        middle = time.perf_counter()
        bare(segment)
        full_time += middle - began
        bare_time += time.perf_counter() - middle
    return bare_time / full_time


# -- the usual tutorial loop -----------------------------------------------------------------------


class Pictures(Dataset):
    """Images through PIL and torchvision transforms, one by one: framed in [-1, 1] for GANs, else plain in [0, 1]."""

    def __init__(self, data: Tensor, framed: bool):
        from torchvision import transforms as t

        steps = [t.Resize(32), t.ToTensor(), t.Normalize(0.5, 0.5)] if framed else [t.ToTensor()]
        self.data, self.transform = data, t.Compose([t.ToPILImage(), *steps])

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Tensor:
        return self.transform(self.data[index])


def endless(data: Tensor, batch: int, framed: bool = True):
    while True:
        yield from DataLoader(Pictures(data, framed), batch, shuffle=True, drop_last=True)


def networks(run: Run) -> tuple[Generator, Discriminator]:
    """Both networks, in torch's usual memory layout."""
    G, D = (run.state.nets[role].to(memory_format=torch.contiguous_format) for role in ("generator", "discriminator"))
    return cast(Generator, G), cast(Discriminator, D)


def tutorial_dcgan(run: Run) -> Callable[[int], None]:
    """DCGAN as tutorials write it: BCE on sigmoid, gradients of D kept in G's step, `.item()` every step."""
    G, D = networks(run)
    moves = {net: torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in (G, D)}
    bce, rows = nn.BCELoss(), endless(run.source.data, run.batch)

    def loop(steps: int) -> None:
        for _ in range(steps):
            real = next(rows)
            ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
            D.zero_grad()
            loss_real = bce(D(real).sigmoid(), ones)
            loss_real.backward()
            fake = G(G.noise(len(real)))
            loss_fake = bce(D(fake.detach()).sigmoid(), zeros)
            loss_fake.backward()
            moves[D].step()
            G.zero_grad()
            loss = bce(D(fake).sigmoid(), ones)
            loss.backward()
            moves[G].step()
            _ = loss_real.item() + loss_fake.item(), loss.item()

    return loop


def tutorial_wgan_gp(run: Run) -> Callable[[int], None]:
    """WGAN-GP as tutorials write it: fakes not detached in the critic's step, one batch for all that follows."""
    G, D = networks(run)
    moves = {net: torch.optim.Adam(net.parameters(), 1e-4, (0.0, 0.9)) for net in (G, D)}
    rows = endless(run.source.data, run.batch)

    def loop(steps: int) -> None:
        for _ in range(steps):
            for _ in range(5):
                real = next(rows)
                moves[D].zero_grad()
                fake = G(G.noise(len(real)))
                mix = torch.rand(len(real), 1, 1, 1)
                between = (mix * real + (1 - mix) * fake).requires_grad_(True)
                slope = torch.autograd.grad(D(between).sum(), between, create_graph=True, retain_graph=True)[0]
                penalty = ((slope.flatten(1).norm(2, dim=1) - 1) ** 2).mean()
                loss_d = -D(real).mean() + D(fake).mean() + 10 * penalty
                loss_d.backward()
                moves[D].step()
            moves[G].zero_grad()
            loss_g = -D(G(G.noise(len(real)))).mean()
            loss_g.backward()
            moves[G].step()
            _ = loss_d.item(), loss_g.item()

    return loop


def dataloader_huber(run: Run) -> Callable[[int], None]:
    """Robust location as a plain loop writes it: rows by a DataLoader, BCE on logits, eager steps of torch's SGD."""
    G, D = networks(run)
    moves = {net: torch.optim.SGD(net.parameters(), rate) for net, rate in ((G, 0.02), (D, 0.2))}
    bce, rows = nn.BCEWithLogitsLoss(), endless_rows(run.source.data, run.batch)
    ones, zeros = torch.ones(run.batch), torch.zeros(run.batch)

    def loop(steps: int) -> None:
        for _ in range(steps):
            for _ in range(5):
                (real,) = next(rows)
                fake = G(G.noise(len(real))).detach()
                loss_d = bce(D(real), ones) + bce(D(fake), zeros)
                moves[D].zero_grad()
                loss_d.backward()
                moves[D].step()
            loss_g = bce(D(G(G.noise(run.batch))), ones)
            moves[G].zero_grad()
            loss_g.backward()
            moves[G].step()
            _ = loss_d.item(), loss_g.item()

    return loop


def tutorial_vae(run: Run) -> Callable[[int], None]:
    """A VAE as tutorials write it: cross-entropy on sigmoids of grey pixels, summed, and `.item()` every step."""
    E, G = run.state.nets["encoder"], run.state.nets["generator"]
    adam = torch.optim.Adam([*E.parameters(), *G.parameters()], 1e-3)
    net, rows = cast(nn.Module, G.net), endless(run.source.data, run.batch, framed=False)

    def loop(steps: int) -> None:
        for _ in range(steps):
            x = next(rows)
            mu, log_sd = E(x)
            made = net(mu + log_sd.exp() * torch.randn_like(mu)).sigmoid()
            reconstruction = nn.functional.binary_cross_entropy(made, x, reduction="sum")
            kl = -0.5 * torch.sum(1 + 2 * log_sd - mu.pow(2) - (2 * log_sd).exp())
            loss = (reconstruction + kl) / len(x)
            adam.zero_grad()
            loss.backward()
            adam.step()
            _ = loss.item(), reconstruction.item(), kl.item()

    return loop


def endless_rows(data: Tensor, batch: int):
    while True:
        yield from DataLoader(TensorDataset(data), batch, shuffle=True, drop_last=True)


def sklearn_rbm(run: Run, dtype: str) -> Callable[[int], None]:
    """scikit-learn's machine of as many units on the same rows; one `fit` passes over as many batches as asked.

    Each side takes five products a step and draws the states of its chains, but throws no coins for its data; ours
    also keeps its loss and reconstruction error. `partial_fit` would make float64 of any rows. Both have one thread.
    """
    from sklearn.neural_network import BernoulliRBM
    from threadpoolctl import threadpool_limits

    theirs = BernoulliRBM(cast(RBM, run.state.nets["rbm"]).c.numel(), batch_size=run.batch, n_iter=1, random_state=0)
    rows = run.source.data.flatten(1).gt(127).numpy().astype(dtype)

    def loop(steps: int) -> None:
        with threadpool_limits(1):
            theirs.fit(rows[: steps * run.batch])

    return loop


def products(run: Run) -> Callable[[int], None]:
    """As much arithmetic as the five products of CD-1, in products of 1024 x 1024: all that this machine can do.

    They are as coarse as those of the run.
    """
    torch.set_float32_matmul_precision(exactness("fast", run.source.device))
    a, b, c = torch.rand(3, 1024, 1024)
    share = 5 * run.batch * cast(RBM, run.state.nets["rbm"]).W.numel() / 1024**3

    def loop(steps: int) -> None:
        for _ in range(round(steps * share)):
            torch.mm(a, b, out=c)

    return loop


# -- comparisons -----------------------------------------------------------------------------------


def overhead_image() -> float:
    with tempfile.TemporaryDirectory() as place:
        cfg = compose(*IMAGE)
        return share(with_recorder(build(cfg), cfg, create(Path(place), "r")), Bare(build(cfg)), 1000, 25)


def overhead_huber() -> float:
    with tempfile.TemporaryDirectory() as place:
        cfg = compose(*HUBER)
        return share(with_recorder(build(cfg), cfg, create(Path(place), "r")), Bare(build(cfg)), 20_000, 250)


def metrics_share() -> float:
    """Time of the metrics that image runs ask now and then, at their second call, over that of training meanwhile."""
    run = build(compose(*IMAGE))
    draw, train, steps, found = Draw(run.objective, run.state, run.source.device), Segments(run), 20, 0.0
    train(5)
    began = time.perf_counter()
    train(steps)
    step = (time.perf_counter() - began) / steps
    for probe in run.probes.values():
        if isinstance(probe, Metric) and probe.every > 0:
            probe(draw, run.source)
            began = time.perf_counter()
            probe(draw, run.source)
            found += (time.perf_counter() - began) / (probe.every * step)
    return found


def fid_seconds() -> float:
    """All metrics of 10,000 samples in a classifier's features, once that is trained; making samples is not counted."""
    run = build(compose(*IMAGE, "probes.quality.n=10000", "probes.quality.root=null"))
    draw = Stopwatch(Draw(run.objective, run.state, run.source.device))
    draw(10_000)
    cast(ImageQuality, run.probes["quality"]).features(run.source)
    began = time.perf_counter()
    run.probes["quality"](draw, run.source)
    return time.perf_counter() - began


MLP = (
    "dataset=fashion",
    "model=mlp",
    "loss=wgan_gp",
    "model.generator.latent=100",
    "model.generator.hidden=[128,256,512,1024]",
    "model.discriminator.hidden=[512,256]",
)
VAE = ("experiment=vae", "train.threads=1")
ROBUST = ("experiment=huber", "probes=none", "train.threads=1")
CD1 = (
    *("dataset=fashion", "dataset.size=28", "loss=cd", "model=rbm_cut", "train.batch_size=128"),
    *("train.ema_halflife=0", "train.matmul=fast"),  # as the presets of Boltzmann machines train
    *("probes=none", "train.threads=1"),
)
SIDES: dict[str, Callable[[], Callable[[int], None]]] = {
    "tutorial": lambda: tutorial_dcgan(build(compose(*IMAGE))),
    "ours": lambda: Segments(build(compose(*IMAGE))),
    "bf16": lambda: Segments(build(compose(*IMAGE, "train.precision=bf16"))),
    "tutorial-wgan-gp": lambda: tutorial_wgan_gp(build(compose(*MLP))),
    "ours-wgan-gp": lambda: Segments(build(compose(*MLP))),
    "tutorial-vae": lambda: tutorial_vae(build(compose(*VAE))),
    "ours-vae": lambda: Segments(build(compose(*VAE))),
    "dataloader-huber": lambda: dataloader_huber(build(compose(*ROBUST))),
    "eager-huber": lambda: Segments(build(compose(*ROBUST))),
    "ours-huber": lambda: Segments(build(compose(*ROBUST, "train.program=compiled"))),
    "sklearn-rbm": lambda: sklearn_rbm(build(compose(*CD1)), "float64"),
    "sklearn-rbm-float32": lambda: sklearn_rbm(build(compose(*CD1)), "float32"),
    "products": lambda: products(build(compose(*CD1))),
    "ours-rbm": lambda: Segments(build(compose(*CD1))),
}


class Side:
    """A loop in a process of its own, so that neither finds memory as the other left it."""

    def __init__(self, name: str):
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--side", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, steps: int) -> None:
        assert self.process.stdin and self.process.stdout
        print(steps, file=self.process.stdin, flush=True)
        assert self.process.stdout.readline() == "done\n", "this side died"

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def serve(name: str) -> None:
    """Run one side for as many steps as each line of the input says."""
    warnings.simplefilter("ignore")
    loop = SIDES[name]()
    for line in sys.stdin:
        loop(int(line))
        print("done", flush=True)


def against_tutorial(theirs: str, ours: str, steps: int) -> Callable[[], float]:
    """How many times faster `ours` is; the two processes never run at the same time."""

    def measure() -> float:
        with closing(Side(theirs)) as slow, closing(Side(ours)) as fast:
            return ratio(slow, fast, steps)

    return measure


def compiled(overrides: tuple[str, ...], loss: str, steps: int) -> float:
    eager = build(compose(*overrides, f"loss={loss}", "train.threads=1"))
    graph = build(compose(*overrides, f"loss={loss}", "train.program=compiled", "train.threads=1"))
    return ratio(Segments(eager), Segments(graph), steps)


def timed(*command: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True, cwd=ROOT)
    return time.perf_counter() - began


BARE = """
import hydra
@hydra.main(config_path={path!r}, config_name="config", version_base="1.3")
def main(cfg): pass
if __name__ == "__main__": main()
"""


def question() -> float:
    """`--cfg job` over the same flag of a Hydra app that does nothing, on the same configuration."""
    with tempfile.TemporaryDirectory() as place:
        app = Path(place) / "app.py"
        schema = "import sys; sys.path.insert(0, {root!r})\nfrom gan_runner.config import register\nregister()\n"
        app.write_text(schema.format(root=str(ROOT)) + BARE.format(path=str(ROOT / "configs")))
        pairs = [(timed(str(app), "--cfg", "job"), timed("-m", "gan_runner", "--cfg", "job")) for _ in range(11)]
        return statistics.median(ours / theirs for theirs, ours in pairs)


def help_seconds() -> float:
    return statistics.median(timed("-m", "gan_runner", "--help") for _ in range(5))


def first_step_seconds() -> float:
    """From the command to the end of the first step, less what importing torch takes."""
    torch_alone = (
        "import time; began = time.perf_counter()\n"
        "import torch\n"
        "print('STEP', time.perf_counter() - began, flush=True)\n"
        "__import__('os')._exit(0)\n"
    )
    whole = (
        "import time; began = time.perf_counter()\n"
        "import sys; sys.argv = ['gan_runner', 'train.steps=1', 'probes=none', 'run.dir={0}']\n"
        "import gan_runner.loop as loop, gan_runner.record as record\n"
        "def stamp(self, logs):\n"
        "    heavy = set(sys.modules).intersection(['torchvision', 'pandas', 'torch._dynamo'])\n"
        "    print('STEP', time.perf_counter() - began, *heavy, flush=True)\n"
        "    __import__('os')._exit(0)\n"
        "record.Recorder.step = stamp\n"
        "import gan_runner.__main__ as m; m.main()\n"
    )

    def stamp(program: str) -> float:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
        (seconds, *heavy) = next(line for line in done.stdout.splitlines() if line.startswith("STEP")).split()[1:]
        assert not heavy, f"imported before the first step: {heavy}"
        return float(seconds)

    found = []
    for _ in range(5):
        with tempfile.TemporaryDirectory() as place:
            found.append(stamp(whole.format(place)) - stamp(torch_alone))
    return statistics.median(found)


COMPARISONS: dict[str, tuple[Callable[[], float], str, str]] = {
    "cfg-job": (question, "--cfg job over a bare Hydra app", "<= 1.3"),
    "help": (help_seconds, "--help, seconds", "<= 0.6"),
    "first-step": (first_step_seconds, "first step after importing torch, seconds", "<= 0.7"),
    "huber-full": (overhead_huber, "Huber MLP: bare step over full run", ">= 0.93"),
    "tutorial": (against_tutorial("tutorial", "ours", 20), "DCGAN-32 loop over the tutorial loop", ">= 1.3"),
    "bf16": (against_tutorial("tutorial", "bf16", 20), "the same in bf16", ">= 1.9"),
    "mlp-wgan-gp": (
        against_tutorial("tutorial-wgan-gp", "ours-wgan-gp", 10),
        "MLP WGAN-GP over the tutorial loop",
        ">= 1.8",
    ),
    "vae": (against_tutorial("tutorial-vae", "ours-vae", 20), "VAE-28 over the tutorial loop", ">= 1.5"),
    "huber-dataloader": (  # rows gathered from memory at once, not one by one; a compiled step
        against_tutorial("dataloader-huber", "ours-huber", 200),
        "robust location, compiled, over an eager loop with a DataLoader",
        ">= 5",
    ),
    "compiled-huber": (lambda: compiled(HUBER, "ns", 300), "Huber MLP, compiled over eager", ">= 1.4"),
    "compiled-huber-gp": (lambda: compiled(HUBER, "wgan_gp", 60), "the same with WGAN-GP", ">= 1.4"),
    "compiled-toy": (lambda: compiled(TOY, "ns", 500), "2-D toy, compiled over eager", ">= 3"),
    "compiled-toy-gp": (lambda: compiled(TOY, "wgan_gp", 100), "the same with WGAN-GP", ">= 3"),
    "rbm-ceiling": (
        against_tutorial("products", "ours-rbm", 60),
        "share of CD-1 on 784 x 500 units that is products, at this machine's best",
        ">= 0.6",
    ),
    "rbm-sklearn": (  # on float64, as its own loaders and numpy's files give it
        against_tutorial("sklearn-rbm", "ours-rbm", 60),
        "the same over scikit-learn's machine",
        ">= 3",
    ),
    "rbm-sklearn-float32": (
        against_tutorial("sklearn-rbm-float32", "ours-rbm", 60),
        "the same where that is given float32",
        ">= 3",
    ),
    "metrics": (metrics_share, "DCGAN-32: share of its metrics in the time of training", "<= 0.05"),
    "fid-10k": (fid_seconds, "10,000 samples judged in a classifier's features, seconds", "<= 20"),
    "image-full": (overhead_image, "DCGAN-32: bare step over full run", ">= 0.97"),
}


PAGE = """# How fast it is

Made by `make bench` on {machine}, {cores} cores, torch {torch}. Ratios are medians of rounds in which both sides
alternate, each at the same work, so they carry over to other machines where seconds do not. Tutorial loops are what
tutorials have: a `DataLoader`, `.item()` each step, no fused optimizer. VAEs and Boltzmann machines take coarse
products, as their presets do (`train.matmul=fast`: bf16 where a processor has units for it, elsewhere float32 by
whichever library is faster). `python scripts/bench.py NAME` measures one of them.

| name | what | measured | asked |
|---|---|---|---|
{lines}
"""


def main() -> None:
    if sys.argv[1:2] == ["--side"]:
        return serve(sys.argv[2])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help=f"all by default, or of {', '.join(COMPARISONS)}")
    parser.add_argument("--page", type=Path, help="a Markdown file for the figures")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", "this machine is busy")  # with this benchmark
    print(f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}")
    lines = []
    for name in args.names or COMPARISONS:
        measure, what, target = COMPARISONS[name]
        began = time.perf_counter()
        value = measure()
        met = value >= float(target[3:]) if target[0] == ">" else value <= float(target[3:])
        seconds = time.perf_counter() - began
        lines.append(f"| `{name}` | {what} | {value:.3g}{'' if met else ', missed'} | {target} |")
        print(
            f"{name:<18} {value:6.2f}  {target:<8} {'met' if met else 'MISSED':<7} {what} ({seconds:.0f} s)", flush=True
        )
    if args.page:
        facts = {"machine": processor(), "cores": os.cpu_count(), "torch": torch.__version__}
        args.page.write_text(PAGE.format(lines="\n".join(lines), **facts))


def processor() -> str:
    """Its name, where Linux tells it."""
    try:
        told = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(": ")[2] for line in told if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
