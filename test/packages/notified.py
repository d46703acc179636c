"""Starts a program as systemd does with Type=notify, stops it when it is ready, and prints what it has said.

    notified.py SOCKET PROGRAM [ARGUMENT...]
"""

import os
import signal
import socket
import subprocess
import sys

DEADLINE = 30.0  # seconds without a word


def main(path: str, command: list[str]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.settimeout(DEADLINE)
        environment = {**os.environ, "NOTIFY_SOCKET": path}
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as program:
            try:
                listen(listener, program)
            finally:
                program.kill()


def listen(listener: socket.socket, program: subprocess.Popen) -> None:
    said = ""
    while "STOPPING=1" not in said:
        message, descriptors, _, _ = socket.recv_fds(listener, 4096, 4)
        # Whoever said it waits until systemd has closed these, and so has read what came before.
        for descriptor in descriptors:
            os.close(descriptor)
        said = message.decode()
        print(said, flush=True)
        if "READY=1" in said:
            program.send_signal(signal.SIGTERM)
    # One more, without words: the wait of systemd-notify.
    listener.settimeout(1.0)
    try:
        _, descriptors, _, _ = socket.recv_fds(listener, 4096, 4)
        for descriptor in descriptors:
            os.close(descriptor)
    except TimeoutError:
        pass
    print("exit", program.wait(DEADLINE))


main(sys.argv[1], sys.argv[2:])
