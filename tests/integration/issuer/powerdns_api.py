"""PowerDNS' HTTP API, as far as records are read and changed by it (doc.powerdns.com, HTTP API, Zones).

A zone is read as a whole, and the records of a name and type are replaced as a whole.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.ports import free_port

__all__ = ["PowerDns", "powerdns"]


@dataclass
class PowerDns:
    """`records` by zone, then by name and type. While `silent` is set, nothing is answered; each reading takes
    `reading_s`, so that others could read meanwhile what is about to be changed.
    """

    url: str
    key: str
    records: dict[str, dict[tuple[str, str], list[str]]]
    asked: list[str] = field(default_factory=list)
    silent: asyncio.Event | None = None
    reading_s: float = 0.0

    def txt(self, name: str) -> set[str]:
        found = [one.get((f"{name}.", "TXT"), []) for one in self.records.values()]
        return {value.strip('"') for values in found for value in values}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.method)
        if self.silent is not None:
            await self.silent.wait()
        if request.headers.get("X-API-Key") != self.key:
            return web.Response(status=401, text="Unauthorized")
        zone = request.match_info["zone"]
        if zone not in self.records:
            return web.json_response({"error": "Could not find domain"}, status=404)
        if request.method == "GET":
            shown = self._shown(zone)
            await asyncio.sleep(self.reading_s)
            return web.json_response(shown)
        return self._changed(zone, await request.json())

    def _shown(self, zone: str) -> dict[str, Any]:
        rrsets = [
            {
                "name": name,
                "type": kind,
                "ttl": 60,
                "comments": [],
                "records": [{"content": value, "disabled": False} for value in values],
            }
            for (name, kind), values in self.records[zone].items()
        ]
        return {"name": zone, "kind": "Native", "rrsets": rrsets}

    def _changed(self, zone: str, asked: dict[str, Any]) -> web.StreamResponse:
        for rrset in asked["rrsets"]:
            values = [record["content"] for record in rrset["records"]]
            quoted = all(value[0] == value[-1] == '"' for value in values)
            if not rrset["name"].endswith(f".{zone}") or not quoted or len(set(values)) < len(values):
                return web.json_response({"error": "RRset is invalid"}, status=422)
            self.records[zone].pop((rrset["name"], rrset["type"]), None)
            if values and rrset["changetype"] == "REPLACE":
                self.records[zone][rrset["name"], rrset["type"]] = values
        return web.Response(status=204)


@asynccontextmanager
async def powerdns(*zones: str, key: str) -> AsyncIterator[PowerDns]:
    port = free_port()
    server = PowerDns(f"http://127.0.0.1:{port}", key, {f"{zone}.": {} for zone in zones})
    application = web.Application()
    application.router.add_route("*", "/api/v1/servers/localhost/zones/{zone}", server.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield server
    finally:
        if server.silent is not None:
            server.silent.set()
        await runner.cleanup()
