import urllib.error
import urllib.request

import pytest
from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE

SECONDS = 3


@pytest.fixture(scope="session")
def hub() -> None:
    """Skips what needs the model hub where it cannot be reached; asked once a session."""
    if HF_HUB_OFFLINE:
        pytest.skip("needs the model hub, and HF_HUB_OFFLINE is set")
    try:
        urllib.request.urlopen(f"{ENDPOINT}/api/models?limit=1", timeout=SECONDS).close()
    except (urllib.error.URLError, OSError) as error:
        pytest.skip(f"needs the model hub, which cannot be reached: {getattr(error, 'reason', error)}")
