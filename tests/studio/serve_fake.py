"""app.py as a process of its own whose trainers are the fake one: `python serve_fake.py FAKE_PYTHON [what app.py takes]`.

Trainers are started by the studio's own code; FAKE_PYTHON stands in for Python in its command line and nowhere else.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2])]

if __name__ == "__main__":
    import app

    sys.executable = sys.argv.pop(1)
    sys.exit(app.main())
