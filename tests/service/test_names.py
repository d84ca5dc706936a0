"""Which names mean which services."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tracking.service
from tests.service.services import Sum
from tracking.service import Service, UnknownService, export, request
from tracking.service.names import find_service, name_of


def test_a_service_is_named_by_module_and_class() -> None:
    assert name_of(Sum) == "tests.service.services.Sum"
    assert request(Sum, values=[1]).service == "tests.service.services.Sum"


def test_a_service_may_have_a_name_of_its_own_which_a_subclass_does_not_take_over() -> None:
    class Named(Service):
        service = "lab.named"

    class Derived(Named):
        pass

    assert name_of(Named) == "lab.named"
    assert name_of(Derived).endswith("Derived")
    assert export(Named) is find_service("lab.named")


def test_only_exported_classes_can_be_had_by_name() -> None:
    own = "tests.service.services.NotExported"
    for name in ("os.system", "subprocess.Popen", own, "no.such.module.Fit", "Fit", ""):
        with pytest.raises(UnknownService, match="export"):
            find_service(name)


def test_the_module_of_an_exported_service_is_imported_on_demand(tmp_path: Path) -> None:
    (tmp_path / "lab_fits.py").write_text(
        "from tracking.service import Service, export\nclass Out:\n    @export\n    class Fit(Service): pass\n"
    )
    code = "from tracking.service.names import find_service; print(find_service('lab_fits.Out.Fit').__qualname__)"
    path = f"{tmp_path}:{Path(__file__).parents[2]}"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True)
    assert done.stdout == "Out.Fit\n", done.stderr


def test_a_module_that_lacks_something_itself_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab_broken.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        find_service("lab_broken.Fit")


def test_two_classes_cannot_have_one_name() -> None:
    class One(Service):
        service = "lab.taken"

    class Two(Service):
        service = "lab.taken"

    export(One)
    with pytest.raises(ValueError, match=r"two services have the name 'lab.taken'"):
        export(Two)


def test_every_public_name_is_there() -> None:
    for name in tracking.service.__all__:
        assert getattr(tracking.service, name).__name__ == name or name == "Status"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = tracking.service.nothing


def test_a_slave_that_loads_a_service_loads_no_engine() -> None:
    code = "import sys, tracking.service; from tracking.service import Service, export, Message\n" \
        "print(*sorted(n for n in sys.modules if n.startswith('tracking.')))"
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": root}, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert loaded
    assert {name.split(".")[1] for name in loaded} == {"errors", "service"}
    assert not loaded & {f"tracking.service.{room}" for room in ("handler", "maps", "workers", "keeping", "client")}
