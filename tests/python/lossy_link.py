#!/usr/bin/env python3
"""What the kernel's options of a TCP socket do for an update over a link that loses packets.

Makes two network namespaces (as root) whose packets get lost in both directions, and in them a model of a device and of
Wakeflash: attempts to connect 250 ms apart, the first that opens is used; four round trips of small messages (the device
is held then); 160,000 bytes, acknowledged every 8 KiB. Prints a table. `lossy_link.py [SESSIONS]`, 200 for each line.
"""
import asyncio
import socket
import statistics
import subprocess
import sys
import time

DEVICE = ("10.9.0.2", 3232)
IMAGE, BLOCK, TRIPS = 160_000, 8_192, 4
THIN_LINEAR_TIMEOUTS, RTO_MAX_MS = 16, 44
OPTIONS = {
    "none": {},
    "thin linear timeouts": {THIN_LINEAR_TIMEOUTS: 1},
    "RTO at most 1 s": {RTO_MAX_MS: 1_000},
    "both": {THIN_LINEAR_TIMEOUTS: 1, RTO_MAX_MS: 1_000},
}
NEVER = float("inf")


async def device(reader, writer):
    try:
        for _ in range(TRIPS):
            await reader.readexactly(40)
            writer.write(bytes(40))
        got = 0
        while got < IMAGE:
            block = await reader.read(BLOCK)
            if not block:
                return
            got += len(block)
            writer.write(b"G")
        writer.write(b"D")
        await reader.read()
    except OSError:
        pass
    finally:
        writer.close()


async def attempt(options):
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option, value in options.items():
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
    try:
        await asyncio.wait_for(asyncio.get_running_loop().sock_connect(sock, DEVICE), 4)
    except (OSError, asyncio.TimeoutError):
        sock.close()
        return None
    return sock


async def first_open(options):
    attempts = set()
    while True:
        attempts.add(asyncio.create_task(attempt(options)))
        done, attempts = await asyncio.wait(
            attempts, timeout=0.25, return_when=asyncio.FIRST_COMPLETED
        )
        for sock in filter(None, (task.result() for task in done)):
            for other in attempts:
                other.cancel()
            return sock


async def session(options, begins):
    await asyncio.sleep(begins)
    start, held, done = time.monotonic(), NEVER, NEVER
    try:
        async with asyncio.timeout(60):
            reader, writer = await asyncio.open_connection(sock=await first_open(options))
            for _ in range(TRIPS):
                writer.write(bytes(40))
                await reader.readexactly(40)
            held = time.monotonic() - start
            writer.write(bytes(IMAGE))
            while not (said := await reader.read(4_096)).endswith(b"D"):
                if not said:
                    return held, done
            done = time.monotonic() - start
            writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        pass
    return held, done


async def client(name, loss, sessions):
    each = [session(OPTIONS[name], number * 0.1) for number in range(sessions)]
    held, done = zip(*await asyncio.gather(*each))
    within = lambda times, limit: f"{sum(it <= limit for it in times)} of {sessions}"
    median = statistics.median(held)
    print(
        f"| {loss} % | {name} | {within(held, 5)} | {within(held, 15)} | {median:.1f} s "
        f"| {within(done, 15)} | {within(done, 60)} |",
        flush=True,
    )


def run(*command, **more):
    subprocess.run(command, check=True, **more)


def network():
    for name in "ab":
        run("ip", "netns", "add", f"lossy-{name}")
    run(*"ip -n lossy-a link add link-a type veth peer name link-b netns lossy-b".split())
    for name, address in ("a", "10.9.0.1/24"), ("b", "10.9.0.2/24"):
        run("ip", "-n", f"lossy-{name}", "address", "add", address, "dev", f"link-{name}")
        run("ip", "-n", f"lossy-{name}", "link", "set", f"link-{name}", "up")


def lose(loss):
    rules = (
        "table ip t\ndelete table ip t\ntable ip t {\nchain i {\ntype filter hook input priority 0\n"
        f"numgen random mod 100 < {loss} drop\n}}\n}}\n"
    )
    for name in "ab":
        run("ip", "netns", "exec", f"lossy-{name}", "nft", "-f", "-", input=rules, text=True)


async def serve():
    await (await asyncio.start_server(device, *DEVICE, backlog=500)).serve_forever()


def main():
    match sys.argv[1:]:
        case ["device"]:
            asyncio.run(serve())
        case ["client", name, loss, sessions]:
            asyncio.run(client(name, loss, int(sessions)))
        case arguments:
            sessions = arguments[0] if arguments else "200"
            inside = lambda name: ("ip", "netns", "exec", f"lossy-{name}", sys.executable, __file__)
            network()
            served = subprocess.Popen([*inside("b"), "device"])
            try:
                time.sleep(1)
                print("| lost | option | held in 5 s | in 15 s | median | done in 15 s | in 60 s |")
                print("|---|---|---|---|---|---|---|", flush=True)
                for loss in "20", "50":
                    lose(loss)
                    for name in OPTIONS:
                        run(*inside("a"), "client", name, loss, sessions)
            finally:
                served.terminate()
                for name in "ab":
                    run("ip", "netns", "delete", f"lossy-{name}")


main()
