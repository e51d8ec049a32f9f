"""nginx's configuration: one worker, tuned for what is measured, so that it is not the proxy's easy rival."""

import os
from pathlib import Path

_CONF = """\
daemon off;
{user}worker_processes 1;
worker_rlimit_nofile {files};
error_log stderr error;
pid {folder}/nginx.pid;
events {{
    worker_connections {connections};
}}
http {{
    access_log off;
    server_tokens off;
    tcp_nodelay on;
    keepalive_timeout 300;
    keepalive_requests 1000000000;
    client_body_buffer_size 64k;
    client_max_body_size 2m;
    open_file_cache max=10000 inactive=300s;
    open_file_cache_valid 300s;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_cache_path {folder}/cache levels=1:2 keys_zone=answers:64m max_size=256m inactive=1h use_temp_path=off;
    upstream engine {{
        server {engine};
        keepalive 1024;
        keepalive_requests 1000000000;
        keepalive_timeout 300;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=8192;
        location = /ready {{
            return 200;
        }}
        location = /generate_stream {{
            proxy_pass http://engine;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
        location / {{
            proxy_pass http://engine;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_read_timeout 600;
{cache}        }}
    }}
}}
"""
_CACHE = """\
            proxy_cache answers;
            proxy_cache_methods POST;
            proxy_cache_key "$request_uri|$request_body";
            proxy_cache_valid 200 1h;
            add_header X-Cache $upstream_cache_status;
"""
_CONNECTIONS = 16_384


def nginx_conf(folder: Path, port: int, engine: str, *, is_caching: bool) -> str:
    """Return the configuration of one listener in front of an engine (`host:port`), with proxy_cache by body or not."""
    # As root, its worker would become another user, who may not write into the folder.
    user = "user root;\n" if os.getuid() == 0 else ""
    return _CONF.format(
        user=user,
        folder=folder,
        port=port,
        engine=engine,
        files=2 * _CONNECTIONS,
        connections=_CONNECTIONS,
        cache=_CACHE if is_caching else "",
    )
