#!/usr/bin/env python3
"""Runs nginx or Caddy with the example configuration from this folder in front of a real Bursar on local ports, and checks that
everything gets through: sign-in, pages, streams, files, the vendors' signed webhooks, and the client address.

    python3 deploy/try-proxy.py nginx|caddy target/release/bursar

The program must include the simulated vendors (`cargo build --release`). The script needs the proxy, openssl and Python 3.9 or later.
It exits with 1 if a check fails. It changes only names, ports and certificate files of the example. $NGINX and $CADDY name the proxy
if it is not in the path.
"""

import base64
import http.client
import http.server
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from urllib.parse import urlencode

HERE = pathlib.Path(__file__).resolve().parent
NAME = "bursar.example.com"
MIB = 1 << 20
NOT_PASSED = ("host", "connection", "content-length")
failed = []


def holds(what, good, seen=""):
    """Prints the result of a check."""
    print(f"{'ok  ' if good else 'FAIL'}  {what}{f'  ({seen})' if seen else ''}", flush=True)
    if not good:
        failed.append(what)


def told(what, answers):
    """Bursar reports a body that is too large and closes the connection before receiving all of it. A proxy that is still sending may
    answer 502 instead; that is counted here but is no failure of the proxy."""
    ours = [one for one in answers if one.status == 413 and "x-request-id" in one.headers]
    others = sorted({one.status for one in answers} - {413})
    seen = f"{len(ours)} of {len(answers)}" + (f", else {others}" if others else "")
    if others == [502]:
        print(f"note  {what}  ({seen})", flush=True)
    else:
        holds(what, len(ours) == len(answers), seen)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def until(what, look, seconds=30):
    """Waits until a condition is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            found = look()
            if found:
                return found
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.1)
    raise SystemExit(f"{what}: not so after {seconds} s")


class Answer:
    def __init__(self, response, body):
        self.status, self.headers, self.body = response.status, response.headers, body
        self.text = body.decode("utf-8", "replace")


class Browser:
    """A client that connects through the proxy by its host name, from its own address. It keeps cookies."""

    def __init__(self, port, tls=True, source="127.0.0.5"):
        self.port, self.tls, self.source, self.cookies = port, tls, source, {}

    def connection(self):
        if not self.tls:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60, source_address=(self.source, 0))
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=60, source_address=(self.source, 0), context=context
        )
        # The name in the certificate, for proxies that select by SNI.
        raw = socket.create_connection(("127.0.0.1", self.port), 60, (self.source, 0))
        connection.sock = context.wrap_socket(raw, server_hostname=NAME)
        return connection

    def ask(self, method, path, body=None, headers=None):
        connection = self.connection()
        sent = {"Host": NAME, **(headers or {})}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        try:
            connection.request(method, path, body, sent)
        except OSError:
            # The server answered and closed before the whole body was sent.
            pass
        response = connection.getresponse()
        for cookie in response.headers.get_all("Set-Cookie") or []:
            name, value = cookie.split(";")[0].split("=", 1)
            self.cookies[name] = value
        answer = Answer(response, response.read())
        connection.close()
        return answer


def hidden(page, name):
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    return found.group(1) if found else ""


class Forward(http.server.BaseHTTPRequestHandler):
    """The simulated vendors send their webhooks here over plain HTTP, since they do not trust our certificate. Forwards them through the
    proxy byte for byte and keeps every response."""

    proxy = 0
    kept = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        passed = {name: value for name, value in self.headers.items() if name.lower() not in NOT_PASSED}
        try:
            answer = Browser(Forward.proxy).ask("POST", self.path, body, passed)
            status = answer.status
        except OSError:
            status = 502
        Forward.kept.append((self.path, body, passed, status))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Bench:
    """All processes of a run, and their folder."""

    def __init__(self, kind, program):
        self.kind, self.program = kind, str(pathlib.Path(program).resolve())
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="try-proxy."))
        self.running = []
        self.https, self.http, self.bursar, self.vendors, self.forward = (free_port() for _ in range(5))
        stand_in = f"http://127.0.0.1:{self.vendors}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")},
            "BURSAR_LISTEN": f"127.0.0.1:{self.bursar}",
            "BURSAR_DATABASE_URL": f"sqlite://{self.folder}/bursar.db",
            "BURSAR_MASTER_KEY_FILE": f"{self.folder}/bursar.key",
            "BURSAR_STRIPE_API_BASE": stand_in,
            "BURSAR_PAYPAL_API_BASE": stand_in,
            "BURSAR_PAYPAL_CERT_CA": f"{self.folder}/vendors.pem",
            "BURSAR_TRUSTED_PROXIES": "127.0.0.1",
        }

    def start(self, name, *command, **more):
        log = open(self.folder / f"{name}.log", "ab")
        environment = {**self.environment, **more}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=self.folder)
        self.running.append(process)
        return process

    def stop(self, process):
        process.terminate()
        process.wait(40)
        self.running.remove(process)

    def run(self, *arguments, **more):
        environment = {**self.environment, **more}
        done = subprocess.run([self.program, *arguments], env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"bursar {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def is_ready(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.bursar, timeout=5)
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200

    def certificate(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}",
             "-keyout", self.folder / "key.pem", "-out", self.folder / "certificate.pem"],
            check=True, capture_output=True,
        )

    def proxy(self):
        """Starts the proxy with the example configuration, with our ports and certificate."""
        text = (HERE / {"nginx": "nginx.conf", "caddy": "Caddyfile"}[self.kind]).read_text()
        if self.kind == "nginx":
            for pattern, ours in [
                (r"listen \[::\]:.*\n", ""),
                (r"listen 80;", f"listen 127.0.0.1:{self.http};"),
                (r"listen 443 ", f"listen 127.0.0.1:{self.https} "),
                (r"127\.0\.0\.1:8080", f"127.0.0.1:{self.bursar}"),
                (r"/etc/ssl/bursar/fullchain\.pem", f"{self.folder}/certificate.pem"),
                (r"/etc/ssl/bursar/privkey\.pem", f"{self.folder}/key.pem"),
            ]:
                text = re.sub(pattern, ours, text)
            # Debian's own nginx.conf turns gzip on.
            around = (f"{'user root; ' if os.getuid() == 0 else ''}daemon off; pid {self.folder}/nginx.pid; error_log {self.folder}/nginx-error.log;\nevents {{}}\n"
                      f"http {{\ngzip on; access_log {self.folder}/access.log;\n" + "".join(
                          f"{one}_temp_path {self.folder}/{one};\n"
                          for one in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")) + f"{text}\n}}\n")
            (self.folder / "nginx.conf").write_text(around)
            program = os.environ.get("NGINX", "nginx")
            self.start("proxy", program, "-p", str(self.folder), "-e", f"{self.folder}/nginx-error.log",
                       "-c", str(self.folder / "nginx.conf"))
        else:
            text = text.replace(f"https://{{$SITE:{NAME}}} {{", f"https://{NAME}:{self.https} {{\n"
                                f"\ttls {self.folder}/certificate.pem {self.folder}/key.pem")
            text = text.replace(f"http://{{$SITE:{NAME}}} {{", f"http://{NAME}:{self.http} {{")
            (self.folder / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https off\n}\n" + text)
            program = os.environ.get("CADDY", "caddy")
            self.start("proxy", program, "run", "--adapter", "caddyfile", "--config", str(self.folder / "Caddyfile"),
                       UPSTREAM=f"127.0.0.1:{self.bursar}", HOME=str(self.folder),
                       XDG_DATA_HOME=str(self.folder), XDG_CONFIG_HOME=str(self.folder))
        until("the proxy answers", lambda: Browser(self.https).ask("GET", "/healthz").status == 200)

    def prepare(self):
        """Starts a Bursar with both vendors connected, whose webhooks arrive through the proxy."""
        self.certificate()
        self.start("vendors", self.program, "simulator", "--listen", f"127.0.0.1:{self.vendors}", "--json")

        def pem():
            connection = http.client.HTTPConnection("127.0.0.1", self.vendors, timeout=5)
            connection.request("GET", "/_sim/ca.pem")
            return connection.getresponse().read()

        (self.folder / "vendors.pem").write_bytes(until("the vendors answer", pem))
        told = next(json.loads(line) for line in (self.folder / "vendors.log").read_text().splitlines() if line.startswith("{"))
        Forward.proxy = self.https
        server = http.server.ThreadingHTTPServer(("127.0.0.1", self.forward), Forward)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        # Register the webhooks at the plain HTTP URL; then restart Bursar with its real URL.
        plain = f"http://127.0.0.1:{self.forward}"
        first = self.start("bursar", self.program, "serve", BURSAR_BASE_URL=plain)
        until("Bursar is ready", self.is_ready)
        made = json.loads(self.run("api-key", "create", "--role", "admin", "--name", "try", "--json"))
        self.key = next(value for value in made.values() if isinstance(value, str) and value.startswith("brs_"))
        for vendor, secrets in [
            ("stripe", {"secret_key": told["stripe_secret_key"], "mode": "test"}),
            ("paypal", {"client_id": told["paypal_client_id"], "client_secret": told["paypal_client_secret"], "mode": "sandbox"}),
        ]:
            connection = http.client.HTTPConnection("127.0.0.1", self.bursar, timeout=60)
            connection.request("PUT", f"/api/v1/settings/vendors/{vendor}", json.dumps(secrets),
                               {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"})
            answer = connection.getresponse()
            if answer.status != 200:
                raise SystemExit(f"{vendor} could not be connected: {answer.read().decode()}")
        self.stop(first)
        self.environment["BURSAR_BASE_URL"] = f"https://{NAME}"
        self.start("bursar", self.program, "serve")
        until("Bursar is ready", self.is_ready)

    def end(self):
        for process in reversed(self.running):
            process.terminate()
        for process in self.running:
            process.wait(40)
        if failed:
            print(f"what they wrote is in {self.folder}")
        else:
            shutil.rmtree(self.folder)


def plain_http(bench):
    lost = Browser(bench.http, tls=False)
    page = lost.ask("GET", "/rewards?view=all")
    to = page.headers.get("Location", "")
    holds("http leads to https", page.status == 308 and to == f"https://{NAME}/rewards?view=all", f"{page.status} {to}")
    for path in ("/api/v1/rewards", "/webhooks/stripe"):
        answer = lost.ask("POST", path, "{}")
        holds(f"http refuses {path}", answer.status == 403, answer.status)


def sign_in(bench):
    link = bench.run("user", "add", "--email", "ana@example.com", "--name", "Ana", "--role", "admin")
    path = re.search(r"https://bursar\.example\.com(/\S+)", link).group(1)
    ana = Browser(bench.https)
    page = ana.ask("GET", path)
    holds("a one-time link opens", page.status == 200, page.status)
    forged = {"Content-Type": "application/x-www-form-urlencoded", "X-Forwarded-For": "203.0.113.66",
              "Origin": f"https://{NAME}", "Sec-Fetch-Site": "same-origin"}
    arrived = ana.ask("POST", path, "", forged)
    holds("it signs in", arrived.status == 303, arrived.status)
    holds("cookies are bound to the host", any(name.startswith("__Host-") for name in ana.cookies), ", ".join(ana.cookies))
    home = ana.ask("GET", "/")
    while home.status == 303:
        home = ana.ask("GET", home.headers["Location"])
    holds("a page opens", home.status == 200 and "<main" in home.text, home.status)
    holds("nothing is compressed", "Content-Encoding" not in home.headers)
    holds("browsers are told to come by https", "max-age" in home.headers.get("Strict-Transport-Security", ""))
    me = ana.ask("GET", "/me")
    holds("where a person came from is the address that the proxy saw, not what they wrote",
          "127.0.0.5" in me.text and "203.0.113.66" not in me.text)
    return ana, path


def upload(ana, size):
    """Uploads a file of rewards of about `size` bytes."""
    form = ana.ask("GET", "/imports/new?what=rewards")
    row = b"R-%07d,A-1,P-1,1.00,USD\n"
    rows = b"external_id,activity,owner,value,currency\n" + b"".join(row % at for at in range(min(size // 26, 150_000)))
    # Pad an oversized file with one long row, or it would be refused for its number of rows.
    rows += b"x" * (size - len(rows)) if size > len(rows) else b""
    parts = [(name, hidden(form, name)) for name in ("csrf", "once", "what")]
    body = b"".join(f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in parts)
    body += b'--edge\r\nContent-Disposition: form-data; name="file"; filename="rewards.csv"\r\nContent-Type: text/csv\r\n\r\n'
    body += rows + b"\r\n--edge--\r\n"
    return ana.ask("POST", "/imports/new", body, {"Content-Type": "multipart/form-data; boundary=edge"})


def files(ana):
    fine = upload(ana, 3 * MIB)
    to = fine.headers.get("Location", "")
    holds("a file of 3 MiB is taken", fine.status == 303 and to.startswith("/imports/"), f"{fine.status} {to}")
    large = [upload(ana, 33 * MIB) for _ in range(5)]
    told("a file over Bursar's limit gets Bursar's own words", large)
    larger = upload(ana, 45 * MIB)
    holds("a file far over it is refused", larger.status == 413, larger.status)
    return to.split("/")[2] if to.count("/") > 1 else ""


def stream(ana, number):
    connection = ana.connection()
    cookies = "; ".join(f"{name}={value}" for name, value in ana.cookies.items())
    begun = time.monotonic()
    connection.request("GET", f"/imports/{number}/events?seen=-1", headers={"Host": NAME, "Cookie": cookies})
    response = connection.getresponse()
    first = response.read1()
    after = time.monotonic() - begun
    is_stream = response.headers.get("Content-Type", "").startswith("text/event-stream")
    holds("an event arrives at once", is_stream and b"event: changed" in first and after < 2, f"{response.status}, {after:.2f} s")
    while response.read1():
        pass
    lived = time.monotonic() - begun
    holds("and the stream stays open as long as Bursar keeps it", 15 < lived < 30, f"{lived:.0f} s")


def api(bench):
    somebody = Browser(bench.https)
    key = {"Authorization": f"Bearer {bench.key}"}
    answer = somebody.ask("GET", "/api/v1/rewards", headers=key)
    holds("the API answers", answer.status == 200, answer.status)
    header = somebody.ask("GET", "/api/v1/rewards", headers={**key, "X-Long": "x" * 20_000})
    holds("long headers that Bursar takes come through", header.status == 200, header.status)
    big = json.dumps({"padding": "x" * (2 * MIB)})
    headers = {**key, "Content-Type": "application/json", "Idempotency-Key": "one"}
    told("a body over Bursar's limit gets Bursar's own words",
         [somebody.ask("POST", "/api/v1/rewards", big, headers) for _ in range(10)])
    counts = somebody.ask("GET", "/metrics")
    holds("/metrics is not for whoever comes through the proxy", counts.status == 401, counts.status)
    for path in ("/healthz", "/readyz"):
        answer = somebody.ask("GET", path)
        holds(f"{path} answers", answer.status == 200, answer.status)


def again_and_again(bench):
    """The proxy must not reuse a connection that Bursar is closing: sends a POST after 31 idle seconds."""
    somebody = Browser(bench.https)
    time.sleep(31)
    seen = [somebody.ask("POST", "/webhooks/stripe", "{}").status for _ in range(5)]
    holds("a POST after an idle while reaches Bursar", all(status == 400 for status in seen), seen)


def webhooks(bench):
    """Checks webhooks signed by the vendors, through the proxy: makes one payment through each vendor's own API."""
    def call(path, body, headers):
        connection = http.client.HTTPConnection("127.0.0.1", bench.vendors, timeout=30)
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")

    stripe = {"Authorization": "Bearer sk_test_sim", "Content-Type": "application/x-www-form-urlencoded",
              "Idempotency-Key": "try-1"}
    body = urlencode({"amount": "100", "currency": "usd", "destination": "acct_sim_try", "transfer_group": "g"})
    status, made = call("/v1/transfers", body, stripe)
    if status != 200:
        print(f"      stripe: {status} {made}")
    form = {"Content-Type": "application/x-www-form-urlencoded",
            "Authorization": "Basic " + base64.b64encode(b"sim_client:sim_secret").decode()}
    _, token = call("/v1/oauth2/token", "grant_type=client_credentials", form)
    batch = {"sender_batch_header": {"sender_batch_id": "try-1", "email_subject": "Zahlung für ä"},
             "items": [{"recipient_type": "EMAIL", "amount": {"value": "1.00", "currency": "USD"},
                        "receiver": "someone@example.com", "sender_item_id": "one", "note": "für ä"}]}
    status, made = call("/v1/payments/payouts", json.dumps(batch),
                        {"Authorization": f"Bearer {token.get('access_token', '')}", "Content-Type": "application/json"})
    if status not in (200, 201):
        print(f"      paypal: {status} {made}")
    for vendor in ("stripe", "paypal"):
        def came():
            return [one for one in Forward.kept if one[0].startswith(f"/webhooks/{vendor}")]
        try:
            kept = until(f"a webhook of {vendor}", came, 20)
        except SystemExit as error:
            holds(str(error), False)
            continue
        statuses = [one[3] for one in kept]
        holds(f"{vendor}'s signed webhook is taken", statuses[0] == 200, statuses)
        path, body, headers, _ = kept[0]
        changed = Browser(bench.https).ask("POST", path, body + b" ", headers)
        holds(f"with one byte more it is not ({vendor})", changed.status == 400, changed.status)


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("nginx", "caddy"):
        raise SystemExit(__doc__)
    bench = Bench(*sys.argv[1:])
    try:
        bench.prepare()
        bench.proxy()
        plain_http(bench)
        ana, link = sign_in(bench)
        number = files(ana)
        stream(ana, number)
        api(bench)
        webhooks(bench)
        again_and_again(bench)
        if bench.kind == "nginx":
            log = (bench.folder / "access.log").read_text()
            holds("the log has no one-time link", link not in log and "/imports/new" in log)
    finally:
        bench.end()
    print(f"{bench.kind}: {'everything holds' if not failed else f'{len(failed)} do not hold'}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
