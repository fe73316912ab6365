"""Who runs this program, as the machine knows them."""

import os
import pwd


def os_user() -> str:
    """Who runs this, behind sudo too."""
    asked = os.environ.get("SUDO_USER")
    if asked and os.getuid() == 0:
        return asked
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
