"""Sessions: a signed cookie that names who signed in; what they may see is looked up anew at every request.

The signature (HMAC, itsdangerous) is checked before anything of a cookie is read. A session ends with its time,
with a sign-out, or when password, role or tenants of its user are changed.
"""

import secrets
import threading
from dataclasses import dataclass
from hashlib import blake2b

from itsdangerous import BadSignature, URLSafeSerializer

from dashboards.access.areas import Via
from dashboards.numbers import SECOND_NS

_MOST_ENDED = 100_000


@dataclass(frozen=True, slots=True)
class Session:
    """What a cookie says."""

    id: str
    name: str
    via: Via
    stamp: str
    """Of what the user was granted when the session began."""
    ends_s: int


class Sessions:
    """Makes and reads session cookies.

    Args:
        secret: signs them; empty makes one that lasts as long as this process.
        lifetime_s: after which one has to sign in again.
    """

    def __init__(self, secret: str, lifetime_s: float) -> None:
        self._secret = secret or secrets.token_urlsafe(32)
        self._signer = URLSafeSerializer(self._secret, salt="surgecast-session")
        self._forms = URLSafeSerializer(self._secret, salt="surgecast-form")
        self.lifetime_s = int(lifetime_s)
        self._ended: dict[str, int] = {}
        self._lock = threading.Lock()

    def stamp(self, *granted: str) -> str:
        """Return a keyed digest of what a user is granted."""
        key = blake2b(self._secret.encode()).digest()
        return blake2b("\0".join(granted).encode(), key=key, digest_size=12).hexdigest()

    def begin(self, name: str, via: Via, stamp: str, now_ns: int) -> str:
        """Return the cookie of a new session."""
        ends_s = now_ns // SECOND_NS + self.lifetime_s
        text = self._signer.dumps([secrets.token_urlsafe(12), name, via.value, stamp, ends_s])
        return text if isinstance(text, str) else text.decode()

    def read(self, cookie: str | None, now_ns: int) -> Session | None:
        """Return the session of a cookie, None where it is forged, over or ended."""
        if not cookie:
            return None
        try:
            id_, name, via, stamp, ends_s = self._signer.loads(cookie)
        except BadSignature:
            return None
        session = Session(id_, name, Via(via), stamp, ends_s)
        with self._lock:
            over = session.id in self._ended or now_ns // SECOND_NS >= session.ends_s
        return None if over else session

    def end(self, session: Session, now_ns: int) -> None:
        """Let a session end before its time, wherever its cookie has been copied to."""
        now_s = now_ns // SECOND_NS
        with self._lock:
            for id_ in [id_ for id_, ends_s in self._ended.items() if ends_s <= now_s]:
                del self._ended[id_]
            while len(self._ended) >= _MOST_ENDED:
                del self._ended[next(iter(self._ended))]
            self._ended[session.id] = session.ends_s

    def form_token(self, cookie: str) -> str:
        """Return what a form must send back beside this cookie of the same browser."""
        text = self._forms.dumps(cookie)
        return text if isinstance(text, str) else text.decode()

    def form_is_ours(self, cookie: str | None, token: str | None) -> bool:
        """Tell whether a form was made here for the browser that sends it."""
        if not cookie or not token:
            return False
        try:
            return bool(self._forms.loads(token) == cookie)
        except BadSignature:
            return False
