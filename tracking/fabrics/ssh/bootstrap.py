"""How a far Python, of which nothing is known, becomes a relay; what is said on the line before it belongs to that.

::

    we                                                  there
      the login shell runs  exec /bin/sh                  whatever its startup files print is skipped
      script (this is a shell script on stdin)  -->       goes to the directory, sets the environment, starts Python
                                                <--       greeting: MARK, one line of JSON
      bundle: modules, options                  -->       ``slave.arrival`` loads them from memory
      the line of the relay                    <-->       the line of the relay

The script travels on stdin: no shell there parses it but a POSIX one, and no list of processes shows the variables.
Pure but for the bundle, which is read from files: nothing here touches a descriptor or a process.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tracking.errors import EngineError, InputError
from tracking.fabrics.ssh.bundle import PICKLERS, version_here

REMOTE_COMMAND = "exec /bin/sh"
MARK = b"tracking-relay:"
OLDEST = (3, 11)
_NOISE_BYTES = 1 << 20  # a message of the day is shorter
_GREETING_BYTES = 1 << 16
_SHOWN_BYTES = 300
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

# Runs under any Python since 2.7, so that one that is too old can say so.
GREETER = '''
def greet():
    import json, os, sys
    if sys.path[:1] == ['']:
        del sys.path[0]
    line = os.dup(1)
    os.dup2(2, 1)
    def version(name):
        try:
            from importlib.util import find_spec
            folder = os.path.dirname(os.path.dirname(find_spec(name).origin))
            for entry in os.listdir(folder):
                if entry.startswith(name + '-') and entry.endswith('-info'):
                    return entry[len(name) + 1:].rpartition('.')[0]
        except Exception:
            pass
    def ask(what):
        try:
            return what()
        except Exception:
            pass
    def read(size):
        data = b''
        while len(data) < size:
            piece = os.read(0, min(size - len(data), 1 << 20))
            if not piece:
                os._exit(0)
            data += piece
        return data
    def part():
        import marshal, zlib
        return marshal.loads(zlib.decompress(read(int(read(12)))))
    facts = {
        'version': list(sys.version_info[:3]),
        'implementation': ask(lambda: sys.implementation.name),
        'python': sys.executable,
        'platform': ask(lambda: ' '.join((os.uname()[0], os.uname()[4]))),
        'host': ask(lambda: os.uname()[1]),
        'cores': ask(lambda: len(os.sched_getaffinity(0))) or ask(lambda: os.cpu_count()),
        'load': ask(lambda: os.getloadavg()[0]),
        'installed': {name: version(name) for name in PICKLERS},
    }
    os.write(line, ('MARK' + json.dumps(facts) + chr(10)).encode())
    count = int(read(12))
    options, modules = part(), {}
    for _ in range(count - 1):
        modules.update(part())
    import marshal
    arrival = type(sys)('tracking.slave.arrival')
    exec(marshal.loads(modules[arrival.__name__][3]), arrival.__dict__)
    sys.exit(arrival.arrive(modules, options, line))
greet()
'''.replace("PICKLERS", repr(PICKLERS)).replace("MARK", MARK.decode())


@dataclass(frozen=True, slots=True)
class FarPlace:
    """Where a relay is to come up on a host.

    Attributes:
        python: the interpreter, a path (also ``~/...``) or a name that is looked up there.
        directory: where to work; None: not said.
        environment: variables to be set.
        prelude: shell text that is run after that.
        wrapper: words of the shell before Python in its command line.
    """

    python: str = "python3"
    directory: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    prelude: str = ""
    wrapper: str = ""

    def __post_init__(self) -> None:
        for what, text in (("Python", self.python), ("directory", self.directory)):
            if text is not None and (not _is_text(text) or not text.strip()):
                raise InputError(f"{text!r} cannot be a {what} on another host")
        for what, text in (("prelude", self.prelude), ("wrapper", self.wrapper)):
            if not _is_text(text) or (what == "wrapper" and "\n" in text):
                raise InputError(f"{text!r} cannot be a {what} of Python on another host")
        for name, value in self.environment.items():
            if not _VARIABLE.match(name) or not _is_text(value):
                raise InputError(f"{name!r} cannot be set to {value!r} in an environment: give names and texts")


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a far Python says of itself; None and "" where it does not know."""

    version: tuple[int, ...]
    implementation: str
    python: str
    platform: str
    host: str
    cores: int | None
    load: float | None
    installed: Mapping[str, str | None]

    @property
    def python_version(self) -> str:
        return ".".join(map(str, self.version))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


def script(place: FarPlace) -> bytes:
    """What a POSIX shell there is told."""
    lines = []
    if place.directory is not None:
        there_is_none = _complaint(f"there is no directory {place.directory} there, or it may not be entered")
        lines.append(f"cd -- {_word(place.directory)} >/dev/null || {there_is_none}")
    for name, value in place.environment.items():
        lines.append(f"{name}={shlex.quote(value)}; export {name}")
    if place.prelude.strip():
        failed = _complaint("what is to be run there before Python has failed: see its prelude")
        lines.append(f"{{ {place.prelude}\n}} </dev/null || {failed}")
    no_python = _complaint(
        f"there is no Python {place.python} there: name another one (python=..., or in the hosts file)"
    )
    lines.append(f"command -v {_word(place.python)} >/dev/null 2>&1 || {no_python}")
    before = f"{place.wrapper.strip()} " if place.wrapper.strip() else ""
    lines.append(f"exec {before}{_word(place.python)} -c {shlex.quote(GREETER)}")
    return ("\n".join(lines) + "\n").encode()


def _word(path: str) -> str:
    home, slash, rest = path.partition("/")
    return f'"$HOME"{slash}{shlex.quote(rest) if rest else ""}' if home == "~" else shlex.quote(path)


def _complaint(problem: str) -> str:
    line = MARK.decode() + json.dumps({"problem": problem})
    return f"{{ printf '%s\\n' {shlex.quote(line)}; exit 1; }}"


class Introduction:
    """Hears the far side until its greeting is there.

    Args:
        own: the version of Python here.
    """

    def __init__(self, own: tuple[int, ...] = sys.version_info[:3]) -> None:
        self._own = own
        self._heard = b""

    @property
    def noise(self) -> str:
        """What was heard instead, the end of it."""
        return self._heard[-_SHOWN_BYTES:].decode(errors="replace").strip()

    def hear(self, data: bytes) -> Greeting | None:
        """The greeting, as soon as it is whole.

        Raises:
            EngineError: no relay can come up there; says why, but not where.
        """
        self._heard += data
        while (start := self._heard.find(MARK)) >= 0:
            line, end, rest = self._heard[start + len(MARK) :].partition(b"\n")
            if not end and len(line) < _GREETING_BYTES:
                return None
            if (facts := _facts(line)) is not None:
                return self._judged(facts)
            self._heard = rest  # somebody repeats what we say
        if len(self._heard) > _NOISE_BYTES:
            raise EngineError(f"its login shell writes without end: {self.noise!r}")
        return None

    def _judged(self, facts: dict[str, Any]) -> Greeting:
        if "problem" in facts:
            raise EngineError(str(facts["problem"]))
        try:
            greeting = _greeting(facts)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:  # 1e999
            raise EngineError(f"its Python says of itself what makes no sense: {facts!r}") from error
        if problem := objection(greeting, self._own):
            raise Unfit(problem, greeting)
        return greeting


class Unfit(EngineError):
    """The Python there cannot work with ours.

    Attributes:
        greeting: what it says of itself.
    """

    def __init__(self, problem: str, greeting: Greeting) -> None:
        super().__init__(problem)
        self.greeting = greeting


def _facts(line: bytes) -> dict[str, Any] | None:
    try:
        facts = json.loads(line)
    except (ValueError, RecursionError):  # nested a thousand times
        return None
    return facts if isinstance(facts, dict) else None


def _greeting(facts: dict[str, Any]) -> Greeting:
    cores, load = facts["cores"], facts["load"]
    return Greeting(
        version=tuple(int(part) for part in facts["version"]),
        implementation=str(facts["implementation"] or ""),
        python=str(facts["python"] or ""),
        platform=str(facts["platform"] or ""),
        host=str(facts["host"] or ""),
        cores=None if cores is None else int(cores),
        load=None if load is None else float(load),
        installed={str(name): None if it is None else str(it) for name, it in facts["installed"].items()},
    )


def objection(greeting: Greeting, own: tuple[int, ...]) -> str:
    """Why the Python there cannot work with ours; "" if it can."""
    there = f"{greeting.python or 'its Python'} is Python {greeting.python_version}"
    here = ".".join(map(str, own[:2]))
    advice = f"name a Python {here} there (python=..., or in the hosts file)"
    if greeting.version[:2] < OLDEST:
        return f"{there}, which is too old: {advice}"
    if greeting.version[:2] != tuple(own[:2]):
        return f"{there}, but this program runs under {here}, and code travels only between equals: {advice}"
    if greeting.implementation != sys.implementation.name:
        return f"{there} of another kind ({greeting.implementation}), this program's is {sys.implementation.name}"
    return ""


def missing_picklers(greeting: Greeting) -> frozenset[str]:
    """What must be sent besides our own package: picklers understand only what those of the same version have made."""
    return frozenset(name for name in PICKLERS if greeting.installed.get(name) != version_here(name))
