"""Writes python.jsonl: bodies and the SHA-1 of str() of what they hold, as pypuppetdb computes it.

Run once with: python3 testdata/python.py > testdata/python.jsonl
"""
import hashlib
import json
import random
import struct
import sys

random.seed(3)
VALUES = [
    None, True, False, 0, -1, 10**30, 1.0, 1.5, -0.0, 1e16, 1e15, 123456789012345.6, 9999999999999998.0, 1e-4, 1e-5, 0.00012345, 1e22,
    1e23, 5e-324, 1.7976931348623157e308, "", "plain", "it's", 'say "x"', "both ' and \"", "back\\slash", "new\nline\ttab\rcr",
    "\x01\x1f\x7f\x80\x9f\xa0\xad", "é", "日本", "😀", "\u200b\u200d\u2028\u2029\ufeff\ue000\ufffd", "\u0378", "\U000e0001\U0001f9ff",
    "\u00b7\u0301\u3000\u1680", [], {}, [[], {}], {"a": {"b": [1, "x", None]}}, {"'": 1, '"': 2, "\n": 3}, ["a", 1, 2.5, True, None],
    {"z": 1, "a": 2, "m": {"y": 1, "b": 2}},
]
bodies = [json.dumps([v]) for v in VALUES] + [json.dumps([v], ensure_ascii=False) for v in VALUES]
bodies += ['{"a":1,"b":2,"a":{"c":3}}', ' [ 1 , 2 ] ', "[1E3,1e+3,-0,-0.0,1.50]", '["\\/\\u0041\\ud83d\\ude00"]']
for _ in range(120):
    f = struct.unpack("<d", struct.pack("<Q", random.getrandbits(64)))[0]
    if f == f and abs(f) != float("inf"):
        bodies.append(json.dumps([f, random.uniform(-1e6, 1e6), round(random.random(), 4)]))
bodies.append(json.dumps({
    "certname": "web01.example.com", "environment": "production", "producer": "it's me", "producer_timestamp": "2026-11-10T01:00:00.000Z",
    "values": {"os": {"name": "Debian", "release": {"full": "12.5"}}, "load": 0.25, "up": True, "none": None, "n": [1, 2.0]}}))
for body in bodies:
    sys.stdout.write(json.dumps({"body": body, "sha1": hashlib.sha1(str(json.loads(body)).encode("utf-8")).hexdigest()}) + "\n")
