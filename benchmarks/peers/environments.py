"""Where the peers' programs run: environments of their own under `.local/peers`, made on demand."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from xml.etree import ElementTree

from local import ROOT
from pulseload.errors import Failure

HOME: Final = ROOT / ".local/peers"
CONSTRAINTS: Final = ROOT / "benchmarks/peers/constraints.txt"

_COMPILER: Final = "org.eclipse.jdt.internal.compiler.batch.Main"


class Environment(Protocol):
    """One peer's environment."""

    def prepare(self) -> None:
        """Install what is missing; raises Failure where that fails."""
        ...

    @property
    def command(self) -> Sequence[str]:
        """The command line of the program."""
        ...

    @property
    def version(self) -> str:
        """The version of the framework."""
        ...


@dataclass(frozen=True, slots=True)
class Python:
    """A virtual environment, for a module of this package that is run with `arguments`.

    The first package is the framework; `constraints.txt` says which version of each is taken.
    """

    module: str
    packages: tuple[str, ...]
    arguments: tuple[str, ...] = ()

    def prepare(self) -> None:
        """Make it, unless it is there as wanted."""
        wanted = "\n".join([sys.version, *self.packages, CONSTRAINTS.read_text()])
        if _is(self._home, wanted):
            return
        _tell(self._home)
        _run([sys.executable, "-m", "venv", "--clear", str(self._home)])
        pip = [str(self._bin / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
        _run([*pip, "--no-input", "-q", "-c", str(CONSTRAINTS), *self.packages])
        _mark(self._home, wanted)

    @property
    def command(self) -> Sequence[str]:
        """The command line: `python -m` the module, unless its arguments begin with a command."""
        command, *arguments = self.arguments or ("python", "-m", f"benchmarks.peers.{self.module}")
        return [str(self._bin / command), *arguments]

    @property
    def version(self) -> str:
        """The framework's version."""
        for line in CONSTRAINTS.read_text().splitlines():
            name, _, version = line.partition("==")
            if name == self.packages[0]:
                return version
        raise Failure(f"{CONSTRAINTS} does not pin {self.packages[0]}: add it")

    @property
    def _home(self) -> Path:
        return HOME / self.module

    @property
    def _bin(self) -> Path:
        return self._home / "bin"


@dataclass(frozen=True, slots=True)
class Java:
    """Jars that `pom.xml` in a folder of this package names, and the folder's sources.

    They are compiled by Eclipse's compiler, a jar as well, for Debian's `default-jre-headless`
    has none.
    """

    folder: str
    main: str
    options: tuple[str, ...] = ()

    def prepare(self) -> None:
        """Fetch and compile, unless that is done."""
        sources = sorted(self._source.glob("*.java"))
        wanted = "\n".join(path.read_text() for path in [self._source / "pom.xml", *sources])
        if _is(self._home, wanted):
            return
        _tell(self._home)
        shutil.rmtree(self._home, ignore_errors=True)
        maven = ["mvn", "-q", "-B", "-f", str(self._source / "pom.xml")]
        _run([*maven, "dependency:copy-dependencies", f"-DoutputDirectory={self._home}/lib"])
        jars = sorted(map(str, (self._home / "lib").glob("*.jar")))
        compiler = ["java", "-cp", f"{self._home}/lib/*", _COMPILER]
        target = ["-17", "-nowarn", "-cp", ":".join(jars), "-d", f"{self._home}/classes"]
        _run([*compiler, *target, *map(str, sources)])
        _mark(self._home, wanted)

    @property
    def command(self) -> Sequence[str]:
        """The command line."""
        path = f"{self._home}/classes:{self._home}/lib/*"
        return ["/usr/bin/env", "java", *self.options, "-cp", path, self.main]

    @property
    def version(self) -> str:
        """The framework's version: the pom's property `framework.version`."""
        space = "{http://maven.apache.org/POM/4.0.0}"
        pom = ElementTree.parse(self._source / "pom.xml")  # noqa: S314 - our own file
        found = pom.findtext(f"{space}properties/{space}framework.version")
        if not found:
            raise Failure(f"{self._source}/pom.xml names no framework.version: restore the file")
        return found

    @property
    def _source(self) -> Path:
        return ROOT / "benchmarks/peers" / self.folder

    @property
    def _home(self) -> Path:
        return HOME / self.folder


def _is(home: Path, wanted: str) -> bool:
    stamp = home / "installed"
    return stamp.exists() and stamp.read_text() == wanted


def _mark(home: Path, wanted: str) -> None:
    (home / "installed").write_text(wanted)


def _tell(home: Path) -> None:
    print(f"making {home}", file=sys.stderr, flush=True)


def _run(command: Sequence[str]) -> None:
    if shutil.which(command[0]) is None:
        raise Failure(f"there is no {command[0]} here, which the peers need: install it")
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise Failure(f"failed: {' '.join(command)[:500]}\n{said}")
