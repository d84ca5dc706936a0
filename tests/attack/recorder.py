"""Somebody on the way between a slave and its master, who records what they say."""

from __future__ import annotations

import contextlib
import socket
import threading


class Recorder:
    """Passes everything on, from its own port to another one of this machine.

    Attributes:
        port: to be dialled instead.
        said: what the dialling side has said, a stream for each line.
    """

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.said: list[bytearray] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._lines: list[socket.socket] = []
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self._to_port))
                self._lines += [near, far]
                self.said.append(bytearray())
                for ends, record in (((near, far), self.said[-1]), ((far, near), None)):
                    thread = threading.Thread(target=self._pass_on, args=(*ends, record))
                    self._threads.append(thread)
                    thread.start()

    @staticmethod
    def _pass_on(source: socket.socket, target: socket.socket, record: bytearray | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if record is not None:
                    record += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._threads[0].join()
        for line in self._lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()
        for line in self._lines:
            line.close()
