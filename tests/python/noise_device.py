"""An OTA device with Noise, built on PyPI's `noiseprotocol`: independent of the client's own Noise.

It serves one client on a free port of the loopback interface, which it prints first, and says at the end as
JSON what it has seen. Arguments: its key in base64, and optionally a reason for which it refuses every client.
"""

import base64
import hashlib
import json
import socket
import struct
import sys
import zlib

from noise.connection import NoiseConnection

MAGIC = bytes([0x6C, 0x26, 0xF7, 0x5C, 0x45])
VERSION = 2
FLAGS = 0x04 | 0x08  # Noise and deflate
BLOCK = 8192


class Device:
    def __init__(self, client, key, refusal):
        self.client, self.key, self.refusal = client, key, refusal
        self.noise = None
        self.seen = {"encrypted": False, "frames": [], "image": None, "goodbye": False}

    def exactly(self, count):
        data = b""
        while len(data) < count:
            piece = self.client.recv(count - len(data))
            if not piece:
                raise EOFError("the client has left")
            data += piece
        return data

    def frame(self):
        indicator, length = struct.unpack(">BH", self.exactly(3))
        if indicator != 1 or length == 0:
            raise ValueError(f"no frame: {indicator:02x} {length}")
        return self.exactly(length)

    def send_frame(self, payload):
        self.client.sendall(struct.pack(">BH", 1, len(payload)) + payload)

    def field(self, length=None):
        plain = self.noise.decrypt(self.frame())
        if not plain or len(plain) > 1024 or length not in (None, len(plain)):
            raise ValueError(f"a field of {len(plain)} bytes")
        self.seen["frames"].append(len(plain))
        return plain

    def say(self, byte):
        self.send_frame(self.noise.encrypt(bytes([byte])))

    def handshake(self):
        if self.exactly(5) != MAGIC:
            raise ValueError("no greeting")
        self.client.sendall(bytes([0, VERSION]))
        features = self.exactly(1)[0]
        self.client.sendall(bytes([0x48, FLAGS]))
        if not features & 0x08:
            raise ValueError("the client has no Noise")
        noise = NoiseConnection.from_name(b"Noise_NNpsk0_25519_ChaChaPoly_SHA256")
        noise.set_as_responder()
        noise.set_psks(self.key)
        noise.set_prologue(b"NoiseOTAInit" + MAGIC + bytes([0, VERSION, features, 0x48, FLAGS]))
        noise.start_handshake()
        message = self.frame()
        if message[0] != 0:
            raise ValueError("the client has refused")
        refusal = self.refusal
        if refusal is None:
            try:
                noise.read_message(message[1:])
            except Exception:  # the library has one exception for each of its backends
                refusal = "Handshake MAC failure"
        if refusal is not None:
            self.send_frame(b"\x01" + refusal.encode())
            return False
        self.send_frame(b"\x00" + noise.write_message())
        self.noise = noise
        self.seen["encrypted"] = True
        return True

    def update(self):
        if not self.handshake():
            return
        self.say(0x41)
        if self.field(1) != b"\x00":
            raise ValueError("no application")
        wire_size, image_size = (struct.unpack(">I", self.field(4))[0] for _ in range(2))
        self.say(0x42)
        md5 = self.field(32).decode()
        self.say(0x43)
        wire, acknowledged = b"", 0
        while len(wire) < wire_size:
            wire += self.field()
            while acknowledged + BLOCK <= len(wire) or acknowledged < len(wire) == wire_size:
                self.say(0x47)
                acknowledged += BLOCK
        self.say(0x44)
        image = zlib.decompress(wire, wbits=-12)
        if len(image) != image_size or hashlib.md5(image).hexdigest() != md5:
            self.say(0x8B)
            return
        self.seen["image"] = hashlib.sha256(image).hexdigest()
        self.say(0x45)
        self.seen["goodbye"] = self.field(1) == b"\x00"


def main():
    key, refusal = base64.b64decode(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        server.settimeout(60)
        client, _ = server.accept()
    with client:
        client.settimeout(60)
        device = Device(client, key, refusal)
        try:
            device.update()
        except (EOFError, OSError, ValueError) as error:
            device.seen["error"] = str(error)
        print(json.dumps(device.seen), flush=True)


main()
