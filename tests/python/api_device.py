"""A device of the native API with Noise, built on PyPI's `noiseprotocol` and on the messages of `aioesphomeapi`:
independent of the client's own Noise, framing and messages.

It serves clients one after the other on a free port of the loopback interface, which it prints first, and says of
each as JSON what it has seen. Arguments: its key in base64, and what it does: `answer`, `cut` (it greets and is gone),
`leaving` (it says goodbye in place of its answer), `old` (its greeting has no MAC address), `full`.
"""

import base64
import json
import socket
import struct
import sys

from aioesphomeapi import api_pb2 as pb
from aioesphomeapi.core import MESSAGE_TYPE_TO_PROTO
from noise.connection import NoiseConnection

TYPES = {message: number for number, message in MESSAGE_TYPE_TO_PROTO.items()}
BATTERY, VOLTAGE, TEMPERATURE = 1001, 1002, 1003


class Device:
    def __init__(self, client, key, manner):
        self.client, self.key, self.manner = client, key, manner
        self.noise = None
        self.seen = {"encrypted": False, "messages": [], "client": None, "dial_back": None}

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
        if indicator != 1:
            self.send_frame(b"\x01Bad indicator byte")
            raise ValueError(f"no frame: {indicator:02x}")
        return self.exactly(length)

    def send_frame(self, payload):
        self.client.sendall(struct.pack(">BH", 1, len(payload)) + payload)

    def say(self, message):
        body = message.SerializeToString()
        plain = struct.pack(">HH", TYPES[type(message)], len(body)) + body
        self.send_frame(bytes(self.noise.encrypt(plain)))

    def hear(self):
        plain = bytes(self.noise.decrypt(self.frame()))
        number, length = struct.unpack(">HH", plain[:4])
        if length != len(plain) - 4:
            raise ValueError(f"a message of {length} bytes in {len(plain)}")
        message = MESSAGE_TYPE_TO_PROTO[number].FromString(plain[4:])
        self.seen["messages"].append(type(message).__name__)
        return message

    def handshake(self):
        if self.frame():
            raise ValueError("a client's greeting is empty")
        mac = b"" if self.manner == "old" else b"983569abf679\0"
        self.send_frame(b"\x01noisy\0" + mac)
        noise = NoiseConnection.from_name(b"Noise_NNpsk0_25519_ChaChaPoly_SHA256")
        noise.set_as_responder()
        noise.set_psks(self.key)
        noise.set_prologue(b"NoiseAPIInit\0\0")
        noise.start_handshake()
        message = self.frame()
        if message[0] != 0:
            raise ValueError("the client has refused")
        try:
            noise.read_message(message[1:])
        except Exception:  # the library has one exception for each of its backends
            self.send_frame(b"\x01Handshake MAC failure")
            return False
        self.send_frame(b"\0" + bytes(noise.write_message()))
        self.noise = noise
        self.seen["encrypted"] = True
        return True

    def answer(self, message):
        """What a device says to a message; False: the conversation is over."""
        if isinstance(message, pb.HelloRequest):
            self.seen["client"] = message.client_info
            self.seen["dial_back"] = message.outgoing_connection_target
            self.say(pb.HelloResponse(api_version_major=1, api_version_minor=19, name="noisy"))
        elif isinstance(message, pb.DeviceInfoRequest):
            if self.manner == "leaving":
                self.say(pb.DisconnectRequest())
                return True
            self.say(pb.PingRequest())
            self.say(
                pb.DeviceInfoResponse(
                    name="noisy",
                    mac_address="98:35:69:AB:F6:79",
                    esphome_version="2026.10.0",
                    compilation_time="2026-11-30 09:46:06 +0000",
                    friendly_name="Noisy Sensor",
                    project_name="vendor.product",
                    project_version="1.2",
                    has_deep_sleep=True,
                    model="esp32dev",
                    manufacturer="Espressif",
                    api_encryption_supported=True,
                    devices=[pb.DeviceInfo(device_id=7, name="Part", area_id=1)],
                    areas=[pb.AreaInfo(area_id=1, name="Küche")],
                )
            )
        elif isinstance(message, pb.ListEntitiesRequest):
            self.list_entities()
        elif isinstance(message, pb.SubscribeStatesRequest):
            self.say(pb.SensorStateResponse(key=TEMPERATURE, state=21.5))
            self.say(pb.SensorStateResponse(key=BATTERY, missing_state=True))
            self.say(pb.SensorStateResponse(key=VOLTAGE, state=3.75, device_id=7))
            self.say(pb.SensorStateResponse(key=BATTERY, state=71.0))
        elif isinstance(message, pb.DisconnectRequest):
            self.say(pb.DisconnectResponse())
            return False
        elif isinstance(message, pb.DisconnectResponse):
            return False
        return True

    def list_entities(self):
        self.say(pb.ListEntitiesBinarySensorResponse(key=1, name="Door", device_class="door"))
        sensor = pb.ListEntitiesSensorResponse
        self.say(sensor(key=TEMPERATURE, name="T", unit_of_measurement="°C", device_class="temperature"))
        self.say(sensor(key=BATTERY, name="Battery", unit_of_measurement="%", device_class="battery"))
        self.say(
            sensor(key=VOLTAGE, name="Zelle", unit_of_measurement="V", device_class="voltage", device_id=7)
        )
        self.say(pb.ListEntitiesServicesResponse(name="stay_awake", key=5))
        self.say(pb.ListEntitiesDoneResponse())

    def serve(self):
        if self.manner == "full":
            return
        if self.manner == "cut":
            self.frame(), self.frame()
            self.send_frame(b"\x01noisy\x00983569abf679\0")
            return
        if not self.handshake():
            return
        while self.answer(self.hear()):
            pass


def main():
    key, manner = base64.b64decode(sys.argv[1]), sys.argv[2]
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            client, _ = server.accept()
            with client:
                client.settimeout(60)
                device = Device(client, key, manner)
                try:
                    device.serve()
                except (EOFError, OSError, ValueError) as error:
                    device.seen["error"] = str(error)
            print(json.dumps(device.seen), flush=True)


main()
