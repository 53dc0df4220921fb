"""Sets Manymodes Studio up beside this file and starts it. Needs Python 3.11 or newer and nothing else.

    python launch.py [options of app.py]     the studio, in the browser
    python launch.py test [pytest options]   the tests
    python launch.py train|sample|evaluate|report|export|fetch|presets|bench ...
                                             the engine without a screen: the same as python -m core ...

The first start makes the folder .venv and installs requirements.txt into it; later starts take no time. An install
that was broken off is continued by the next start.
"""

# The syntax stays readable for Python 3.6, so that an old Python gets as far as the line that asks for a newer one.

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
REQUIREMENTS = ROOT / "requirements.txt"
STAMP = VENV / "installed.txt"  # written last, so it is there only after a whole install of these requirements
LOG = VENV / "install.log"
OLDEST = (3, 11)
ENGINE = ("train", "sample", "evaluate", "report", "export", "fetch", "presets", "bench")
WHOLE_SUITE = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]  # a file stays on one worker, which shares its server and its browser
GIGABYTE = 10 ** 9
NEEDED = 10 if sys.platform.startswith("linux") else 4  # GB; on Linux torch brings the CUDA libraries
NO_NETWORK = re.compile(
    "name resolution|name or service not known|getaddrinfo failed|nodename nor servname|network is unreachable|no route to host"
    "|newconnectionerror|connecttimeout|readtimeout|connection refused|connection reset|max retries exceeded|proxyerror",
    re.IGNORECASE,
)


class SetupError(Exception):
    """One line for a person: what is wrong and the remedy."""


def say(text):
    print(text, flush=True)


def require_python(version):
    if tuple(version[:2]) < OLDEST:
        raise SetupError(
            "Python %d.%d is too old, Manymodes Studio needs %d.%d or newer. Start launch.py with a newer Python, e.g. python3.11 launch.py."
            % (tuple(version[:2]) + OLDEST)
        )


def venv_python():
    return VENV / "Scripts" / "python.exe" if os.name == "nt" else VENV / "bin" / "python"


def fingerprint():
    """What STAMP holds when .venv fits: the requirements, whatever the line ends of the checkout."""
    try:
        text = REQUIREMENTS.read_text(encoding="utf-8")
    except OSError as error:
        raise SetupError("%s cannot be read (%s). Fetch the project again, whole." % (REQUIREMENTS.name, error.strerror))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def installed():
    """True if .venv holds a whole install of today's requirements."""
    try:
        return venv_python().exists() and STAMP.read_text(encoding="utf-8").strip() == fingerprint()
    except OSError:
        return False


def check_disk():
    """Raises SetupError before a download of gigabytes that would not fit. A .venv that has torch needs little more."""
    has_torch = any(VENV.glob("lib*/python*/site-packages/torch")) or (VENV / "Lib" / "site-packages" / "torch").exists()
    if has_torch or not re.search(r"^torch\b", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE):
        return
    free = shutil.disk_usage(str(ROOT)).free / GIGABYTE
    if free < NEEDED:
        raise SetupError("The set-up needs %d GB of free disk, %s has %.1f GB. Free some space and start again." % (NEEDED, ROOT, free))
    say("The first set-up fetches about %d GB and needs %d GB of disk, %.0f GB are free." % (NEEDED * 0.6, NEEDED, free))


def make_venv():
    """Make .venv, or make it anew if its Python or its pip does not run (a set-up broken off, a Python that was removed)."""
    question = "import sys, pip; sys.exit(sys.version_info[:2] < %r)" % (OLDEST,)
    if venv_python().exists() and subprocess.run([str(venv_python()), "-c", question], stderr=subprocess.DEVNULL).returncode == 0:
        return
    say("Making a Python environment in %s" % VENV.name)
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True
    )
    if made.returncode:
        if "ensurepip" in made.stdout:
            version = "%d.%d" % sys.version_info[:2]
            raise SetupError("This Python cannot make environments. Install its venv package (Debian, Ubuntu: sudo apt install python%s-venv)." % version)
        raise SetupError("%s cannot be made: %s" % (VENV, last_line(made.stdout)))


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason was given"


class Progress:
    """Turns pip's lines into a few calm words: one line that changes on a terminal, the large steps elsewhere."""

    def __init__(self):
        self.live = sys.stdout.isatty()
        self.told = set()

    def show(self, line):
        words = self.words(line.strip())
        if self.live and words:
            width = max(20, shutil.get_terminal_size().columns - 1)
            sys.stdout.write("\r" + ("  " + words)[:width].ljust(width))
            sys.stdout.flush()
        elif words and words not in self.told and not words.startswith("looking up"):
            say("  " + words)
        self.told.add(words)

    def words(self, line):
        if NO_NETWORK.search(line) and "Retrying" in line:
            return "the package index does not answer, trying again"
        if line.startswith("Collecting "):
            return "looking up " + re.split("[ <>=!~;]", line[11:])[0]
        fetched = re.match(r"Downloading (?:\S*/)?([A-Za-z0-9_.]+?)-\d\S* \(([\d.]+) (MB|GB)\)", line)
        if fetched and (self.live or fetched.group(3) == "GB" or float(fetched.group(2)) >= 50):
            return "fetching %s (%s %s)" % fetched.groups()
        if line.startswith("Installing collected packages"):
            return "unpacking, this takes a few minutes" if line.count(",") > 20 else "unpacking"
        return ""

    def end(self):
        if self.live:
            sys.stdout.write("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r")


def reason(output):
    """The line for a person from the output of a pip that failed."""
    if "No space left on device" in output:
        return "The disk is full. Free some space and start again; the set-up continues where it stopped."
    if NO_NETWORK.search(output):
        return "The package index cannot be reached. Check the network or the proxy and start again; the set-up continues where it stopped."
    errors = [line for line in output.splitlines() if line.startswith("ERROR:")]
    last = last_line("\n".join(errors) or output).replace("ERROR: ", "").rstrip(".")
    return "A package cannot be installed: %s. The whole story is in %s." % (last, LOG)


def install():
    """Bring .venv to what requirements.txt says. Raises SetupError."""
    check_disk()
    make_venv()
    if STAMP.exists():
        STAMP.unlink()
    say("Installing what Manymodes Studio needs")
    progress = Progress()
    output = []
    # Unpacking gigabytes beside .venv, because /tmp is often a small disk in memory.
    with tempfile.TemporaryDirectory(dir=str(VENV)) as room, open(str(LOG), "w", encoding="utf-8") as log:
        command = [str(venv_python()), "-m", "pip", "install", "--progress-bar", "off", "--disable-pip-version-check", "--no-input"]
        environment = dict(os.environ, TMPDIR=room, TEMP=room, TMP=room, PYTHONIOENCODING="utf-8")
        with subprocess.Popen(
            command + ["-r", str(REQUIREMENTS)],
            cwd=str(ROOT), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace",
        ) as pip:
            for line in pip.stdout:
                log.write(line)
                output.append(line)
                progress.show(line)
    progress.end()
    if pip.returncode:
        raise SetupError(reason("".join(output)))
    STAMP.write_text(fingerprint() + "\n", encoding="utf-8")
    say("Ready.")


def command_for(arguments):
    """(command line, folder to run it in or None for the present one)."""
    python = str(venv_python())
    if arguments[:1] == ["test"]:
        return [python, "-m", "pytest"] + (arguments[1:] or WHOLE_SUITE), ROOT
    if arguments[:1] and arguments[0] in ENGINE:
        return [python, "-m", "core"] + arguments, None
    return [python, str(ROOT / "app.py")] + arguments, None


def hand_over(command, folder):
    """Become `command`; on Windows, which cannot, wait for it and end as it ends."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT)] + [p for p in [os.environ.get("PYTHONPATH")] if p])
    if folder:
        os.chdir(str(folder))
    if os.name != "nt":
        os.execv(command[0], command)
    child = subprocess.Popen(command)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:  # the child got it as well and decides
            continue


def main(arguments):
    if arguments[:1] and arguments[0] in ("-h", "--help", "help"):
        print(__doc__.strip())
        return 0
    try:
        require_python(sys.version_info)
        if not installed():
            install()
        return hand_over(*command_for(arguments))
    except SetupError as error:
        print("%s" % error, file=sys.stderr)
        return 1
    except OSError as error:
        print("%s: %s. Check that the project's folder can be written." % (error.filename or ROOT, error.strerror), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Start again to continue.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
