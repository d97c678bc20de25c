"""nchan: publish and subscribe in nginx, in C. One worker; this process publishes.

Clients subscribe by the path: /ws/candles/BTCUSDT@1m,ETHUSDT@1m. Each series is a channel with a
WebSocket of its own to publish on, as nchan has one channel for a publisher.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path

import uvloop
import websockets

from tests.benchmarks.peers import NCHAN, nginx_program
from tests.benchmarks.peers.feed import SERIES, encode, updates

PORT = int(os.environ["PORT"])
CONFIGURATION = """
load_module {module};
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/pid;
error_log stderr error;
events {{ worker_connections 10000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    large_client_header_buffers 4 16k;
    nchan_max_reserved_memory 64M;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /ready {{ return 200 "{{}}"; }}
        location ~ ^/publish/(.+)$ {{
            nchan_publisher websocket;
            nchan_channel_id $1;
            nchan_message_buffer_length 20;
            nchan_message_timeout 1m;
        }}
        location ~ ^/ws/candles/(.+)$ {{
            nchan_subscriber websocket;
            nchan_channel_id $1;
            nchan_channel_id_split_delimiter ",";
            nchan_subscriber_first_message newest;
        }}
    }}
}}
"""


async def publish() -> None:
    base = f"ws://127.0.0.1:{PORT}/publish"
    async with AsyncExitStack() as stack:
        publishers = {}
        for symbol, interval in SERIES:
            # What nchan answers to each message is not read, so neither is a pong.
            connecting = websockets.connect(
                f"{base}/{symbol}@{interval}", compression=None, ping_interval=None
            )
            publishers[symbol, interval] = await stack.enter_async_context(connecting)
        async for series, candle, closed in updates():
            await publishers[series].send(encode(series, candle, closed=closed), text=True)


async def main() -> None:
    publishing = asyncio.create_task(publish())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, publishing.cancel)
    with suppress(asyncio.CancelledError):
        await publishing


@contextmanager
def nginx() -> Iterator[None]:
    """Run nginx; it accepts connections when the block begins."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "nginx.conf")
        path.write_text(CONFIGURATION.format(folder=folder, port=PORT, module=NCHAN))
        process = subprocess.Popen([nginx_program() or "nginx", "-c", path, "-p", folder])
        try:
            wait_until_listening()
            yield
        finally:
            process.terminate()
            process.wait()


def wait_until_listening() -> None:
    for _ in range(100):
        with suppress(OSError), socket.create_connection(("127.0.0.1", PORT)):
            return
        time.sleep(0.05)
    raise TimeoutError("nginx does not listen")


if __name__ == "__main__":
    with nginx():
        uvloop.run(main())
