# What code that runs as a service can find of its neighbours. Reads a task from standard input, {"others": [instances],
# "secrets": [{"of": instance, "text": what nobody else may read}], "public": [folders for everybody],
# "paths": [{"path": what could be guessed}]}, and prints its findings as {"how", "what", "whose"}.
import json, os, socket, stat, subprocess, sys

task = json.load(sys.stdin)
others = task["others"]
secrets = [(secret["of"], secret["text"].encode()) for secret in task["secrets"]]
me, groups = os.getuid(), {os.getgid(), *os.getgroups()}
findings = []


def found(how, what, whose):
    findings.append({"how": how, "what": what, "whose": whose})


def attempt(act):
    try:
        return act()
    except OSError:
        return None


def named(text):
    return next((other for other in others if other in text or other.replace("_", "X") in text), None)


def accounts():
    known = {}
    for line in open("/etc/passwd"):
        name, _, uid, gid = line.split(":")[:4]
        known[int(uid)] = name
    return known


ACCOUNTS = accounts()
# The kernel's, what packages bring along (it is the same on every host), and where everybody may write.
FOREIGN = ("/proc", "/sys", "/dev", "/usr/bin", "/usr/include", "/usr/lib", "/usr/libexec", "/usr/sbin", "/usr/share",
           "/usr/src", "/var/lib/dpkg", "/var/cache/apt", "/var/lib/apt/lists")
COMMON = ("/tmp", "/var/tmp", "/run/lock", "/dev/shm", "/dev/mqueue")


def is_own(status):
    return status.st_uid == me


def look(path):
    """One path: may it be read, listed, written or connected to, and is it somebody else's?"""
    status = attempt(lambda: os.lstat(path))
    if status is None or stat.S_ISLNK(status.st_mode):
        return
    owner = ACCOUNTS.get(status.st_uid)
    whose = owner if owner in others else named(path)
    if stat.S_ISREG(status.st_mode):
        content = attempt(lambda: open(path, "rb").read(64 << 20))
        if content is not None:
            if whose:
                found("reads", path, whose)
            for of, text in secrets:
                if text in content:
                    found("reads a secret in", path, of)
    elif stat.S_ISDIR(status.st_mode):
        if whose and attempt(lambda: os.listdir(path)) is not None:
            found("lists", path, whose)
    elif stat.S_ISSOCK(status.st_mode):
        with socket.socket(socket.AF_UNIX) as connection:
            if whose and attempt(lambda: connection.connect(path) or True):
                found("connects to", path, whose)
    if os.access(path, os.W_OK) and not is_own(status) and not stat.S_ISSOCK(status.st_mode):
        # What has been given to this service on purpose has its group; in sticky folders each has only what is its own.
        given = status.st_gid in groups and status.st_mode & 0o020
        if not given and not status.st_mode & stat.S_ISVTX and path not in COMMON:
            found("writes", path, whose or "the host")


def walk(top):
    look(top)
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in (*FOREIGN, *task["public"])]
        for name in folders + files:
            look(os.path.join(folder, name))


def processes():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        status = attempt(lambda: os.stat(f"/proc/{pid}"))
        if status is None or int(pid) == os.getpid():
            continue
        if not is_own(status):
            for what in ("environ", "maps", "cwd", "root", "fd"):
                path = f"/proc/{pid}/{what}"
                read = os.readlink if what in ("cwd", "root") else os.listdir if what == "fd" else lambda p: open(p, "rb").read()
                if attempt(lambda: read(path)) is not None:
                    found("reads", path, ACCOUNTS.get(status.st_uid, "the host"))
        line = attempt(lambda: open(f"/proc/{pid}/cmdline", "rb").read()) or b""
        for of, text in secrets:
            if text in line:
                found("reads a secret in", f"the command line of process {pid}", of)


def run(*argv):
    """What a program printed, if it ended well."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    except (FileNotFoundError, PermissionError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def databases():
    mine = ACCOUNTS[me]
    for where in ([], ["-h", "127.0.0.1"]):
        for user in (mine, "root", *others):
            shown = run("mariadb", "--no-defaults", *where, "-u", user, "-NBe", "SHOW DATABASES")
            if shown is not None and user != mine:
                found("logs in to MariaDB as", user, named(user) or "the host")
            for name in (shown or "").split():
                if name in others:
                    found("sees the database of MariaDB", name, name)
        tries = [("postgres", "postgres"), *((user, other) for other in others for user in (mine, other))]
        for user, database in tries:
            if run("psql", "-wXAt", *where, "-U", user, "-d", database, "-c", "SELECT 1") is not None:
                found("logs in to PostgreSQL as", f"{user} in {database}", named(database) or "the host")


def rest():
    for argv in (["journalctl", "-n", "5000"], ["crontab", "-l"], ["atq"], ["ipcs", "-a"], ["lastlog"], ["ss", "-xlp"]):
        shown = run(*argv) or ""
        for of, text in secrets:
            if text.decode(errors="replace") in shown:
                found("reads a secret by", " ".join(argv), of)
    units = [line.split()[0] for line in (run("systemctl", "list-units", "--all", "--plain", "--no-legend") or "").splitlines()]
    for unit in filter(named, units):
        shown = (run("systemctl", "show", unit) or "") + (run("systemctl", "cat", unit) or "")
        for of, text in secrets:
            if text.decode(errors="replace") in shown:
                found("reads a secret in the unit", unit, of)
        if run("systemctl", "--no-ask-password", "stop", unit) is not None and unit.endswith((".service", ".socket")):
            found("stops", unit, named(unit))
        if (run("journalctl", "-q", "-u", unit) or "").strip():
            found("reads the journal of", unit, named(unit))
    shown = run("sudo", "-n", "-l")
    if shown is not None:
        found("becomes", "somebody else by sudo", "the host")


walk("/")
for common in COMMON:
    walk(common)
# What lies in folders that cannot be listed has names that can be guessed.
for target in task["paths"]:
    look(target["path"])
processes()
databases()
rest()
print(json.dumps(findings))
