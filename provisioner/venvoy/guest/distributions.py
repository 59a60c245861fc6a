"""Say what packages the interpreter that runs this finds, as one line of JSON: [ecosystem, name, version, build].

Of several with one name it is the first on the search path, which is the one that is imported. What conda has installed
is named by conda's own records.
"""

import json
import os
import sys


def said(place):
    """Name and version as the metadata of one distribution has them, or None."""
    for file in (os.path.join(place, "METADATA"), os.path.join(place, "PKG-INFO"), place):
        try:
            with open(file, encoding="utf-8", errors="replace") as stream:
                head = {}
                for line in stream:
                    if not line.strip():
                        break
                    key, colon, value = line.partition(": ")
                    if colon and key in ("Name", "Version"):
                        head.setdefault(key, value.strip())
            return head["Name"], head["Version"]
        except (OSError, KeyError):
            continue
    return None


def found():
    """All of them, conda's too."""
    named = {}
    for folder in sys.path:
        if os.path.isdir(folder):
            for each in sorted(os.listdir(folder)):
                if each.endswith((".dist-info", ".egg-info")):
                    known = said(os.path.join(folder, each))
                    if known and len((" ".join(known)).split()) == 2:
                        named.setdefault(known[0].lower().replace("_", "-").replace(".", "-"), known)
    yield from (("pypi", name, version, "") for name, version in named.values())
    records = os.path.join(sys.prefix, "conda-meta")
    if os.path.isdir(records):
        for each in sorted(os.listdir(records)):
            parts = each[:-5].rsplit("-", 2)
            if each.endswith(".json") and len(parts) == 3:
                yield ("conda", *parts)


if __name__ == "__main__":
    print(json.dumps(sorted(found())))
