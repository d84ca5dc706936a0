"""Slaves that talk. Nothing heavy is imported here: slaves import it too."""

from __future__ import annotations

import os
import threading
from typing import Any

from tracking import JobSlave

PATIENCE_S = 20.0


class Chatty(JobSlave):
    """Sends fifty messages for each item."""

    def go(self, jobs: dict[Any, Any]) -> dict[Any, Any]:
        for id in jobs:
            for n in range(50):
                self.send(self.getParent(), "news", (id, n))  # type: ignore[arg-type]
        return jobs


class Patient(JobSlave):
    """Says that it works, and goes on when it is told to; its result is what it was told."""

    def bindMessages(self) -> None:
        self.told: tuple[Any, ...] | None = None
        self.was_told = threading.Event()
        self.bind("go on", -1, self.hear)

    def hear(self, *values: Any) -> None:
        self.told = values
        self.was_told.set()

    def go(self, jobs: dict[Any, Any]) -> dict[Any, Any]:
        self.send(self.getParent(), "news", (os.getpid(),))  # type: ignore[arg-type]
        assert self.was_told.wait(PATIENCE_S)
        return dict.fromkeys(jobs, self.told)


class Listening(Patient):
    """Notes numbers until it is enough."""

    def bindMessages(self) -> None:
        super().bindMessages()
        self.notes: list[int] = []
        self.bind("note", self.getParent(), self.notes.append)  # type: ignore[arg-type]
        self.bind("enough", self.getParent(), self.hear)  # type: ignore[arg-type]

    def go(self, jobs: dict[Any, Any]) -> dict[Any, Any]:
        super().go(jobs)
        return dict.fromkeys(jobs, self.notes)


class Echo(Patient):
    """Sends back each tag it is given, under a tag made of it."""

    def bindMessages(self) -> None:
        super().bindMessages()
        self.bind("echo", -1, self.answer)
        self.bind("enough", -1, self.hear)

    def answer(self, tag: Any) -> None:
        self.send(self.getParent(), ("answer", tag), (tag,))  # type: ignore[arg-type]


class Asking(JobSlave):
    """Tells what it knows of itself and the others."""

    def go(self, jobs: dict[Any, Any]) -> dict[Any, Any]:
        parent = self.getParent()
        assert parent is not None
        known = {
            "tid": self.getTID(),
            "parent": parent,
            "tasks": self.getTasks(),
            "ping": self.ping(parent),
        }
        return dict.fromkeys(jobs, known)


class Forwarding(Patient):
    """Greets the other slave, and waits for its greeting."""

    def go(self, jobs: dict[Any, Any]) -> dict[Any, Any]:
        tasks = self.getTasks()
        me = next(name for name, tid in tasks.items() if tid == self.getTID())
        (other,) = set(tasks) - {me}
        self.send(other, "go on", (f"hello from {me}",))
        assert self.was_told.wait(PATIENCE_S)
        assert self.told is not None
        return dict.fromkeys(jobs, self.told[0])
