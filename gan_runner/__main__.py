"""`python -m gan_runner [overrides]`: compose, check, train; torch is imported only once a run really starts."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from gan_runner import __version__
from gan_runner.console import say

USAGE = """gan_runner: train, resume, sample and sweep GANs from one command.

  python -m gan_runner                                    digits with DCGAN, ends with a picture
  python -m gan_runner dataset=fashion loss=wgan_gp       choose from the groups below
  python -m gan_runner train.epochs=5 optimizer.lr=1e-4   change a value
  python -m gan_runner resume=outputs/RUN                 go on with a run
  python -m gan_runner -m loss=ns,wgan_gp seed=1,2,3      sweep
  python -m gan_runner.sample run=outputs/RUN n=64        samples from a run
  python -m gan_runner.evaluate run=outputs/RUN           its figures beside those of real rows; verify=outputs/RUN
  python -m gan_runner.export run=outputs/RUN             its generator as a file that needs torch alone, or ONNX
  python -m gan_runner.score run=outputs/RUN data=FILE    how outlying the rows of a table are
  python -m gan_runner.compare outputs/*/*                a table of runs

Hydra's own flags: --cfg job [--resolve], --config-dir DIR (your own options), --info, --multirun/-m, --hydra-help.
"""


def main() -> None:
    """Run the command line; the exit code says how it ended (see README, Exit codes)."""
    from gan_runner import usage

    args = usage.plain(sys.argv[1:])
    if "--help" in args or "-h" in args:
        return say(USAGE + usage.groups(args))
    if "--version" in args:
        return say(f"gan_runner {__version__}")
    sys.exit(run_safely(lambda: compose_and_run(args), debug="debug=true" in args))


def compose_and_run(args: list[str]) -> int:
    """Let Hydra compose, and hand each job over."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach `run_safely`, which says them in one line
    import hydra

    from gan_runner import config, usage

    usage.check_flags(args)
    usage.check_options(args)
    config.register()
    sys.argv[1:] = usage.recall(args)
    codes: list[int] = []
    faults: list[Exception] = []

    def job(cfg: Any) -> float | None:
        try:
            return start(cfg)
        except Exception as error:  # kept for below: Hydra would print its own lines about it
            faults.append(error)
            return None

    def start(cfg: Any) -> float | None:
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode
        from omegaconf import OmegaConf

        settings = HydraConfig.get()
        if settings.mode == RunMode.MULTIRUN:
            from gan_runner.sweep import run_job

            return run_job(settings)
        config.check(cfg)
        plain = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
        if (folder := Path(settings.runtime.output_dir)) != Path.cwd():
            plain["run"]["dir"] = plain["run"]["dir"] or str(folder)
        from gan_runner.train import train

        code, value = train(plain, list(settings.overrides.task))
        codes.append(code)
        return value

    line = {"version_base": "1.3"} if config.HYDRA_1_3 else {"execution_whitelist": ["gan_runner.sweep.Leaderboard"]}
    main: Any = hydra.main
    try:
        main(config_path=str(config.config_dir()), config_name="config", **line)(job)()
    except Exception as error:  # mostly of Hydra: as_fault says it in one line
        if board := directed():
            board.discard()
        raise usage.as_fault(error, args) from error
    if faults:
        raise usage.as_fault(faults[0], args) from faults[0]
    return board.code if (board := directed()) else max(codes, default=0)


def directed() -> Any:
    """The sweep that Hydra made this process direct, if any."""
    return sys.modules["gan_runner.sweep"].current if "gan_runner.sweep" in sys.modules else None


def run_safely(work: Callable[[], int], *, debug: bool = False) -> int:
    """The exit code of `work`; what a user can put right is said in one line, without a traceback."""
    from gan_runner.errors import Fault

    warnings.showwarning = lambda message, *_, **__: say(f"gan_runner: warning: {message}", sys.stderr)

    try:
        return work()
    except Fault as fault:
        if debug:
            raise
        say(str(fault), sys.stderr)
        return fault.code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    main()
