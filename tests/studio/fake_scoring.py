"""core.trying's manners without a model: the score of a picture is the length of its file."""

import json
import struct
import sys

asked = json.loads(sys.stdin.buffer.readline())
sizes = []
while length := struct.unpack(">I", sys.stdin.buffer.read(4))[0]:
    sizes.append(len(sys.stdin.buffer.read(length)))
if asked["config"]["seed"] == 2:
    print(json.dumps({"error": "reward_file: broken.", "field": "reward_file"}))
elif asked["config"]["seed"] != 3:
    scored = [{"index": i, "total": float(n), "raw": {name: float(n) for name in asked["config"]["rewards"]}} for i, n in enumerate(sizes)]
    print(json.dumps({"side": 64, "prompt": asked["prompt"], "pictures": sorted(scored, key=lambda p: -p["total"])}))
