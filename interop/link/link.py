"""A bad link between two network namespaces, as `tc netem` makes where the kernel has it.

Runs in the namespace of one end and is told the name of the other's. Each end gets a TUN device `tun0`; what is sent
into one comes out of the other late, twice, out of order, damaged or never. Ends, and the link with it, when its
standard input is closed. Says {"event": "up"} once packets pass, and {"event": "counts"} of what it did at its end.
"""

import argparse
import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 0x0001, 0x1000, 0x40000000
IP_HEADER = 20

parser = argparse.ArgumentParser()
parser.add_argument("other", help="the namespace at the other end")
parser.add_argument("here_ip")
parser.add_argument("other_ip")
for name, unit in [
    ("delay", "ms"), ("jitter", "ms"), ("loss", "%"), ("duplicate", "%"), ("reorder", "%"), ("corrupt", "%"),
    ("kilobits", "a second; 0 is any"), ("seed", ""),
]:
    parser.add_argument(f"--{name}", type=float, default=0, help=unit)
parser.add_argument("--mtu", type=int, default=1500)
options = parser.parse_args()
chance = random.Random(options.seed)


def device(address, peer):
    """A TUN device in the namespace that this process is in."""
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH22x", b"tun0", IFF_TUN | IFF_NO_PI))
    for words in [f"address add {address} peer {peer} dev tun0", f"link set tun0 up mtu {options.mtu}"]:
        subprocess.check_call(["ip", *words.split()])
    return file


def enter(namespace):
    libc = ctypes.CDLL(None, use_errno=True)
    file = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if libc.setns(file, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    os.close(file)


def happens(percent):
    return chance.random() * 100 < percent


here = device(options.here_ip, options.other_ip)
enter(options.other)
there = device(options.other_ip, options.here_ip)
print(json.dumps({"event": "up"}), flush=True)

opposite = {here: there, there: here}
free_from = {here: 0.0, there: 0.0}
counts = dict.fromkeys(["seen", "lost", "duplicated", "reordered", "corrupted"], 0)
# (when, which in order, where to, packet)
flying, order = [], 0


def send(packet, source):
    """Puts a packet on its way."""
    global order
    counts["seen"] += 1
    if happens(options.loss):
        counts["lost"] += 1
        return
    now = at = time.monotonic()
    if options.kilobits:
        free_from[source] = at = max(free_from[source], at) + len(packet) * 8 / (options.kilobits * 1000)
    at += max(0, options.delay + chance.uniform(-options.jitter, options.jitter)) / 1000
    if happens(options.reorder):
        at = now
        counts["reordered"] += 1
    if happens(options.corrupt) and len(packet) > IP_HEADER:
        packet = bytearray(packet)
        packet[chance.randrange(IP_HEADER, len(packet))] ^= 1 << chance.randrange(8)
        counts["corrupted"] += 1
    times = 1
    if happens(options.duplicate):
        counts["duplicated"] += 1
        times = 2
    for _ in range(times):
        order += 1
        heapq.heappush(flying, (at, order, opposite[source], bytes(packet)))


while True:
    wait = max(0, flying[0][0] - time.monotonic()) if flying else None
    readable = select.select([here, there, sys.stdin], [], [], wait)[0]
    if sys.stdin in readable:
        break
    for file in readable:
        while True:
            try:
                packet = os.read(file, 65_535)
            except OSError:
                # Nothing more for now, or the device is down.
                break
            send(packet, file)
    while flying and flying[0][0] <= time.monotonic():
        _, _, target, packet = heapq.heappop(flying)
        try:
            os.write(target, packet)
        except OSError:
            # That end is down: one more packet that is lost.
            counts["lost"] += 1
print(json.dumps({"event": "counts", **counts}), flush=True)
