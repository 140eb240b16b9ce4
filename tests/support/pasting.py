"""What `support.pages` starts: it reads blocks of a page as JSON and runs them one after another.

Python shares one namespace, as at a prompt. A shell's commands are processes of their own. The first failure ends all.
"""

import json
import subprocess
import sys
from pathlib import Path


def main():
    told = json.load(sys.stdin)
    names = {"__name__": "__main__"}
    sys.path.insert(0, "")  # as at a prompt: files of the page are modules
    exec(compile(told["before"], "before the page", "exec"), names)
    for block in told["blocks"]:
        if block["name"]:
            Path(block["name"]).write_text(block["text"])
        elif block["language"] == "python":
            exec(compile("\n" * (block["line"] - 1) + block["text"], told["page"], "exec"), names)
        else:
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", block["text"]], stdin=subprocess.DEVNULL)
            if done.returncode:
                sys.exit(f"{told['page']}, line {block['line']}: the shell ended with {done.returncode}")


if __name__ == "__main__":
    main()
