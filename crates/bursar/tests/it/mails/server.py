"""A mail server for the tests: it keeps what it takes in a folder and answers as the recipient's name asks.

    python3 server.py FOLDER      prints its port, then serves until its standard input ends

nobody@…  there is no such user, for good (550 5.1.1)
later@…   not now, the first time (451); it takes the mail the second time
policy@…  it refuses us, not the address (550 5.7.1)
full@…    it does not take this mail (552)
"""
import itertools, pathlib, sys
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP


class Handler:
    def __init__(self, folder):
        self.folder, self.numbers, self.seen = pathlib.Path(folder), itertools.count(1), set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        name = address.split("@")[0]
        if name == "nobody":
            return "550 5.1.1 There is no such user here"
        if name == "policy":
            return "550 5.7.1 Relaying denied"
        if name == "later" and address not in self.seen:
            self.seen.add(address)
            return "451 4.3.0 Come back in a while"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if any(to.startswith("full@") for to in envelope.rcpt_tos):
            return "552 5.3.4 The message is too big"
        number = next(self.numbers)
        path = self.folder / f"{number:04}.eml"
        path.with_suffix(".part").write_bytes(envelope.content)
        path.with_suffix(".part").rename(path)
        return f"250 OK kept as {number}"


class AnyPort(Controller):
    def factory(self):
        return SMTP(self.handler, enable_SMTPUTF8=True)


import socket

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
controller = AnyPort(Handler(sys.argv[1]), hostname="127.0.0.1", port=port)
controller.start()
print(port, flush=True)
sys.stdin.read()
controller.stop()
