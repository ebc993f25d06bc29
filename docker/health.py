"""Exit with 0 if the configured database accepts connections, or if there is none because it is embedded."""

import os
import socket

if host := os.environ.get("DJ_HOST"):
    default = 5432 if os.environ.get("DJ_BACKEND") == "postgresql" else 3306
    socket.create_connection((host, int(os.environ.get("DJ_PORT") or default)), timeout=5).close()
