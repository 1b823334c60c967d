"""What every answer of a site promises a browser."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(frozen=True)
class Policy:
    """What a site's pages may load and who may see them. Sources in CSP's notation (https://www.w3.org/TR/CSP3/)."""

    styles: str
    """Where style comes from: the hash of the inlined sheet."""
    scripts: str = "'none'"
    images: str = "data:"
    connections: str = "'none'"
    forms: str = "'self'"
    """Where forms may be sent, and lead by a redirect."""
    media: str = "'none'"
    """Where recordings come from."""
    workers: str = "'none'"
    """Where service workers come from."""
    indexed: bool = False
    cached: bool = False
    more: dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> str:
        """The Content-Security-Policy."""
        return (
            f"default-src 'none'; style-src {self.styles}; script-src {self.scripts}; img-src {self.images}; media-src {self.media}; "
            f"connect-src {self.connections}; worker-src {self.workers}; form-action {self.forms}; base-uri 'none'; frame-ancestors 'none'"
        )

    def headers(self, https: bool) -> dict[str, str]:
        """The headers of an answer."""
        said = {
            "Content-Security-Policy": self.content,
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), browsing-topics=()",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }
        if not self.indexed:
            said["X-Robots-Tag"] = "noindex, nofollow, noarchive"
        if not self.cached:
            said["Cache-Control"] = "no-store"
        if https:
            said["Strict-Transport-Security"] = "max-age=63072000"
        return said | self.more


class SecurityHeaders:
    """Puts a policy's headers on every answer; what a handler set itself stays."""

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        self.app = app
        self.policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        promised = self.policy.headers(scope.get("scheme") == "https")

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in promised.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, with_headers)
