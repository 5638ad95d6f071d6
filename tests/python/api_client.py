"""What PyPI's `aioesphomeapi` hears from a device, as JSON. Arguments: port, and the key in base64 if there is one."""

import asyncio
import json
import sys

from aioesphomeapi import APIClient


async def main():
    key = sys.argv[2] if len(sys.argv) > 2 else None
    client = APIClient("127.0.0.1", int(sys.argv[1]), None, noise_psk=key, client_info="test")
    await client.connect(login=True)
    info = await client.device_info()
    entities, _ = await client.list_entities_services()
    power = [e for e in entities if getattr(e, "device_class", "") in ("battery", "voltage")]
    await client.disconnect()
    print(
        json.dumps(
            {
                "name": info.name,
                "mac": info.mac_address,
                "friendly_name": info.friendly_name,
                "version": info.esphome_version,
                "compilation_time": info.compilation_time,
                "has_deep_sleep": info.has_deep_sleep,
                "project": [info.project_name, info.project_version],
                "power": sorted([e.device_class, e.name, e.unit_of_measurement] for e in power),
            }
        )
    )


asyncio.run(main())
